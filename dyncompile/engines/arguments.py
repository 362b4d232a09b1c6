"""What ``dyncompile.build`` is given, checked before any work is done."""

from __future__ import annotations

__all__ = ["check_apart", "check_limits", "free_sizes", "given_chips", "given_ranges"]

from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dyncompile.engines.profiles import shape_range
from dyncompile.engines.request import ShapeRange
from dyncompile.errors import InputError
from dyncompile.knobs import Knob

if TYPE_CHECKING:
    from torch import Tensor


def check_apart(model: object, written: Iterable[Path]) -> None:
    """Refuse a file that is named for two things.

    Raises:
        InputError: there is one.
    """
    read = {Path(model).resolve()} if isinstance(model, (str, Path)) else set()
    for file in written:
        if file.resolve() in read:
            raise InputError(
                "it is named twice: as a file to read or write, and as another to write.",
                where=str(file),
                remedy="Give each file a name of its own.",
            )
        read.add(file.resolve())


def check_limits(timeout: object, memory: object) -> None:
    """Refuse limits that are none.

    Args:
        timeout: Seconds, or None.
        memory: Whole bytes, or None.

    Raises:
        InputError: not a number, or not more than 0.
    """
    for where, limit, kind in (("timeout", timeout, Real), ("memory", memory, Integral)):
        if limit is None:
            continue
        if not isinstance(limit, kind) or isinstance(limit, bool):
            what = "number of seconds" if kind is Real else "whole number of bytes"
            raise InputError(f"{limit!r} is no {what}.", where=where, remedy="Give one, or None.")
        if not float(limit) > 0:
            raise InputError(f"{limit} is too little.", where=where, remedy="Give more than 0.")


def given_chips(chips: object) -> tuple[str, ...]:
    """Return names of chips, of which one may be given by itself.

    Raises:
        InputError: these are no names.
    """
    several = (chips,) if isinstance(chips, str) else chips
    if not isinstance(several, Sequence) or not all(isinstance(one, str) for one in several):
        raise InputError(
            f"{chips!r} does not name chips.", where="chips", remedy='Give them as ("sm89",).'
        )
    return tuple(several)


def given_ranges(shapes: object) -> dict[str, ShapeRange]:
    """Return the ranges of inputs by name.

    Raises:
        InputError: they are not given by name, or one is no range.
    """
    if shapes is None:
        return {}
    if not isinstance(shapes, Mapping):
        raise InputError(
            f"this is {type(shapes).__name__}, not a dict of shapes by name of input.",
            where="shapes",
            remedy='Write {"x": [(1, 3, 32, 32), (4, 3, 32, 32), (8, 3, 32, 32)]}.',
        )
    return {name: shape_range(name, sizes) for name, sizes in shapes.items()}


def free_sizes(
    model: object,
    example_inputs: Any,  # noqa: ANN401
    knobs: object,
    given: Mapping[str, ShapeRange],
) -> dict[str, dict[int, Any]] | None:
    """Return which dimensions of a module's inputs are dynamic: those whose sizes differ.

    Raises:
        InputError: the range of an input does not fit its example.
    """
    if isinstance(model, (str, Path)) or not given:
        return None
    from torch.export import Dim

    bound, declared = _bound(model, example_inputs, knobs)
    free: dict[str, dict[int, Any]] = {}
    for name, sizes in given.items():
        example = bound.get(name)
        if name in declared or example is None or _holds_values(example, sizes):
            continue
        ends = enumerate(zip(sizes.least, sizes.most, strict=True))
        axes = [axis for axis, (least, most) in ends if least != most]
        _check_example(name, tuple(example.shape), sizes, axes)
        free[name] = dict.fromkeys(axes, Dim.DYNAMIC)
    return free if any(free.values()) else None


def _bound(
    model: Any,  # noqa: ANN401
    example_inputs: Any,  # noqa: ANN401
    knobs: object,
) -> tuple[dict[str, Tensor], dict[str, Knob]]:
    """Return examples and knobs by name; what is wrong with either is said when they are used."""
    from dyncompile.binding import bind_inputs

    both = (getattr(model, "knobs", None), knobs)
    declared = {
        name: knob for one in both if isinstance(one, Mapping) for name, knob in one.items()
    }
    return bind_inputs(model, () if example_inputs is None else example_inputs, declared), declared


def _holds_values(example: Tensor, sizes: ShapeRange) -> bool:
    """Whether a range is one of values, of an integer input."""
    return not example.is_floating_point() and example.ndim < 2 and len(sizes.least) != example.ndim


def _check_example(
    name: str, shape: tuple[int, ...], sizes: ShapeRange, axes: Iterable[int]
) -> None:
    where = f"the range of input {name!r}"
    if len(shape) != len(sizes.least):
        raise InputError(
            f"it has {len(sizes.least)} dimensions, the example has {len(shape)}.",
            where=where,
            remedy="Give a size for each dimension.",
        )
    for axis in axes:
        if shape[axis] == 1:
            raise InputError(
                f"dimension {axis} is to be free, and 1 in the example: torch takes a size of 1"
                " for a constant.",
                where=where,
                remedy="Give an example with at least 2 there.",
            )
    for axis, (least, size, most) in enumerate(zip(sizes.least, shape, sizes.most, strict=True)):
        if axis not in axes and size != most:
            raise InputError(
                f"dimension {axis} is {least} there and {size} in the example.",
                where=where,
                remedy="Give an example of the sizes to build for.",
            )
