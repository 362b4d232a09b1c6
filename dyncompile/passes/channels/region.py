"""The part of a graph that channel budgets on one level change."""

from __future__ import annotations

__all__ = ["BudgetRegion", "spell_node"]

from collections.abc import Iterator, Sequence

import onnx_ir as ir

from dyncompile.dialect import Budget, Selector
from dyncompile.errors import GraphError
from dyncompile.manifest import Barrier
from dyncompile.passes.channels.live import LiveChannels
from dyncompile.passes.channels.rule import NOTHING, WHATEVER, At, Cut
from dyncompile.passes.channels.sets import Live
from dyncompile.passes.scopes import graphs_of, inputs_of


class BudgetRegion:
    """The nodes of one graph that have less to do at some level, and what they do at each.

    Args:
        graph: Holds the budgets.
        budgets: Those of one decision; as many counts each.
        groups: Levels in order, those together that one copy of the region will serve.
    """

    def __init__(
        self, graph: ir.Graph, budgets: Sequence[Budget], groups: Sequence[Sequence[int]]
    ) -> None:
        self.graph = graph
        self.budgets = budgets
        self.decision = budgets[0].decision
        self.groups = [
            [LiveChannels(graph, At(self.decision, level, len(group) == 1)) for level in group]
            for group in groups
        ]
        self._every = [live for group in self.groups for live in group]
        self._unbudgeted = LiveChannels(graph, At(self.decision, None, alone=True))
        self._own = {budget.node for budget in budgets}
        self.nodes: dict[ir.Node, None] = {}
        for node in graph:
            if (
                self._is_idle(node)
                or self._is_changed(node)
                or self._chooses_changed(node)
                or self._lacks_input(node)
            ):
                self.nodes[node] = None

    def check(self) -> None:
        """Refuse budgets that cannot be meant.

        Raises:
            GraphError: a budget reaches no weight, or a bias revives its channels.
        """
        self._check_no_revival()
        self._check_reach()

    def used_outside(self, value: ir.Value) -> list[tuple[ir.Node, int]]:
        """Return the uses of a value by nodes that stay."""
        return [(user, index) for user, index in value.uses() if user not in self.nodes]

    def barriers(self) -> list[Barrier]:
        """Return where budgets end because something needs all channels."""
        found: dict[str, str] = {}
        for live in self._every:
            for node in self.graph:
                for value, why in _refused(node, live):
                    if self._deadened(value, live) is not None:
                        found.setdefault(spell_node(node), why)
            for value in self.graph.outputs:
                if self._deadened(value, live) is not None:
                    found.setdefault(f"output {value.name!r}", "the network returns all channels")
        return [Barrier(at, why) for at, why in found.items()]

    def _is_idle(self, node: ir.Node) -> bool:
        """Whether no level needs what a node computes."""
        return not any(live.is_needed(output) for live in self._every for output in node.outputs)

    def _is_changed(self, node: ir.Node) -> bool:
        return node in self._own or any(
            self._does(node, index, live) != self._does(node, index, self._unbudgeted)
            for live in self._every
            for index, output in enumerate(node.outputs)
            if live.is_needed(output)
        )

    @staticmethod
    def _does(node: ir.Node, index: int, live: LiveChannels) -> object:
        """Return which channels of an output a node computes, and of what."""
        if not live.is_needed(node.outputs[index]):
            return None
        out, rule = live.present(node.outputs[index]), live.rule(node)
        there = [
            live.present(value) if value is not None and live.is_needed(value) else None
            for value in (node.inputs if rule is not None and rule.takes(out) else ())
        ]
        return out, live.wanted(node, index), there

    def _chooses_changed(self, node: ir.Node) -> bool:
        """Whether a node selects by the level among values of the region."""
        selector = Selector.from_node(node)
        if selector is None or selector.decision is not self.decision:
            return False
        return any(option.producer() in self.nodes for option in selector.options)

    def _lacks_input(self, node: ir.Node) -> bool:
        """Whether a node runs at a level that does not compute one of its inputs."""
        made = [v for v in node.inputs if v is not None and v.producer() in self.nodes]
        return any(
            not live.is_needed(value)
            for live in self._every
            if any(live.is_needed(output) for output in node.outputs)
            for value in made
        )

    def _check_no_revival(self) -> None:
        for live in self._every:
            for node in self.graph:
                value = node.inputs[0] if node.inputs else None
                if node.op_type != "BatchNormalization" or node.domain or value is None:
                    continue
                output = node.outputs[0]
                before = self._deadened(value, live)
                if before is None or not live.is_needed(output) or self._is_of_level(output):
                    continue
                after = live.present(output)
                if after is None or after.channels & before.channels != after.channels:
                    raise _revived(node, self._budget_before(node, live))

    def _deadened(self, value: ir.Value, live: LiveChannels) -> Live | None:
        """Return which channels are alive, if budgets made others zero."""
        alive = live.alive(value)
        return None if alive == self._unbudgeted.alive(value) else alive

    def _is_of_level(self, value: ir.Value) -> bool:
        """Whether a value is one level's: an option of a switch on it."""
        users = (Selector.from_node(user) for user, _ in value.uses())
        return any(user is not None and user.decision is self.decision for user in users)

    def _budget_before(self, node: ir.Node, live: LiveChannels) -> Budget:
        """Return a budget whose dead channels reach a node."""
        pending, seen = [node], {node}
        while pending:
            node = pending.pop(0)
            budget = Budget.from_node(node)
            if budget is not None and node in self._own:
                return budget
            for value in node.inputs:
                producer = value.producer() if value is not None else None
                if producer is not None and live.alive(value) is not None and producer not in seen:
                    seen.add(producer)
                    pending.append(producer)
        raise AssertionError("dead channels come from a budget")

    def _check_reach(self) -> None:
        for budget in self.budgets:
            size = (budget.output.shape or ())[budget.axis]
            if budget.counts[0] != size and not self._reaches_weights(budget):
                raise GraphError(
                    "no convolution or linear layer has less to do for it.",
                    where=f"channel_budget {budget.name!r}",
                    remedy="Put it between layers that nothing but operators on single channels"
                    " parts from it, or remove it.",
                )

    def _reaches_weights(self, budget: Budget) -> bool:
        pending, seen = [budget.node], {budget.node}
        while pending:
            node = pending.pop()
            if self._has_less_to_multiply(node):
                return True
            for value, neighbour in _neighbours(node):
                if neighbour not in seen and self._leads_to(value, neighbour):
                    seen.add(neighbour)
                    pending.append(neighbour)
        return False

    def _leads_to(self, value: ir.Value, node: ir.Node) -> bool:
        """Whether a value that a node has to do with has fewer channels, or none, at a level."""
        if self._is_dropped(value):
            return True
        return node in self.nodes and any(
            live.is_needed(value) and live.present(value) is not None for live in self._every
        )

    def _is_dropped(self, value: ir.Value) -> bool:
        return self._unbudgeted.is_needed(value) and not all(
            live.is_needed(value) for live in self._every
        )

    def _has_less_to_multiply(self, node: ir.Node) -> bool:
        rule = self._unbudgeted.rule(node)
        if rule is None or not rule.weighted:
            return False
        return self._is_dropped(node.outputs[0]) or any(
            any(_cuts(cut) for cut in live.wanted(node, 0)[:2])
            for live in self._every
            if live.is_needed(node.outputs[0])
        )


def _neighbours(node: ir.Node) -> Iterator[tuple[ir.Value, ir.Node]]:
    for value in node.inputs:
        producer = value.producer() if value is not None else None
        if value is not None and producer is not None:
            yield value, producer
    for value in node.outputs:
        for user, _ in value.uses():
            yield value, user


def _cuts(cut: Cut) -> bool:
    return bool(cut) and cut is not NOTHING and cut is not WHATEVER


def _refused(node: ir.Node, live: LiveChannels) -> Iterator[tuple[ir.Value, str]]:
    """Yield the inputs that a node wants whole though some channels are dead, and why."""
    rule = live.rule(node)
    for index, output in enumerate(node.outputs):
        if not live.is_needed(output):
            continue
        for value, cut in zip(node.inputs, live.wanted(node, index), strict=True):
            if value is not None and _fills(live.alive(value), cut):
                why = "how it treats channels is not known" if rule is None else rule.why
                yield value, why
    if any(live.is_needed(output) for output in node.outputs) and any(graphs_of(node)):
        for value in set(inputs_of(node)) - set(node.inputs):
            yield value, "it has a body of its own"


def _fills(alive: Live | None, cut: Cut) -> bool:
    """Whether all channels are wanted, of which some are known to be zero."""
    if alive is None or cut is NOTHING or cut is WHATEVER:
        return False
    return alive.axis not in cut


def spell_node(node: ir.Node) -> str:
    """Name a node for people."""
    return f"{node.op_type} {node.name!r}" if node.name else node.op_type


def _revived(node: ir.Node, budget: Budget) -> GraphError:
    return GraphError(
        f"the BatchNormalization {node.name!r} behind it gives its dead channels a value again,"
        " that of its bias, and later layers read it.",
        where=f"channel_budget {budget.name!r}",
        remedy="Move the budget behind the normalisation and its activation.",
    )
