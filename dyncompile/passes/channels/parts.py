"""Operators that join channels, or take some of them."""

from __future__ import annotations

__all__ = ["PARTS"]

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
    constant_ints,
    sizes_of,
)
from dyncompile.passes.channels.sets import Channels, Live


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
        return [{out.axis: out.channels.part(start, size)} for _, start, size in parts]


class _Part(Rule):
    """Slices and splits with constant bounds."""

    def takes(self, out: Live | None) -> bool:
        """Return that it is channels of its input."""
        del out
        return True

    def _piece(self, index: int) -> tuple[int, int, int] | None:
        """Return the axis that is cut, where the piece begins and its size."""
        raise NotImplementedError

    def alive(self, index: int, alive: Alive) -> Live | None:
        """Return what is alive of the piece."""
        live, piece = alive(self.node.inputs[0]), self._piece(index)
        if live is None or piece is None:
            return None
        axis, start, size = piece
        return Live(axis, live.channels.part(start, size)) if live.axis == axis else None

    def rounded(self, index: int, need: Live) -> Live | None:
        """Return the same, if it is channels that are cut."""
        piece = self._piece(index)
        return need if piece is not None and piece[0] == need.axis else None

    def wanted(self, index: int, out: Live | None, alive: Alive) -> list[Cut]:
        """Return the channels of the input that the piece has."""
        del alive
        rest: list[Cut] = [NOTHING] * (len(self.node.inputs) - 1)
        piece = self._piece(index)
        if piece is None:
            return [WHOLE, *rest]
        axis, start, size = piece
        total = (sizes_of(self.node.inputs[0]) or [])[axis]
        assert isinstance(total, int)
        channels = Channels.first(size, size) if out is None else out.channels
        return [{axis: channels.placed(start, total)}, *rest]

    @property
    def why(self) -> str:
        """Why all are wanted."""
        return "its bounds are not constant, or what follows reads all channels"


class _Split(_Part):
    def _piece(self, index: int) -> tuple[int, int, int] | None:
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
        return axis, sum(known[:index]), known[index]


class _Slice(_Part):
    """Cuts one axis, which may be that of the channels or another."""

    def takes(self, out: Live | None) -> bool:
        """Return whether it is channels that are cut."""
        piece = self._piece(0)
        return piece is not None and out is not None and out.axis == piece[0]

    def alive(self, index: int, alive: Alive) -> Live | None:
        """Return what is alive of the piece, or all along of what it was cut from."""
        live, piece = alive(self.node.inputs[0]), self._piece(index)
        if live is None or piece is None or live.axis == piece[0]:
            return super().alive(index, alive)
        return live

    def rounded(self, index: int, need: Live) -> Live | None:
        """Return the same, if one axis is cut."""
        return need if self._piece(index) is not None else None

    def wanted(self, index: int, out: Live | None, alive: Alive) -> list[Cut]:
        """Return the channels of the piece, or the same channels."""
        if self.takes(out):
            return super().wanted(index, out, alive)
        rest: list[Cut] = [WHOLE] * (len(self.node.inputs) - 1)
        return [WHOLE if out is None else {out.axis: out.channels}, *rest]

    def _piece(self, index: int) -> tuple[int, int, int] | None:
        del index
        before, after = sizes_of(self.node.inputs[0]), sizes_of(self.node.outputs[0])
        starts = constant_ints(self.node.inputs[1])
        if before is None or after is None or starts is None:
            return None
        axes, steps = (self._constant(place) for place in (3, 4))
        named = [axis % len(before) for axis in axes or range(len(starts))]
        cut = [axis for axis in named if before[axis] != after[axis]]
        if axes == [] or steps == [] or len(cut) != 1:
            return None
        (axis,) = cut
        place, size, total = named.index(axis), after[axis], before[axis]
        one_by_one = steps is None or all(step == 1 for step in steps)
        if not one_by_one or not isinstance(size, int) or not isinstance(total, int):
            return None
        start = starts[place]
        return axis, min(max(start + total if start < 0 else start, 0), total), size

    def _constant(self, place: int) -> list[int] | None:
        """Return an input that may be left out; nothing in it where it is not constant."""
        given = self.node.inputs[place] if len(self.node.inputs) > place else None
        return None if given is None else constant_ints(given) or []


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
