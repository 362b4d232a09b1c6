"""Markers: the operators an author writes decisions with.

A marker means the dense thing - select one of several tensors, zero channels - so a model with
markers trains, batches and exports like any other. The compiler turns it into work that is skipped.
Outside export a marker is a plain ``torch.where``.
"""

from __future__ import annotations

__all__ = [
    "capture",
    "channel_budget",
    "early_exit",
    "follow",
    "gate",
    "level_value",
    "per_level",
    "switch",
]

import operator
from collections.abc import Callable, Sequence
from typing import TypeVar, overload

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from dyncompile.errors import MarkerError
from dyncompile.knobs import Levels
from dyncompile.marker_operators import (
    aligned_with,
    budget_op,
    gate_op,
    hard_decision,
    kept_channels,
    picked,
    switch_op,
)
from dyncompile.naming import at_level, capture, current_scope, follow

Tree = TypeVar("Tree")


# --- the markers ----------------------------------------------------------------------------


@overload
def gate(take: Tensor, on: Tensor, off: Tensor | float, *, name: str | None = None) -> Tensor: ...
@overload
def gate(take: Tensor, on: Tree, off: Tree, *, name: str | None = None) -> Tree: ...
def gate(take: Tensor, on: object, off: object, *, name: str | None = None) -> object:
    """Choose ``on`` where ``take`` holds and ``off`` elsewhere; the other side need not run.

    Args:
        take: The decision: bool, or float with values 0 and 1. Shape [] (one per call) or
            [N] (one per sample; [N, 1], [N, 1, 1, 1] ... count as [N]).
        on: ``T[N, ...]``, or a tuple or list of tensors.
        off: The same structure, shapes and types as ``on``; a plain number stands for a
            tensor filled with it. An identity side (``off=x``) is the normal case.
        name: Name of the decision; by default the path of the module that is running.

    Returns:
        A tensor, or the structure of ``on``. The gradient reaches the side taken; a float
        ``take`` receives ``<g, on - off>`` per sample, as in mask-and-blend, so
        ``hard + soft - soft.detach()`` trains a straight-through gate.

    Raises:
        MarkerError: a decision of wrong type or shape, or sides that disagree.
    """
    on_leaves, structure = pytree.tree_flatten(on)
    off_leaves, off_structure = pytree.tree_flatten(off)
    where = _where("gate", name)
    if structure != off_structure or not on_leaves:
        raise MarkerError(
            f"the sides have different structure: {structure} and {off_structure}.",
            where=where,
            remedy="Return the same tensors, in the same order, from both sides.",
        )
    pairs = [_sides(where, a, b) for a, b in zip(on_leaves, off_leaves, strict=True)]
    _check_decision(where, take, [a for a, _ in pairs])
    decision, known = _decide_gate(take, name)
    chosen = [_select(decision, a, b, known) for a, b in pairs]
    return pytree.tree_unflatten(chosen, structure)


def early_exit(confident: Tensor, exit: Tree, rest: Tree, *, name: str | None = None) -> Tree:  # noqa: A002
    """Leave with ``exit`` where ``confident`` holds; go on to ``rest`` elsewhere.

    The same as ``gate(confident, exit, rest)``: see there for shapes, gradients and errors.
    """
    return gate(confident, exit, rest, name=name)


def switch(index: Tensor, options: Sequence[Tree], *, name: str | None = None) -> Tree:
    """Choose one of several options by number; the others need not run.

    Args:
        index: int64 of shape [] or [N], clamped to the options of this switch, whatever
            others on the same index have; or a float one-hot of shape [n] or [N, n], which
            receives the gradient ``<g, option>`` per option.
        options: n tensors ``T[N, ...]`` of one shape, or n tuples of such tensors.
        name: Name of the decision; by default the path of the module that is running.

    Raises:
        MarkerError: no options, an index of wrong type or shape, or options that disagree.
    """
    where = _where("switch", name)
    if not options:
        raise MarkerError("there is no option.", where=where, remedy="Give at least one.")
    flat = [pytree.tree_flatten(option) for option in options]
    structure = flat[0][1]
    for number, (leaves, other) in enumerate(flat):
        if other != structure or not leaves:
            raise MarkerError(
                f"option {number} has another structure than option 0.",
                where=where,
                remedy="Return the same tensors, in the same order, from every option.",
            )
        for first, leaf in zip(flat[0][0], leaves, strict=True):
            _sides(where, first, leaf)
    if not isinstance(index, Tensor):
        raise MarkerError(
            f"the index is {type(index).__name__}.",
            where=where,
            remedy="Give an int64 tensor; where Python knows the index, call that option.",
        )
    one_hot = index.is_floating_point()
    if one_hot and (index.ndim == 0 or index.shape[-1] != len(options)):
        raise MarkerError(
            f"a one-hot of shape {list(index.shape)} does not choose among {len(options)} options.",
            where=where,
            remedy="Give shape [n] or [N, n].",
        )
    if not one_hot and (index.dtype == torch.bool or index.is_complex()):
        raise MarkerError(
            f"the index has type {index.dtype}.",
            where=where,
            remedy="Give int64, or a float one-hot; for a bool use gate.",
        )
    _check_shape(where, index.shape[:-1] if one_hot else index.shape, flat[0][0])
    decision, known = _decide_switch(index, len(options), name)
    columns = zip(*(leaves for leaves, _ in flat), strict=True)
    chosen = [_choose(decision, list(column), known) for column in columns]
    joined: Tree = pytree.tree_unflatten(chosen, structure)
    return joined


def channel_budget(
    x: Tensor,
    level: Tensor,
    counts: Sequence[int],
    *,
    axis: int = 1,
    name: str | None = None,
) -> Tensor:
    """Keep the first ``counts[level]`` channels and zero the others, which then need not exist.

    Written after normalisation and activation: a bias behind it would revive dead channels. The
    compiler follows the dead channels in both directions, and leaves out of each convolution
    and linear layer what only they need.

    Args:
        x: ``T[N, C, ...]``, or channels along another ``axis``.
        level: int64 of shape [] or [N], clamped to the levels there are; usually a ``Levels``
            knob as it arrives in ``forward``.
        counts: How many channels each level keeps: from 1 to C, not decreasing.
        axis: The axis of the channels; never the first, which is the batch.
        name: Name of the decision; by default the path of the module that is running.

    Returns:
        ``T`` of the shape of ``x``; the gradient reaches the channels kept.

    Raises:
        MarkerError: ``x`` has no such axis, counts that decrease or lie outside of 1 to C, a
            level of wrong type or shape, or another number of counts than the knob has levels.
    """
    where = _where("channel_budget", name)
    if not isinstance(x, Tensor) or not _is_axis(axis, x.ndim):
        kind = _spell(x) if isinstance(x, Tensor) else type(x).__name__
        raise MarkerError(
            f"{kind} has no channels along axis {axis!r}.",
            where=where,
            remedy="Give a tensor of shape [N, C, ...], or say axis=; axis 0 is the batch.",
        )
    axis = operator.index(axis) % x.ndim
    kept = _check_counts(where, counts, x.shape[axis])
    _check_level(where, level, len(kept), x)
    index, known = _decide_switch(level, len(kept), name)
    if torch.compiler.is_exporting():
        budgeted: Tensor = budget_op(x, index, kept, axis, known)
        return budgeted
    return kept_channels(x, index, kept, axis)


def per_level(
    level: Tensor,
    fn: Callable[[int], Tree],
    count: int | None = None,
    *,
    name: str | None = None,
) -> Tree:
    """Run ``fn(k)`` for the level asked for, ``k`` a Python int: what differs per level.

    Eager runs only that level. Export calls ``fn`` once per level and joins the results with
    ``switch``; the artifact then runs only the level it is given.

    Args:
        level: int64 scalar, usually a ``Levels`` knob as it arrives in ``forward``.
        fn: Maps the number of a level to a tensor or a tuple of tensors.
        count: How many levels there are; needed only if ``level`` is not itself a knob.
        name: Name of the decision; by default the path of the module that is running.

    Raises:
        MarkerError: a level of wrong type or shape; at export also a number of levels that is
            unknown or not that of the knob, or levels that return different shapes.
    """
    where = _where("per_level", name)
    _check_index(where, level)
    scope = current_scope()
    knob = scope.knobs.get(id(level)) if scope else None
    if isinstance(knob, Levels):
        count = _check_count(where, count, len(knob.values))
    if torch.compiler.is_exporting():
        if count is None:
            raise MarkerError(
                "the number of levels is unknown.",
                where=where,
                remedy="Pass the Levels knob as forward received it, or say count=.",
            )
        results = [at_level(fn, k) for k in range(count)]
        _check_alike(where, results)
        return switch(level, results, name=name)
    if level.numel() != 1:
        raise MarkerError(
            f"the level has shape {list(level.shape)}, and one level runs per call.",
            where=where,
            remedy="Give a scalar; where each sample has its own level, use switch.",
        )
    asked = int(level)
    if scope:
        asked = scope.force(scope.name(level, name), asked, count)
    clamped = max(asked, 0) if count is None else min(max(asked, 0), count - 1)
    return at_level(fn, clamped)


def level_value(level: Tensor, values: Sequence[float]) -> Tensor:
    """Return the value of a level: ``values[level]``, the level clamped to the list.

    Args:
        level: int64 scalar.
        values: One number per level.

    Returns:
        float32 scalar, or int64 if all values are ints.
    """
    table = torch.tensor(values, device=level.device)
    return table[level.clamp(0, len(values) - 1)]


# --- from what the author wrote to what the operators take ------------------------------------


def _decide_gate(take: Tensor, name: str | None) -> tuple[Tensor, str]:
    """Return the decision as [] or [N], forced if a path says so, and its name."""
    scope = current_scope()
    flat = take.flatten() if take.ndim else take
    if scope is None:
        return flat, name or ""
    name = scope.name(take, name)
    if torch.compiler.is_exporting():
        return flat, name
    taken = scope.record(name, hard_decision(flat), 2)
    return (flat if taken is None else taken.bool()), name


def _decide_switch(index: Tensor, count: int, name: str | None) -> tuple[Tensor, str]:
    scope = current_scope()
    one_hot = index.is_floating_point()
    if torch.compiler.is_exporting():
        name = scope.name(index, name) if scope else name
        return (index.argmax(-1) if one_hot else index.long()), name or ""
    asked = index.argmax(-1) if one_hot else index.long()
    taken = None
    if scope is not None:
        name = scope.name(index, name)
        taken = scope.record(name, asked, count)
    if one_hot and taken is None:
        return index, name or ""
    return (asked if taken is None else taken).clamp(0, count - 1), name or ""


def _select(take: Tensor, on: Tensor, off: Tensor, name: str) -> Tensor:
    if not torch.compiler.is_exporting() and not take.requires_grad:
        return torch.where(aligned_with(hard_decision(take), on), on, off)
    decision = hard_decision(take) if torch.compiler.is_exporting() else take
    chosen: Tensor = gate_op(decision, on, off, name)
    return chosen


def _choose(index: Tensor, options: list[Tensor], name: str) -> Tensor:
    if torch.compiler.is_exporting() or index.requires_grad:
        chosen: Tensor = switch_op(index, options, name)
        return chosen
    if index.is_floating_point():
        index = index.argmax(-1)
    return picked(index, options)


def _where(marker: str, name: str | None) -> str:
    scope = current_scope()
    place = name or (scope.running[-1] if scope and scope.running else None)
    return f"{marker} {place!r}" if place else marker


def _sides(where: str, on: object, off: object) -> tuple[Tensor, Tensor]:
    if isinstance(off, (int, float)) and isinstance(on, Tensor):
        off = torch.full(on.shape, off, dtype=on.dtype, device=on.device)
    if isinstance(on, (int, float)) and isinstance(off, Tensor):
        on = torch.full(off.shape, on, dtype=off.dtype, device=off.device)
    if not (isinstance(on, Tensor) and isinstance(off, Tensor)):
        raise MarkerError(
            f"cannot choose between {type(on).__name__} and {type(off).__name__}.",
            where=where,
            remedy="Give tensors, or tuples of tensors.",
        )
    if on.shape != off.shape or on.dtype != off.dtype:
        raise MarkerError(
            f"the sides disagree: {_spell(on)} and {_spell(off)}.",
            where=where,
            remedy="Bring both sides to one shape and type.",
        )
    return on, off


def _spell(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')}{list(tensor.shape)}"


def _check_decision(where: str, take: object, sides: Sequence[Tensor]) -> None:
    if not isinstance(take, Tensor) or not (take.dtype == torch.bool or take.is_floating_point()):
        kind = _spell(take) if isinstance(take, Tensor) else type(take).__name__
        raise MarkerError(
            f"the decision is {kind}.",
            where=where,
            remedy="Give a bool tensor, or a float one with values 0 and 1.",
        )
    _check_shape(where, take.shape, sides)


def _check_shape(where: str, shape: Sequence[int], sides: Sequence[Tensor]) -> None:
    """A decision is [], or [N] (trailing ones allowed) over sides that all begin with N."""
    fits = len(shape) == 0 or all(
        side.ndim and (shape[0] == side.shape[0]) and all(n == 1 for n in shape[1:])
        for side in sides
    )
    if not fits:
        raise MarkerError(
            f"a decision of shape {list(shape)} does not fit sides of shape "
            f"{', '.join(str(list(side.shape)) for side in sides)}.",
            where=where,
            remedy="Decide once per call (shape []) or once per sample (shape [N]).",
        )


def _is_axis(axis: object, rank: int) -> bool:
    """Whether it is a whole number of an axis other than the first."""
    try:
        place = operator.index(axis)  # type: ignore[arg-type]
    except TypeError:
        return False
    return -rank < place < rank and place != 0


def _check_counts(where: str, counts: object, channels: int) -> list[int]:
    """Return the counts as Python ints."""
    remedy = "Give a list with one whole number per level."
    if isinstance(counts, Tensor) and torch.compiler.is_exporting():
        problem = "the counts are a tensor, whose numbers a trace does not know."
        raise MarkerError(problem, where=where, remedy=remedy)
    try:
        kept = [operator.index(count) for count in counts]  # type: ignore[attr-defined]
    except TypeError as error:
        raise MarkerError(f"the counts are {counts!r}.", where=where, remedy=remedy) from error
    if not kept or kept != sorted(kept) or kept[0] < 1 or kept[-1] > channels:
        raise MarkerError(
            f"the counts {kept} do not say how many of {channels} channels each level keeps.",
            where=where,
            remedy=f"Give one number per level, from 1 to {channels}, none below the one before.",
        )
    return kept


def _check_index(where: str, level: object) -> Tensor:
    is_index = isinstance(level, Tensor) and not (
        level.is_floating_point() or level.is_complex() or level.dtype == torch.bool
    )
    if not isinstance(level, Tensor) or not is_index:
        kind = _spell(level) if isinstance(level, Tensor) else type(level).__name__
        raise MarkerError(
            f"the level is {kind}.",
            where=where,
            remedy="Give an int64 tensor, such as a Levels knob as forward receives it.",
        )
    return level


def _check_count(where: str, count: int | None, of_knob: int) -> int:
    if count not in {None, of_knob}:
        raise MarkerError(
            f"count= is {count!r}, and the knob has {of_knob} levels.",
            where=where,
            remedy="Leave count= out: it is the knob that says how many levels there are.",
        )
    return of_knob


def _check_alike(where: str, results: Sequence[object]) -> None:
    """All levels have to return the same shapes and types; say which return what."""
    levels: dict[str, list[int]] = {}
    for level, result in enumerate(results):
        leaves = pytree.tree_leaves(result)
        if not all(isinstance(leaf, Tensor) for leaf in leaves):
            return  # switch says what is wrong with it
        levels.setdefault(", ".join(map(_spell, leaves)), []).append(level)
    if len(levels) > 1:
        listed = "; ".join(
            f"{kind} at level {', '.join(map(str, numbers))}" for kind, numbers in levels.items()
        )
        raise MarkerError(
            f"the levels return different shapes: {listed}.",
            where=where,
            remedy="Go on inside of fn until all levels have one shape, or pad up to it.",
        )


def _check_level(where: str, level: object, count: int, x: Tensor) -> None:
    level = _check_index(where, level)
    _check_shape(where, level.shape, [x])
    scope = current_scope()
    knob = scope.knobs.get(id(level)) if scope else None
    if knob is not None and (not isinstance(knob, Levels) or len(knob.values) != count):
        has = f"{len(knob.values)} levels" if isinstance(knob, Levels) else "no levels"
        raise MarkerError(
            f"it counts channels for {count} levels, and its knob has {has}.",
            where=where,
            remedy="Give one count per level of the knob.",
        )
