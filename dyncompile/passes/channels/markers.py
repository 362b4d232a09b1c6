"""How markers treat channels."""

from __future__ import annotations

__all__ = ["marker_rule"]

import onnx_ir as ir

from dyncompile.dialect import Budget, Selector
from dyncompile.passes.channels.elementwise import First, Selecting
from dyncompile.passes.channels.rule import NOTHING, WHOLE, Alive, At, Cut, Rule, sizes_of
from dyncompile.passes.channels.sets import Channels, Live


def marker_rule(node: ir.Node, at: At) -> Rule | None:
    """Return how a marker treats channels at a level; None for every other node."""
    selector, budget = Selector.from_node(node), Budget.from_node(node)
    if at.level is None:
        if budget is not None:
            return First(node, at)
        return None if selector is None else Selecting(node, at)
    if budget is not None:
        return (OwnBudget if budget.decision is at.decision else OtherBudget)(node, at)
    if selector is None:
        return None
    is_own = selector.decision is at.decision and node.op_type != "Gate"
    return (OwnSwitch if is_own and at.alone and not at.group else Selecting)(node, at)


class OwnSwitch(Rule):
    """A switch on the level that is specialised: one of its options."""

    def takes(self, out: Live | None) -> bool:
        """Return that it is channels of its input."""
        del out
        return True

    def alive(self, index: int, alive: Alive) -> Live | None:
        """Return what is alive of the option."""
        del index
        selector = Selector.from_node(self.node)
        assert selector is not None
        return alive(selector.option(_level(self.at)))

    def wanted(self, index: int, out: Live | None, alive: Alive) -> list[Cut]:
        """Return the same channels of the option."""
        del index, alive
        cut: Cut = WHOLE if out is None else {out.axis: out.channels}
        cuts = [NOTHING] * len(self.node.inputs)
        cuts[1 + min(_level(self.at), len(cuts) - 2)] = cut
        return cuts


class OwnBudget(Rule):
    """A budget on the level that is specialised."""

    def takes(self, out: Live | None) -> bool:
        """Return that it is channels of its input."""
        del out
        return True

    def alive(self, index: int, alive: Alive) -> Live | None:
        """Return what the level, or it alone of all levels up to it, keeps of what is alive."""
        del index
        budget = Budget.from_node(self.node)
        assert budget is not None
        size = (sizes_of(budget.output) or [])[budget.axis]
        assert isinstance(size, int), "counts were checked against the channels"
        level, last = _level(self.at), len(budget.counts) - 1
        first = budget.counts[min(level - 1, last)] if self.at.group and level else 0
        kept = Channels.of(size, [(first, budget.counts[min(level, last)])])
        before = alive(budget.x)
        if before is not None and before.axis == budget.axis:
            kept &= before.channels
        return Live(budget.axis, kept)

    def wanted(self, index: int, out: Live | None, alive: Alive) -> list[Cut]:
        """Return the channels kept."""
        del index, alive
        return [WHOLE if out is None else {out.axis: out.channels}, NOTHING]


class OtherBudget(First):
    """A budget on another level: of fewer channels it keeps fewer, the first at least."""

    def alive(self, index: int, alive: Alive) -> Live | None:
        """Return what is alive of the input, and the first channel."""
        live = super().alive(index, alive)
        return None if live is None else _with_first(live)

    def rounded(self, index: int, need: Live) -> Live | None:
        """Return the same and the first channel, which the other level always keeps."""
        del index
        budget = Budget.from_node(self.node)
        assert budget is not None
        return _with_first(need) if need.axis == budget.axis else need

    def wanted(self, index: int, out: Live | None, alive: Alive) -> list[Cut]:
        """Return the same channels, and the level."""
        return [super().wanted(index, out, alive)[0], WHOLE]

    def attributes(self, out: Live | None, alive: Alive) -> dict[str, ir.Attr]:
        """Return how many channels of those left each level keeps."""
        del alive
        budget = Budget.from_node(self.node)
        assert budget is not None
        if out is None or out.axis != budget.axis:
            return {}
        size = out.channels.size
        left = [(out.channels & Channels.first(count, size)).count for count in budget.counts]
        return {"counts": ir.AttrInt64s("counts", left)}


def _with_first(live: Live) -> Live:
    return Live(live.axis, live.channels | Channels.first(1, live.channels.size))


def _level(at: At) -> int:
    assert at.level is not None, "without a level, no marker is its own"
    return at.level
