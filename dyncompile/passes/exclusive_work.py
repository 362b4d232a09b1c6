"""Which work only some options of a decision need."""

from __future__ import annotations

__all__ = ["exclusive_work", "numbers_needed"]

import heapq
from collections.abc import Iterable, Iterator

import onnx_ir as ir

from dyncompile.dialect import PINNED, Selector, option_count
from dyncompile.passes.returned_values import ReadersOutside
from dyncompile.passes.scopes import Scopes, graphs_of, inputs_of
from dyncompile.passes.sequence import Sequence


def exclusive_work(sequence: Sequence, scopes: Scopes, decision: ir.Value) -> dict[ir.Node, int]:
    """Return the nodes that are not needed under every option of one decision.

    Args:
        sequence: The graph looked at.
        scopes: Owners of the graphs nested in it.
        decision: What selectors of the graph, or of graphs nested in it, choose by.

    Returns:
        Node to bit mask: bit i is set if the node is needed under option i. Nodes needed under
        all options are left out, and so are pinned ones. Every other decision counts as undecided.
        What a branch returns is needed where it is read.

    The walk goes backwards from the options and stops at the first node that is always needed,
    so its cost is the work found, not the graph.
    """
    needs = _Needs(sequence, scopes, decision)
    queue: list[tuple[tuple[int, int], int, ir.Node]] = []
    seen: set[ir.Node] = set()

    def visit(values: Iterable[ir.Value]) -> None:
        for node in _producers(values, sequence, scopes, seen):
            slot, place = sequence.position(node)
            heapq.heappush(queue, ((-slot, -place), len(seen), node))

    for selector in needs.selectors:
        visit(selector.options)
    while queue:
        *_, node = heapq.heappop(queue)
        mask = needs.of_outputs(node)
        if mask != needs.full and PINNED not in node.metadata_props:
            needs.known[node] = mask
            visit(inputs_of(node))
    return {node: mask for node, mask in needs.known.items() if node in sequence}


def _producers(
    values: Iterable[ir.Value], sequence: Sequence, scopes: Scopes, seen: set[ir.Node]
) -> Iterator[ir.Node]:
    """Yield unseen nodes of the graph that values come from; those of inner graphs lead to them."""
    pending = list(values)
    while pending:
        node = pending.pop().producer()
        if node is None or node in seen:
            continue
        seen.add(node)
        if node in sequence:
            yield node
        elif scopes.find(node, sequence.graph) is not None:
            pending.extend(inputs_of(node))


class _Needs:
    """Under which options of a decision nodes are needed, for nodes asked about last first."""

    def __init__(self, sequence: Sequence, scopes: Scopes, decision: ir.Value) -> None:
        self._graph = sequence.graph
        self._scopes = scopes
        self._decision = decision
        self._count = option_count(decision)
        self.full = (1 << self._count) - 1
        self.known: dict[ir.Node, int] = {}
        self._outside = ReadersOutside(sequence.graph, scopes, self._decision, self._count)
        self._entered: set[ir.Node] = set()
        self.selectors = [
            selector
            for user, index in decision.uses()
            if index == 0 and (selector := Selector.from_node(user)) is not None
            if scopes.find(user, sequence.graph) is not None
        ]
        # Only where an inner graph selects by this decision too can it need less than its owner.
        self._within = {
            scopes.within(selector.node, self._graph)
            for selector in self.selectors
            if selector.node.graph is not self._graph
        }

    def of_outputs(self, node: ir.Node, as_output: int | None = None) -> int:
        """Return when the outputs of a node are needed.

        Args:
            node: A node of the graph, or of one nested in it.
            as_output: When the outputs of the nested graph are needed.
        """
        mask = 0
        for output in node.outputs:
            if output.is_graph_output():
                mask |= self._outside.options(output) if as_output is None else as_output
            for user, index in output.uses():
                if mask == self.full:
                    return mask
                mask |= numbers_needed(user, index, self._decision, self._count) & self._of(user)
        return mask

    def _of(self, user: ir.Node) -> int:
        outer = self._scopes.within(user, self._graph)
        mask = self.known.get(outer, self.full)
        if outer is user or outer not in self._within:
            return mask
        if outer not in self._entered:
            self._entered.add(outer)
            self._enter(outer, mask)
        return self.known[user]

    def _enter(self, owner: ir.Node, mask: int) -> None:
        for graph in graphs_of(owner):
            for node in reversed(graph):
                self.known[node] = self.of_outputs(node, mask)
                self._enter(node, self.known[node])


def numbers_needed(user: ir.Node, index: int, decision: ir.Value, count: int) -> int:
    """Return the options of the decision, as bits, under which a node reads one of its inputs."""
    selector = Selector.from_node(user)
    if selector is None or selector.decision is not decision:
        return (1 << count) - 1
    return sum(1 << number for number in selector.numbers_of_input(index, count))
