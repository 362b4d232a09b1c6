"""Which nodes go into one If together."""

from __future__ import annotations

__all__ = ["returning", "runs", "with_work"]

from collections.abc import Container, Iterator, Mapping

import onnx_ir as ir

from dyncompile.dialect import PINNED, Selector
from dyncompile.passes.decision_order import is_call_wide
from dyncompile.passes.heavy_nodes import is_heavy
from dyncompile.passes.scopes import inputs_of, nested_nodes
from dyncompile.passes.sequence import Sequence

_SHORT = 8
_MOST_COPIES = 32


def runs(
    selectors: list[Selector],
    masks: Mapping[ir.Node, int],
    enclosed: Container[ir.Node],
    sequence: Sequence,
) -> Iterator[tuple[list[Selector], set[ir.Node]]]:
    """Group selectors of one decision, in order, with the nodes between that they take along.

    Args:
        selectors: Those that nothing encloses.
        masks: The exclusive work of the decision.
        enclosed: The exclusive work of any decision.
        sequence: The graph.
    """
    call_wide = len(selectors) > 1 and is_call_wide(selectors[0].decision)
    group, absorbed = [selectors[0]], set[ir.Node]()
    below = {selectors[0].node}  # what depends on the group, up to the selector looked at
    last = selectors[0].node
    for selector in selectors[1:]:
        for node in sequence.between(last, selector.node):
            if any(value.producer() in below for value in inputs_of(node)):
                below.add(node)
        taken = absorbed | {member.node for member in group}
        between = _on_the_way(selector.node, below - taken, masks)
        waits = any(node in enclosed and is_heavy(node) for node in between)
        if not waits and _may_repeat(between, call_wide=call_wide, copies=len(selector.options)):
            absorbed |= between
            group.append(selector)
            below.add(selector.node)
        else:
            yield group, absorbed
            group, absorbed, below = [selector], set(), {selector.node}
        last = selector.node
    yield group, absorbed


def _on_the_way(node: ir.Node, below: set[ir.Node], masks: Mapping[ir.Node, int]) -> set[ir.Node]:
    """Return the nodes from the group to the given one that are not exclusive work."""
    found: set[ir.Node] = set()
    stack = [node]
    while stack:
        for value in inputs_of(stack.pop()):
            before = value.producer()
            if before in below and before not in found:
                found.add(before)
                stack.append(before)
    return {node for node in found if node not in masks}


def _may_repeat(between: set[ir.Node], *, call_wide: bool, copies: int) -> bool:
    """Whether nodes may stand in every branch: light ones, or anything that a knob decides."""
    if any(Selector.from_node(node) or PINNED in node.metadata_props for node in between):
        return False
    if not call_wide:
        return len(between) <= _SHORT and not any(map(is_heavy, between))
    for node in between:
        for inner in (node, *nested_nodes(node)):
            copies *= 2 if inner.op_type == "If" else 1
    return copies <= _MOST_COPIES


def with_work(nodes: set[ir.Node], masks: Mapping[ir.Node, int]) -> set[ir.Node]:
    """Return the nodes and the exclusive work that they need."""
    found = set(nodes)
    stack = list(nodes)
    while stack:
        for value in inputs_of(stack.pop()):
            node = value.producer()
            if node is not None and node in masks and node not in found:
                found.add(node)
                stack.append(node)
    return found


def returning(nodes: set[ir.Node], sequence: Sequence) -> set[ir.Node]:
    """Return the nodes whose results come back to the others by way of nodes outside.

    Exclusive work may be used by an enclosed selector too, elsewhere in the graph. Where the
    rest of the nodes waits for that use, such work has to be done first, in an If of its own.
    """
    ordered = sequence.sorted(nodes)
    outside: dict[ir.Node, set[ir.Node]] = {}
    for node in sequence.between(ordered[0], ordered[-1]):
        before = {value.producer() for value in inputs_of(node)}
        sources = {source for b in before if b in outside for source in outside[b]}
        if node in nodes:
            if sources:
                return sources
        elif sources or before & nodes:
            outside[node] = sources | {b for b in before if b is not None and b in nodes}
    last = {value.producer() for value in inputs_of(ordered[-1])}
    return {source for b in last if b in outside for source in outside[b]}
