"""Cut values to the channels that a level has, by constants or by what the level says."""

from __future__ import annotations

__all__ = ["ChannelCuts", "resized"]

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from dyncompile.dialect import CUTS
from dyncompile.passes.channels.rule import Cut
from dyncompile.passes.channels.sets import Channels, Live
from dyncompile.passes.constants import is_fixed, shared_constant

_FEW = 8  # numbers that still make a name
_ABSENT = -1  # a channel that is wanted and not there: it is zero


class ChannelCuts:
    """Makes nodes that leave channels out of values, or put zeros in their place.

    For one level all bounds are constants: a weight cut so is folded when a runtime loads the
    file. For several, the bounds are looked up in a table by the level.

    Args:
        home: The main graph, which holds the constants.
        decision: The level, int64 of shape [] or [1].
        levels: Which levels are served.
    """

    def __init__(self, home: ir.Graph, decision: ir.Value, levels: Sequence[int]) -> None:
        self._home = home
        self._decision = decision
        self._levels = tuple(levels)
        self._looked_up: dict[str, ir.Value] = {}
        self._row: ir.Value | None = None
        self._new: list[ir.Node] = []

    def collect(self) -> list[ir.Node]:
        """Return the nodes made since the last call, in order."""
        made, self._new = self._new, []
        return made

    def take(self, value: ir.Value, have: Sequence[Live | None], want: Sequence[Cut]) -> ir.Value:
        """Return a value that holds the wanted channels; those that are not there as zeros.

        Args:
            value: Holds some channels along one axis.
            have: These, at each level served; None is all.
            want: The channels wanted, at each level served.
        """
        axes = {axis for cut in want for axis in cut} | {live.axis for live in have if live}
        slices: dict[int, tuple[list[int], list[int]]] = {}
        for axis in sorted(axes):
            there = [live.channels if live and live.axis == axis else None for live in have]
            wanted = [cut.get(axis) for cut in want]
            size = next(one.size for one in (*there, *wanted) if one is not None)
            whole = Channels.first(size, size)
            counts = [(live or whole).count for live in there]
            places = [
                (cut or whole).positions(live or whole)
                for cut, live in zip(wanted, there, strict=True)
            ]
            if all(at == list(range(n)) for at, n in zip(places, counts, strict=True)):
                continue
            if all(_is_span(at) for at in places):
                starts = [at[0] if at else 0 for at in places]
                slices[axis] = starts, [a + len(at) for a, at in zip(starts, places, strict=True)]
            else:
                value = self._moved(value, axis, places, counts)
        return self._sliced(value, slices) if slices else value

    def sizes(self, spelled: ir.Value, entries: Sequence[tuple[int, int]]) -> ir.Value:
        """Return sizes spelled by a constant, with another one at one entry, at each level."""
        tensor = ir.convenience.get_const_tensor(spelled)
        assert tensor is not None, "sizes are constant here"
        rows = []
        for entry, count in entries:
            row = np.array(tensor.numpy(), np.int64)
            row[entry] = count
            rows.append(row)
        return self._by_level(np.stack(rows))

    def _sliced(self, value: ir.Value, cuts: dict[int, tuple[list[int], list[int]]]) -> ir.Value:
        starts = np.array([one for one, _ in cuts.values()], np.int64).T
        ends = np.array([one for _, one in cuts.values()], np.int64).T
        axes = self._constant(np.array(list(cuts), np.int64))
        inputs = [value, self._by_level(starts), self._by_level(ends), axes]
        lengths = (ends - starts).T
        return self._add("Slice", inputs, value, dict(zip(cuts, lengths.tolist(), strict=True)))

    def _moved(
        self, value: ir.Value, axis: int, places: list[list[int]], counts: list[int]
    ) -> ir.Value:
        """Return channels in any order of places, zeros where there are none."""
        rank = len(value.shape or ())
        lengths = [len(at) for at in places]
        around = [_zeros_around(at, count) for at, count in zip(places, counts, strict=True)]
        framed = all(one is not None for one in around)
        pads = np.zeros((len(places), 2 * rank), np.int64)
        pads[:, [axis, rank + axis]] = [one if framed and one else (0, 1) for one in around]
        if any(_ABSENT in at for at in places):
            sizes = {axis: [n + sum(one) for n, one in zip(counts, pads.tolist(), strict=True)]}
            value = self._add("Pad", [value, self._by_level(pads)], value, sizes)
        if framed:
            return value
        rows = np.zeros((len(places), max(lengths)), np.int64)
        for row, (at, count) in enumerate(zip(places, counts, strict=True)):
            rows[row, : len(at)] = [count if place == _ABSENT else place for place in at]
        indices = self._by_level(rows)
        if len(set(lengths)) > 1:
            ends = self._by_level(np.array([lengths], np.int64).T)
            zero = self._constant(np.array([0], np.int64))
            indices = self._add("Slice", [indices, zero, ends], indices, {0: lengths})
        return self._add("Gather", [value, indices], value, {axis: lengths}, axis=axis)

    def _by_level(self, rows: NDArray[np.int64]) -> ir.Value:
        """Return the row of the level: a constant where all are the same."""
        if (rows == rows[0]).all():
            return self._constant(rows[0])
        key = f"{rows.shape}{rows.tolist()}"
        if key not in self._looked_up:
            table = self._constant(rows)
            node = ir.Node("", "Gather", [table, self._level()])
            self._new.append(node)
            found = node.outputs[0]
            found.name, found.type = f"{self._decision.name}.entry", table.type
            found.shape = ir.Shape(rows.shape[1:])
            self._looked_up[key] = found
        return self._looked_up[key]

    def _level(self) -> ir.Value:
        """Return the row of the tables that the level stands for: int64[]."""
        if self._row is None:
            first = self._constant(np.array(self._levels[0], np.int64))
            last = self._constant(np.array(self._levels[-1], np.int64))
            shape = self._constant(np.zeros(0, np.int64))
            level = self._add("Reshape", [self._decision, shape], self._decision, {})
            level.shape = ir.Shape(())
            self._new[-1].metadata_props[CUTS] = "level"
            level = self._add("Clip", [level, first, last], level, {})
            self._row = self._add("Sub", [level, first], level, {})
        return self._row

    def _constant(self, array: NDArray[np.int64]) -> ir.Value:
        spelled = array.flatten().tolist() if array.size <= _FEW else array.shape
        return shared_constant(self._home, "channels." + "_".join(map(str, spelled)), array)

    def _add(
        self,
        op_type: str,
        inputs: Sequence[ir.Value],
        like: ir.Value,
        sizes: dict[int, list[int]],
        **attributes: int,
    ) -> ir.Value:
        """Add a node whose output is like a value but for sizes along some axes."""
        made = [ir.AttrInt64(name, number) for name, number in attributes.items()]
        node = ir.Node("", op_type, inputs, made)
        self._new.append(node)
        output = node.outputs[0]
        output.name, output.type = "cut" if is_fixed(like) else like.name, like.type
        output.shape = resized(like.shape, sizes)
        return output


def _zeros_around(places: list[int], count: int) -> tuple[int, int] | None:
    """Return how many zeros stand before and behind all that is there; None if it is not so."""
    before = next((n for n, place in enumerate(places) if place != _ABSENT), 0)
    behind = len(places) - before - count
    wanted = [*[_ABSENT] * before, *range(count), *[_ABSENT] * behind]
    return (before, behind) if behind >= 0 and places == wanted else None


def _is_span(places: list[int]) -> bool:
    """Whether places follow each other, and something stands at all of them."""
    first = places[0] if places else 0
    return first != _ABSENT and places == list(range(first, first + len(places)))


def resized(shape: ir.Shape | None, sizes: dict[int, list[int]]) -> ir.Shape | None:
    """Return a shape with other sizes along some axes; one that depends on the level is unknown."""
    if shape is None:
        return None
    dims = list(shape)
    for axis, counts in sizes.items():
        dims[axis] = counts[0] if len(set(counts)) == 1 else ir.SymbolicDim(None)
    return ir.Shape(dims)
