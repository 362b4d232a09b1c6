"""Which decision to branch on first, and which selectors belong to it."""

from __future__ import annotations

__all__ = ["is_call_wide", "outermost_first", "selecting_inside", "sharing"]

import onnx_ir as ir

from dyncompile.dialect import Selector
from dyncompile.passes.exclusive_work import exclusive_work
from dyncompile.passes.heavy_nodes import is_heavy
from dyncompile.passes.scopes import Scopes, graphs_of, nested_nodes, sources_of
from dyncompile.passes.sequence import Sequence


def outermost_first(
    nodes: list[ir.Node], sequence: Sequence, scopes: Scopes
) -> tuple[list[list[ir.Node]], set[ir.Node]]:
    """Order decisions so that enclosing ones come before enclosed ones.

    A decision encloses what is its exclusive work. Selectors that it encloses are left to the
    branch they will stand in; two decisions may enclose selectors of each other. Among decisions
    that neither encloses, those made from data come before those that knobs make, which may
    repeat them whole, and later ones before earlier ones.

    Args:
        nodes: All selectors of the graph.
        sequence: The graph.
        scopes: Owners of the graphs nested in it.

    Returns:
        For each decision its selectors that nothing encloses, in order, and what is enclosed.
    """
    enclosed: set[ir.Node] = set()
    members: dict[ir.Value, list[ir.Node]] = {}
    inside: dict[ir.Value, set[ir.Value]] = {}
    for node in reversed(nodes):
        selector = Selector.from_node(node)
        assert selector is not None
        members.setdefault(selector.decision, []).insert(0, node)
        if node in enclosed or selector.decision in inside:
            continue
        masks = exclusive_work(sequence, scopes, selector.decision)
        enclosed.update(masks)
        found = (Selector.from_node(other) for other in masks)
        inside[selector.decision] = {s.decision for s in found if s} - {selector.decision}
    order: list[ir.Value] = []
    waiting = sorted(inside, key=is_call_wide)
    while waiting:
        free = (d for d in waiting if not any(d in inside[other] for other in waiting))
        order.append(next(free, waiting[0]))
        waiting.remove(order[-1])
    within = [group[0].decision for group in selecting_inside(sequence.graph)]
    for decision in {*members, *within} - set(order):
        masks = exclusive_work(sequence, scopes, decision)
        if decision in members or any(map(is_heavy, masks)):
            enclosed.update(masks)
    groups = [[node for node in members[d] if node not in enclosed] for d in order]
    return [group for group in groups if group], enclosed


def sharing(node: ir.Node, sequence: Sequence) -> list[Selector]:
    """Return the selectors of the graph that share the decision of one, in order."""
    selector = Selector.from_node(node)
    assert selector is not None
    users = {u for u, index in selector.decision.uses() if index == 0 and u in sequence}
    return [s for u in sequence.sorted(users) if (s := Selector.from_node(u)) is not None]


def selecting_inside(graph: ir.Graph) -> list[list[Selector]]:
    """Group the selectors of inner graphs whose decision is known in the graph already."""
    inside: set[ir.Graph] = set()
    groups: dict[ir.Value, list[Selector]] = {}
    for owner in graph:
        for node in (owner, *nested_nodes(owner)):
            inside.update(graphs_of(node))
            selector = Selector.from_node(node) if node is not owner else None
            if selector is not None:
                groups.setdefault(selector.decision, []).append(selector)
    return [group for decision, group in groups.items() if decision.graph not in inside]


def is_call_wide(decision: ir.Value) -> bool:
    """Whether a decision follows from scalar inputs alone: knobs, not data."""
    return all(
        source.is_initializer() or (source.shape is not None and not source.shape)
        for source in sources_of(decision)
    )
