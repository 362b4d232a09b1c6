"""Compute what each level of a channel budget adds, and sum as far as the level goes."""

from __future__ import annotations

__all__ = ["sum_groups"]

from collections.abc import Sequence

import onnx_ir as ir

from dyncompile.dialect import Budget
from dyncompile.passes.channels.copies import chosen_by_level
from dyncompile.passes.channels.cuts import ChannelCuts
from dyncompile.passes.channels.groups import ChannelGroups
from dyncompile.passes.channels.level_copy import LevelCopy, like
from dyncompile.passes.copying import rewire


def sum_groups(
    home: ir.Graph, graph: ir.Graph, groups: ChannelGroups, budgets: Sequence[Budget]
) -> None:
    """Put in place of each layer that sums over channels the partial sums of the levels.

    Before: ``z = ChannelBudget(Relu(Conv(x, w)), level) {counts = [8, 16]}; out = Conv(z, v)``
    After: ``sum0 = Conv(Relu(Conv(x, w[:8])), v[:, :8]);
    sum1 = sum0 + Conv(Relu(Conv(x, w[8:])), v[:, 8:]); out = Switch2(level, sum0, sum1)``

    Every channel is computed in one place, so that a runtime that copies cut weights holds each
    once. The bias belongs to the first sum.

    Args:
        home: The main graph, which holds the constants.
        graph: Holds the budgets.
        groups: What levels add, without an obstacle.
        budgets: Those of the decision, under one name.
    """
    decision, name = budgets[0].decision, budgets[0].name
    copies = [
        LevelCopy(groups.nodes, [live], [level], ChannelCuts(home, decision, [level]), name)
        for level, live in enumerate(groups.lives)
    ]
    for budget in [one for one in budgets if one.node in groups.idle]:
        budget.output.replace_all_uses_with(budget.x)
    for node in [one for one in groups.nodes if one not in groups.idle]:
        made = [copy.make(node) for copy in copies]
        if node not in groups.sums:
            graph.insert_before(node, [new for nodes in made for new in nodes])
            continue
        output = node.outputs[0]
        sums, added = _partial_sums(node, made, groups)
        added += chosen_by_level(home, output, decision, sums, name)
        graph.insert_before(node, added)
        result = added[-1].outputs[0]
        if output.is_graph_output():
            result.name, output.name = output.name, None
        output.replace_all_uses_with(result, replace_graph_outputs=True)
        for copy in copies:
            copy.forget(output)
    for node in groups.nodes:
        rewire(node, lambda _: None)
    graph.remove(list(groups.nodes))


def _partial_sums(
    node: ir.Node, made: Sequence[Sequence[ir.Node]], groups: ChannelGroups
) -> tuple[list[ir.Value], list[ir.Node]]:
    """Return the sum up to each level, and the nodes that compute them."""
    sums: list[ir.Value] = []
    added: list[ir.Node] = []
    for level, nodes in enumerate(made):
        if level and not groups.adds(node, level):
            for new in nodes:
                rewire(new, lambda _: None)  # else it counts as a user of what it reads
            sums.append(sums[-1])
            continue
        *_, layer = nodes
        added += nodes
        if not level:
            sums.append(layer.outputs[0])
            continue
        if len(layer.inputs) > 2:
            layer.resize_inputs(2)
        total = like(ir.Node("", "Add", [sums[-1], layer.outputs[0]]), node.outputs[0])
        added.append(total)
        sums.append(total.outputs[0])
    return sums, added
