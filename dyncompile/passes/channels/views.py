"""Operators that keep channels and move their axis: views, and reductions of other axes."""

from __future__ import annotations

__all__ = ["VIEWS"]

from collections.abc import Callable, Sequence
from operator import itemgetter

import onnx_ir as ir

from dyncompile.passes.channels.rule import (
    WHOLE,
    Alive,
    At,
    Cut,
    Rule,
    sizes_of,
)
from dyncompile.passes.channels.sets import Live
from dyncompile.passes.constants import constant_ints


class _View(Rule):
    """One axis of the input becomes one of the output; a channel may become several entries."""

    def link(
        self, *, into: int | None = None, out: int | None = None
    ) -> tuple[int, int, int] | None:
        """Return the axis in the input, that in the output, and how many entries a channel has.

        Args:
            into: The axis in the input, or None if it is asked for.
            out: The axis in the output, or None if it is asked for.
        """
        sizes = sizes_of(self.node.inputs[0]), sizes_of(self.node.outputs[0])
        if sizes[0] is None or sizes[1] is None:
            return None
        return _linked(sizes[0], sizes[1], into, out)

    def alive(self, index: int, alive: Alive) -> Live | None:
        """Return what becomes of what is alive."""
        del index
        live = alive(self.node.inputs[0])
        link = self.link(into=live.axis) if live is not None else None
        if live is None or link is None:
            return None
        return Live(link[1], live.channels.spread(link[2]))

    def rounded(self, index: int, need: Live) -> Live | None:
        """Return all entries of the channels needed."""
        del index
        link = self.link(out=need.axis)
        if link is None:
            return None
        return Live(need.axis, need.channels.gathered(link[2]).spread(link[2]))

    def wanted(self, index: int, out: Live | None, alive: Alive) -> list[Cut]:
        """Return the channels that the entries come from."""
        del index, alive
        rest: list[Cut] = [WHOLE] * (len(self.node.inputs) - 1)
        if out is None:
            return [WHOLE, *rest]
        link = self.link(out=out.axis)
        assert link is not None, "what is needed was rounded"
        return [{link[0]: out.channels.gathered(link[2])}, *rest]

    @property
    def why(self) -> str:
        """Why all are wanted."""
        return "it regroups the channels, or what follows reads all of them"


class _Reshape(_View):
    def sizes(self, out: Live) -> tuple[int, int, int] | None:
        """Return the entry of the channels, unless it says: as many as there are."""
        spelled = constant_ints(self.node.inputs[1])
        if spelled is not None and spelled[out.axis] in {-1, 0}:
            return None
        return 1, out.axis, out.channels.count

    def link(
        self, *, into: int | None = None, out: int | None = None
    ) -> tuple[int, int, int] | None:
        """Return the same as for other views, if the sizes are spelled by a constant."""
        spelled = constant_ints(self.node.inputs[1])
        found = super().link(into=into, out=out)
        if spelled is None or found is None:
            return None
        copied = {place for place, size in enumerate(spelled) if size == 0}
        return None if found[0] != found[1] and copied & {*found[:2]} else found


class _Squeeze(_View):
    def link(
        self, *, into: int | None = None, out: int | None = None
    ) -> tuple[int, int, int] | None:
        """Return the same as for other views, unless a single channel would be squeezed too."""
        is_named = "axes" in self.node.attributes or any(self.node.inputs[1:])
        return super().link(into=into, out=out) if is_named else None


class _Gather(_View):
    """Takes entries along another axis."""

    def link(
        self, *, into: int | None = None, out: int | None = None
    ) -> tuple[int, int, int] | None:
        """Return where an axis goes along which nothing is taken."""
        sizes = [sizes_of(value) for value in self.node.inputs]
        if sizes[0] is None or sizes[1] is None:
            return None
        given = self.node.attributes.get("axis")
        axis = (given.as_int() if given is not None else 0) % len(sizes[0])
        places = [*range(axis), *[axis] * len(sizes[1]), *range(axis + 1, len(sizes[0]))]
        if into is not None:
            return None if into == axis else (into, places.index(into), 1)
        assert out is not None
        return None if places[out] == axis else (places[out], out, 1)


class _Transpose(_View):
    def link(
        self, *, into: int | None = None, out: int | None = None
    ) -> tuple[int, int, int] | None:
        """Return where the axis goes."""
        rank = len(sizes_of(self.node.inputs[0]) or ())
        given = self.node.attributes.get("perm")
        perm = list(given.as_ints()) if given is not None else list(range(rank))[::-1]
        if into is not None:
            return into, perm.index(into), 1
        assert out is not None
        return perm[out], out, 1


class _Reduce(_View):
    """Reduces other axes; where zero is neutral, it may reduce that of the channels too."""

    def link(
        self, *, into: int | None = None, out: int | None = None
    ) -> tuple[int, int, int] | None:
        """Return where an axis goes that is not reduced."""
        axes, rank = self._axes(), len(sizes_of(self.node.inputs[0]) or ())
        if axes is None:
            return None
        kept = self.node.attributes.get("keepdims")
        keeps = kept is None or kept.as_int() == 1
        places = [axis for axis in range(rank) if keeps or axis not in axes]
        if into is not None:
            return (into, places.index(into), 1) if into not in axes else None
        assert out is not None
        return (places[out], out, 1) if places[out] not in axes else None

    def wanted(self, index: int, out: Live | None, alive: Alive) -> list[Cut]:
        """Return the same channels; of those that are added up, the ones alive."""
        live = alive(self.node.inputs[0])
        is_sum = self.node.op_type in {"ReduceSum", "ReduceSumSquare", "ReduceL1", "ReduceL2"}
        if out is None and live is not None and is_sum and live.axis in (self._axes() or ()):
            rest: list[Cut] = [WHOLE] * (len(self.node.inputs) - 1)
            return [{live.axis: live.channels}, *rest]
        return super().wanted(index, out, alive)

    def _axes(self) -> list[int] | None:
        rank = len(sizes_of(self.node.inputs[0]) or ())
        given: Sequence[int] | None = None
        if "axes" in self.node.attributes:
            given = self.node.attributes["axes"].as_ints()
        elif len(self.node.inputs) > 1 and self.node.inputs[1] is not None:
            given = constant_ints(self.node.inputs[1])
            if given is None:
                return None
        if not given:
            noop = self.node.attributes.get("noop_with_empty_axes")
            return [] if noop is not None and noop.as_int() else list(range(rank))
        return [axis % rank for axis in given]

    @property
    def why(self) -> str:
        """Why all are wanted."""
        return f"{self.node.op_type} works across the channels, or what follows reads all of them"


class _ReduceNotZero(_Reduce):
    """A reduction of zeros that is not zero."""

    def alive(self, index: int, alive: Alive) -> Live | None:
        """Return that all are."""
        del index, alive
        return None


class _Expand(_View):
    """Repeats other axes; along the channels it repeats nothing, or one for all."""

    def link(
        self, *, into: int | None = None, out: int | None = None
    ) -> tuple[int, int, int] | None:
        """Return the axis aligned at the right, if it is not repeated."""
        before, after = sizes_of(self.node.inputs[0]), sizes_of(self.node.outputs[0])
        if before is None or after is None or constant_ints(self.node.inputs[1]) is None:
            return None
        shift = len(after) - len(before)
        if into is None:
            assert out is not None
            into = out - shift
        if into < 0 or before[into] != after[into + shift]:
            return None
        return into, into + shift, 1

    def rounded(self, index: int, need: Live) -> Live | None:
        """Return the same; repeated channels are repeated as often as needed."""
        del index
        return need if constant_ints(self.node.inputs[1]) is not None else None

    def wanted(self, index: int, out: Live | None, alive: Alive) -> list[Cut]:
        """Return the same channels, or all of what is repeated."""
        if out is not None and self.link(out=out.axis) is None:
            return [WHOLE, WHOLE]
        return super().wanted(index, out, alive)

    def sizes(self, out: Live) -> tuple[int, int, int] | None:
        """Return the entry of the channels among the sizes."""
        spelled = constant_ints(self.node.inputs[1]) or []
        place = out.axis - (len(sizes_of(self.node.outputs[0]) or ()) - len(spelled))
        if place < 0 or spelled[place] == 1:
            return None
        return 1, place, out.channels.count


def _linked(
    before: list[int | str], after: list[int | str], into: int | None, out: int | None
) -> tuple[int, int, int] | None:
    """Return which axis becomes which by a reshape, and by how much it grows.

    The axis grows by those behind it that it is joined with. What stands before it has to stay.
    """
    found: list[tuple[int, int, int]] = []
    for a in range(len(before)) if into is None else (into,):
        for b in range(len(after)) if out is None else (out,):
            size, grown = before[a], after[b]
            if not isinstance(size, int) or not isinstance(grown, int) or grown % size:
                continue
            same_before = _without_ones(before[:a]) == _without_ones(after[:b])
            if same_before and _reaches(before[a + 1 :], grown // size):
                found.append((a, b, grown // size))
    return min(found, key=itemgetter(2), default=None)


def _reaches(behind: list[int | str], factor: int) -> bool:
    """Whether the product of the first axes is the factor."""
    product = 1
    for size in behind:
        if product >= factor or not isinstance(size, int):
            break
        product *= size
    return product == factor


def _without_ones(sizes: Sequence[int | str]) -> list[int | str]:
    return [size for size in sizes if size != 1]


VIEWS: dict[str, Callable[[ir.Node, At], Rule]] = {
    **dict.fromkeys(("Flatten", "Unsqueeze"), _View),
    **dict.fromkeys(("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin"), _Reduce),
    **dict.fromkeys(("ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceProd"), _Reduce),
    **dict.fromkeys(("ReduceLogSum", "ReduceLogSumExp"), _ReduceNotZero),
    "Expand": _Expand,
    "Gather": _Gather,
    "Reshape": _Reshape,
    "Squeeze": _Squeeze,
    "Transpose": _Transpose,
}
