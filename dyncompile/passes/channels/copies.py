"""Replace the region of channel budgets by copies that have only the channels of their levels."""

from __future__ import annotations

__all__ = ["chosen_by_level", "specialise_region"]

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from dyncompile.dialect import DOMAIN, switch_op_type
from dyncompile.passes.channels.cuts import ChannelCuts
from dyncompile.passes.channels.level_copy import LevelCopy, like
from dyncompile.passes.channels.region import BudgetRegion
from dyncompile.passes.constants import shared_constant
from dyncompile.passes.copying import rewire


def specialise_region(
    home: ir.Graph, region: BudgetRegion, groups: Sequence[Sequence[int]]
) -> None:
    """Put one copy of the region per group of levels in its place, and switches where it ends.

    Before: ``y = Relu(Conv(x, w)); z = ChannelBudget(y, level); out = Conv(z, v)``
    After, for two levels: ``z0 = Relu(Conv(x, w[:8])); out0 = Conv(z0, v[:, :8]);
    z1 = Relu(Conv(x, w)); out1 = Conv(z1, v); out = Switch2(level, out0, out1)``

    A value that leaves the region is whole again: zeros stand for the channels that a level
    does not have. With one group of one level there is nothing to switch, and no decision.

    Args:
        home: The main graph, which holds the constants.
        region: Looked at for the same groups.
        groups: Levels in order, from 0 on if there are several groups.
    """
    name = min(budget.name for budget in region.budgets)
    copies = [
        LevelCopy(region.nodes, lives, levels, ChannelCuts(home, region.decision, levels), name)
        for lives, levels in zip(region.groups, groups, strict=True)
    ]
    for node in region.nodes:
        made = [new for copy in copies for new in copy.make(node)]
        for output in node.outputs:
            if region.used_outside(output) or output.is_graph_output():
                options = [copy.whole(output) for copy in copies]
                made += [new for copy in copies for new in copy.cuts.collect()]
                made += _joined(output, options, groups, region, name, home)
                _hand_over(output, made[-1].outputs[0], region)
        region.graph.insert_before(node, made)
    for node in region.nodes:
        rewire(node, lambda _: None)
    region.graph.remove(list(region.nodes))


def _hand_over(output: ir.Value, result: ir.Value, region: BudgetRegion) -> None:
    """Let everything outside of the region read a result in place of one of its values."""
    for user, index in region.used_outside(output):
        user.replace_input_with(index, result)
    if output.is_graph_output():
        result.name, output.name = output.name, None
        for place, value in enumerate(region.graph.outputs):
            if value is output:
                region.graph.outputs[place] = result


def chosen_by_level(
    home: ir.Graph, output: ir.Value, decision: ir.Value, by_level: Sequence[ir.Value], name: str
) -> list[ir.Node]:
    """Return nodes of which the last chooses by the level among values like ``output``.

    Args:
        home: The main graph, which holds the constants.
        output: What the result looks like.
        decision: The level.
        by_level: One value per level.
        name: That of the decision.
    """
    attributes = [ir.AttrString("name", name)]
    op_type = switch_op_type(len(by_level))
    if output.shape is None or len(output.shape) or not decision.shape:
        return [like(ir.Node(DOMAIN, op_type, [decision, *by_level], attributes), output)]
    # A scalar, and a decision of shape [1]: a marker chooses among rows.
    row_shape = shared_constant(home, "channels.1", np.array([1], np.int64))
    scalar_shape = shared_constant(home, "channels.", np.array([], np.int64))
    once = dict.fromkeys(by_level)
    rows = {option: ir.Node("", "Reshape", [option, row_shape]) for option in once}
    for row in rows.values():
        like(row, output).outputs[0].shape = ir.Shape([1])
    inputs = [decision, *(rows[option].outputs[0] for option in by_level)]
    switch = like(ir.Node(DOMAIN, op_type, inputs, attributes), output)
    switch.outputs[0].shape = ir.Shape([1])
    return [
        *rows.values(),
        switch,
        like(ir.Node("", "Reshape", [switch.outputs[0], scalar_shape]), output),
    ]


def _joined(
    output: ir.Value,
    options: Sequence[ir.Value | None],
    groups: Sequence[Sequence[int]],
    region: BudgetRegion,
    name: str,
    home: ir.Graph,
) -> list[ir.Node]:
    """Return nodes of which the last chooses by the level, or hands on the only copy."""
    known = next(option for option in options if option is not None)
    if len(groups) == 1:
        return [like(ir.Node("", "Identity", [known]), output)]
    by_level = [
        known if option is None else option  # where nobody reads it, any of that shape will do
        for option, levels in zip(options, groups, strict=True)
        for _ in levels
    ]
    return chosen_by_level(home, output, region.decision, by_level, name)
