"""Which work only some options of a decision need."""

from __future__ import annotations

__all__ = ["exclusive_work"]

import heapq
from collections.abc import Iterable

import onnx_ir as ir

from dyncompile.dialect import Selector
from dyncompile.passes.scopes import Scopes, inputs_of
from dyncompile.passes.sequence import Sequence


def exclusive_work(
    sequence: Sequence, scopes: Scopes, selectors: Iterable[Selector]
) -> dict[ir.Node, int]:
    """Return the nodes that are not needed under every option of one decision.

    Args:
        sequence: The graph looked at.
        scopes: Owners of the graphs nested in it.
        selectors: All selectors of the graph that share one decision.

    Returns:
        Node to bit mask: bit i is set if the node is needed under option i. Nodes needed under
        all options are left out. Every other decision counts as undecided.

    The walk goes backwards from the options and stops at the first node that is always needed,
    so its cost is the work found, not the graph.
    """
    selectors = list(selectors)
    decision = selectors[0].decision
    count = max(len(selector.options) for selector in selectors)
    full = (1 << count) - 1
    masks: dict[ir.Node, int] = {}
    queue: list[tuple[tuple[int, int], int, ir.Node]] = []
    seen: set[ir.Node] = set()

    def visit(values: Iterable[ir.Value]) -> None:
        for value in values:
            node = value.producer()
            if node is not None and node in sequence and node not in seen:
                seen.add(node)
                slot, place = sequence.position(node)
                heapq.heappush(queue, ((-slot, -place), len(seen), node))

    for selector in selectors:
        visit(selector.options)
    while queue:
        *_, node = heapq.heappop(queue)
        mask = 0
        for output in node.outputs:
            if output.is_graph_output():
                mask = full
            for user, index in output.uses():
                if mask == full:
                    break
                mask |= _needed_by(user, index, decision, count) & masks.get(
                    scopes.within(user, sequence.graph), full
                )
        if mask != full:
            masks[node] = mask
            visit(inputs_of(node))
    return masks


def _needed_by(user: ir.Node, index: int, decision: ir.Value, count: int) -> int:
    selector = Selector.from_node(user)
    if selector is None or selector.decision is not decision:
        return (1 << count) - 1
    return sum(1 << number for number in selector.numbers_of_input(index, count))
