"""The sizes and values that an engine has to accept, checked before the builder sees them."""

from __future__ import annotations

__all__ = ["parse_shape", "ranges", "shape_range"]

import re
from collections.abc import Iterator, Mapping, Sequence
from numbers import Integral

import onnx_ir as ir

from dyncompile.engines.request import ShapeRange
from dyncompile.errors import InputError
from dyncompile.knobs import Levels
from dyncompile.manifest import Manifest

_FORM = (
    "Give the least, the best and the most, as in --shape x=1x3x32x32,4x3x64x64,8x3x64x64, or one"
    " for all three."
)
_INTEGERS = {ir.DataType.INT32, ir.DataType.INT64}
_END_NAMES = ("least", "best", "most")
_MOST_VALUES = 64  # of a tensor that sizes are computed from

_Ends = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]


def parse_shape(text: str) -> tuple[str, ShapeRange]:
    """Read ``x=1x3x32x32,4x3x64x64,8x3x64x64``; one shape stands for all three.

    Raises:
        InputError: it is not written so.
    """
    name, _, ends = text.rpartition("=")
    shapes = ends.split(",")
    if not name or len(shapes) not in {1, 3}:
        raise InputError("not a range of shapes.", where=f"--shape {text}", remedy=_FORM)
    if not all(re.fullmatch(r"-?\d+(x\d+)*", shape) for shape in shapes):
        raise InputError("sizes are whole numbers.", where=f"--shape {text}", remedy=_FORM)
    return name, shape_range(name, [[int(n) for n in shape.split("x")] for shape in shapes])


def shape_range(name: str, given: ShapeRange | Sequence[Sequence[int]]) -> ShapeRange:
    """Return the range of an input from its least, best and most, or from one that is all three.

    Raises:
        InputError: not one or three shapes of one length, or out of order.
    """
    if isinstance(given, ShapeRange):
        shapes = [given.least, given.best, given.most]
    else:
        shapes = _shapes(given)
    where = f"the range of input {name!r}"
    if len(shapes) != len(_END_NAMES) or len({len(shape) for shape in shapes}) != 1:
        raise InputError("not three shapes of one length.", where=where, remedy=_FORM)
    least, best, most = shapes
    if not all(a <= b <= c for a, b, c in zip(least, best, most, strict=True)):
        raise InputError(
            f"{_text(least)}, {_text(best)}, {_text(most)} are not in order.",
            where=where,
            remedy=_FORM,
        )
    return ShapeRange(name, least, best, most)


def _shapes(given: object) -> list[tuple[int, ...]]:
    """Return the shapes of a range; none if it is something else."""
    if not isinstance(given, Sequence) or isinstance(given, str) or not given:
        return []
    if all(isinstance(size, Integral) for size in given):
        return [tuple(map(int, given))] * 3
    shapes = [[*shape] if isinstance(shape, Sequence) else [None] for shape in given]
    if not all(isinstance(size, Integral) for shape in shapes for size in shape):
        return []
    whole = [tuple(map(int, shape)) for shape in shapes]
    return whole * 3 if len(whole) == 1 else whole


def ranges(
    model: ir.Model, manifest: Manifest | None, given: Mapping[str, ShapeRange]
) -> tuple[tuple[ShapeRange, ...], tuple[ShapeRange, ...]]:
    """Return the sizes of the inputs with dynamic dimensions, and the values of integer inputs.

    Which integer inputs are shape tensors, and need their values, only the builder's parser knows;
    a knob's are 0, its default, and its last.

    Args:
        model: The graph to build.
        manifest: Its manifest, if it has one.
        given: What the user gave, by input: sizes, or the values of an integer input that is
            a scalar or a list of fixed length.

    Raises:
        InputError: a dynamic dimension without a range, or a range that does not fit the graph.
    """
    inputs = {str(value.name): value for value in model.graph.inputs}
    for name in given:
        if name not in inputs:
            raise InputError(
                f"the network has no such input; it has {', '.join(map(repr, inputs))}.",
                where=f"the range of input {name!r}",
                remedy="Name one of these.",
            )
    knobs = {} if manifest is None else manifest.knobs
    levels = {name: knob for name, knob in knobs.items() if isinstance(knob, Levels)}
    sized: list[ShapeRange] = []
    valued: list[ShapeRange] = []
    for name, value in inputs.items():
        if _holds_values(value):
            valued += _values(value, levels.get(name), given.get(name))
        else:
            sized += _sizes(value, given.get(name))
    _check_common_names(inputs, sized)
    return tuple(sized), tuple(valued)


def _holds_values(value: ir.Value) -> bool:
    """Whether sizes may be computed from it, so that a range of it means its values."""
    shape = value.shape
    if value.dtype not in _INTEGERS or shape is None or len(shape) > 1:
        return False
    return all(isinstance(size, int) and size <= _MOST_VALUES for size in shape)


def _values(
    value: ir.Value, levels: Levels | None, given: ShapeRange | None
) -> Iterator[ShapeRange]:
    assert value.shape is not None
    count = int(value.shape[0]) if len(value.shape) else 1  # type: ignore[arg-type]
    name = str(value.name)
    if given is not None and len(given.least) != count:
        raise InputError(
            f"it holds {count} values, not {len(given.least)}.",
            where=f"the range of input {name!r}",
            remedy=f"Write it as --shape {name}=LEAST,BEST,MOST, values joined by x.",
        )
    if levels is None:
        if given is not None:
            yield given
        return
    last = len(levels.values) - 1
    known = ShapeRange(name, (0,) * count, (levels.default,) * count, (last,) * count)
    if given is not None and (given.least > known.least or given.most < known.most):
        raise InputError(
            f"{_text(given.least)} to {_text(given.most)} does not cover the knob, which goes "
            f"from 0 to {last}.",
            where=f"the range of input {name!r}",
            remedy="Leave it out, or let it cover the knob.",
        )
    yield given or known


def _sizes(value: ir.Value, given: ShapeRange | None) -> Iterator[ShapeRange]:
    name = str(value.name)
    if value.shape is None:
        raise InputError(
            "its shape is not known.", where=f"input {name!r}", remedy="Export it with a shape."
        )
    dynamic = any(not isinstance(size, int) for size in value.shape)
    if given is None:
        if dynamic:
            raise InputError(
                f"its sizes {_declared(value.shape)} are known at run time only, and no range of "
                "them is given.",
                where=f"input {name!r}",
                remedy=f"Give one: --shape {name}={_example(value.shape)} (least, best, most).",
            )
        return
    _check_fits(name, value.shape, given)
    if dynamic:
        yield given


def _check_fits(name: str, shape: ir.Shape, given: ShapeRange) -> None:
    where = f"the range of input {name!r}"
    if not len(shape):
        raise InputError(
            "the input is a single number, and has no sizes.", where=where, remedy="Leave it out."
        )
    if len(given.least) != len(shape):
        raise InputError(
            f"it has {len(given.least)} dimensions, the input has {len(shape)}: "
            f"{_declared(shape)}.",
            where=where,
            remedy=f"Write it as --shape {name}={_example(shape)}.",
        )
    for index, (size, *ends) in enumerate(
        zip(shape, given.least, given.best, given.most, strict=True)
    ):
        if isinstance(size, int) and set(ends) != {size}:
            raise InputError(
                f"dimension {index} is {size} in the network, not {_span(ends)}.",
                where=where,
                remedy=f"Write {size} there; for another size take an example of it, or a file with"
                " this dimension dynamic.",
            )
        if min(ends) < 1:
            raise InputError(
                f"dimension {index} begins at {min(ends)}.",
                where=where,
                remedy="Sizes begin at 1.",
            )


def _check_common_names(inputs: Mapping[str, ir.Value], sized: Sequence[ShapeRange]) -> None:
    """Dimensions of one name are one size at run time."""
    first: dict[str, tuple[str, tuple[int, int, int]]] = {}
    for given in sized:
        shape = inputs[given.name].shape
        assert shape is not None
        ends = zip(given.least, given.best, given.most, strict=True)
        for size, found in zip(shape, ends, strict=True):
            symbol = None if isinstance(size, int) else size.value
            if symbol is None:
                continue
            other, known = first.setdefault(symbol, (given.name, found))
            if known != found:
                raise InputError(
                    f"its dimension {symbol!r} is {_span(found)}, that of {other!r} is "
                    f"{_span(known)}; it is the same one.",
                    where=f"the range of input {given.name!r}",
                    remedy="Give both the same range.",
                )


def _example(shape: ir.Shape) -> str:
    """Return a range that could be meant: up to 8 at once, and sides from 32 to 64."""
    return ",".join(
        _text([n if isinstance(n, int) else side if i else batch for i, n in enumerate(shape)])
        for batch, side in ((1, 32), (4, 64), (8, 64))
    )


def _declared(shape: ir.Shape) -> str:
    return f"[{', '.join(str(size) for size in shape)}]"


def _span(ends: Sequence[int]) -> str:
    return str(ends[0]) if len(set(ends)) == 1 else f"{ends[0]} to {ends[-1]}"


def _text(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))
