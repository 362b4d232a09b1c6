"""Operators that join channels, or take some of them."""

from __future__ import annotations

__all__ = ["PARTS"]

from abc import abstractmethod
from collections.abc import Callable

import onnx_ir as ir

from dyncompile.passes.channels.rule import (
    NOTHING,
    WHATEVER,
    WHOLE,
    Alive,
    At,
    Cut,
    Rule,
    sizes_of,
)
from dyncompile.passes.channels.sets import Channels, Live
from dyncompile.passes.constants import constant_ints


class _Concat(Rule):
    """Joins channels, or joins along another axis."""

    @property
    def _axis(self) -> int:
        axis = self.node.attributes["axis"].as_int()
        return axis % len(sizes_of(self.node.outputs[0]) or (0,))

    def _parts(self) -> list[tuple[ir.Value, int, int]] | None:
        """Return each input, where it begins along the axis, and its size; None if unknown."""
        parts: list[tuple[ir.Value, int, int]] = []
        start = 0
        for value in self.node.inputs:
            assert value is not None
            sizes = sizes_of(value)
            size = sizes[self._axis] if sizes is not None else None
            if not isinstance(size, int):
                return None
            parts.append((value, start, size))
            start += size
        return parts

    def alive(self, index: int, alive: Alive) -> Live | None:
        """Return what is alive of the parts."""
        del index
        parts, lives = self._parts(), [alive(value) for value in self.node.inputs]
        axes = {live.axis for live in lives if live is not None}
        if parts is None or len(axes) != 1:
            return None
        (axis,) = axes
        if axis != self._axis:
            return self._alive_beside(axis, lives)
        total = sum(size for _, _, size in parts)
        joined = Channels(total, ())
        for (_, start, size), live in zip(parts, lives, strict=True):
            part = Channels.first(size, size) if live is None else live.channels
            joined |= part.placed(start, total)
        return Live(axis, joined)

    def _alive_beside(self, axis: int, lives: list[Live | None]) -> Live | None:
        joined: Channels | None = None
        for live in lives:
            if live is None:
                return None
            joined = live.channels if joined is None else joined | live.channels
        return None if joined is None else Live(axis, joined)

    def rounded(self, index: int, need: Live) -> Live | None:
        """Return the same, if the sizes of the parts are known."""
        del index
        return need if self._parts() is not None else None

    def wanted(self, index: int, out: Live | None, alive: Alive) -> list[Cut]:
        """Return the channels of each part."""
        del index, alive
        parts = self._parts()
        if out is None or parts is None:
            return [WHOLE] * len(self.node.inputs)
        if out.axis != self._axis:
            return [{out.axis: out.channels}] * len(self.node.inputs)
        cuts = [out.channels.part(start, size) for _, start, size in parts]
        # Several levels in one copy need the same values: of a part that one lacks, no channels.
        return [{out.axis: c} if c.spans or not self.at.alone else NOTHING for c in cuts]


# Where a piece begins along an axis, and its size; None if it is not entries one by one.
_Piece = tuple[int, int] | None


class _Part(Rule):
    """Slices and splits with constant bounds, along the axis of the channels or others."""

    @abstractmethod
    def _pieces(self, index: int) -> dict[int, _Piece] | None:
        """Return what is cut out along each axis that is cut; None if it is not known."""

    def _is_cut(self, axis: int, index: int) -> bool | None:
        """Whether channels are cut out along an axis; None if it is not known which."""
        pieces = self._pieces(index)
        if pieces is None or (axis in pieces and None in pieces.values()):
            return None
        return axis in pieces

    def takes(self, out: Live | None) -> bool:
        """Return whether it is spans of its input, whatever the channels are."""
        del out
        pieces = self._pieces(0) or {}
        return bool(pieces) and None not in pieces.values()

    def alive(self, index: int, alive: Alive) -> Live | None:
        """Return what is alive of the piece, or all along of what it was cut from."""
        live = alive(self.node.inputs[0])
        is_cut = None if live is None else self._is_cut(live.axis, index)
        if live is None or is_cut is None:
            return None
        piece = (self._pieces(index) or {}).get(live.axis)
        return live if piece is None else Live(live.axis, live.channels.part(*piece))

    def rounded(self, index: int, need: Live) -> Live | None:
        """Return the same, if it is known which channels of the input they are."""
        return None if self._is_cut(need.axis, index) is None else need

    def wanted(self, index: int, out: Live | None, alive: Alive) -> list[Cut]:
        """Return the channels of the input that the piece has."""
        del alive
        found: dict[int, Channels] = {} if out is None else {out.axis: out.channels}
        if not self.takes(out):
            return [found, *[WHOLE] * (len(self.node.inputs) - 1)]
        total = sizes_of(self.node.inputs[0]) or []
        for axis, piece in (self._pieces(index) or {}).items():
            size = total[axis]
            assert piece is not None
            assert isinstance(size, int), "an axis of which entries are known has a known size"
            there = found.get(axis, Channels.first(piece[1], piece[1]))
            found[axis] = there.placed(piece[0], size)
        return [found, *[NOTHING] * (len(self.node.inputs) - 1)]

    @property
    def why(self) -> str:
        """Why all are wanted."""
        return "its bounds are not constant, or what follows reads all channels"


class _Split(_Part):
    def _pieces(self, index: int) -> dict[int, _Piece] | None:
        before = sizes_of(self.node.inputs[0])
        after = [sizes_of(output) for output in self.node.outputs]
        if before is None:
            return None
        given = self.node.attributes.get("axis")
        axis = (given.as_int() if given is not None else 0) % len(before)
        found = [sizes[axis] for sizes in after if sizes is not None]
        known = [size for size in found if isinstance(size, int)]
        if len(known) != len(after) or sum(known) != before[axis]:
            return None
        return {axis: (sum(known[:index]), known[index])}


class _Slice(_Part):
    def _pieces(self, index: int) -> dict[int, _Piece] | None:
        del index
        before, after = sizes_of(self.node.inputs[0]), sizes_of(self.node.outputs[0])
        starts, axes, steps = (self._constant(place) for place in (1, 3, 4))
        if before is None or after is None or not starts or axes == [] or steps == []:
            return None
        named = [axis % len(before) for axis in axes or range(len(starts))]
        return {
            axis: _piece(start, step, before[axis], after[axis])
            for axis, start, step in zip(named, starts, steps or [1] * len(named), strict=True)
            if step != 1 or before[axis] != after[axis]
        }

    def _constant(self, place: int) -> list[int] | None:
        """Return an input that may be left out; nothing in it where it is not constant."""
        given = self.node.inputs[place] if len(self.node.inputs) > place else None
        return None if given is None else constant_ints(given) or []


def _piece(start: int, step: int, total: int | str, size: int | str) -> _Piece:
    if step != 1 or not isinstance(total, int) or not isinstance(size, int):
        return None
    return min(max(start + total if start < 0 else start, 0), total), size


class _ShapeOf(Rule):
    """Reads sizes; those of other axes are the same whatever is left of the channels."""

    def alive(self, index: int, alive: Alive) -> Live | None:
        """Return that all sizes are read."""
        del index, alive
        return None

    def rounded(self, index: int, need: Live) -> Live | None:
        """Return all."""
        del index, need
        return None

    def wanted(self, index: int, out: Live | None, alive: Alive) -> list[Cut]:
        """Return that any channels do, where their axis is not read."""
        del index, out
        value = self.node.inputs[0]
        live, rank = alive(value), len(sizes_of(value) or ())
        first, last = (self.node.attributes.get(name) for name in ("start", "end"))
        read = range(rank)[first.as_int() if first else 0 : last.as_int() if last else rank]
        return [WHATEVER if live is not None and live.axis not in read else WHOLE]


PARTS: dict[str, Callable[[ir.Node, At], Rule]] = {
    "Concat": _Concat,
    "Shape": _ShapeOf,
    "Slice": _Slice,
    "Split": _Split,
}
