"""Replace the region of channel budgets by copies that have only the channels of their levels."""

from __future__ import annotations

__all__ = ["specialise_region"]

import json
from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from dyncompile.dialect import DOMAIN, LEVEL_MACS, switch_op_type
from dyncompile.macs import node_macs
from dyncompile.passes.channels.cuts import ChannelCuts, resized
from dyncompile.passes.channels.live import LiveChannels, whole_like
from dyncompile.passes.channels.region import BudgetRegion
from dyncompile.passes.channels.rule import NOTHING, WHATEVER, WHOLE, Cut, Rule
from dyncompile.passes.channels.sets import Live
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
        _Copy(region, lives, levels, ChannelCuts(home, region.decision, levels), name)
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
        return [_like(ir.Node("", "Identity", [known]), output)]
    by_level = [
        known if option is None else option  # where nobody reads it, any of that shape will do
        for option, levels in zip(options, groups, strict=True)
        for _ in levels
    ]
    attributes = [ir.AttrString("name", name)]
    op_type = switch_op_type(len(by_level))
    decision = region.decision
    if output.shape is None or len(output.shape) or not decision.shape:
        return [_like(ir.Node(DOMAIN, op_type, [decision, *by_level], attributes), output)]
    # A scalar, and a decision of shape [1]: a marker chooses among rows.
    row_shape = shared_constant(home, "channels.1", np.array([1], np.int64))
    scalar_shape = shared_constant(home, "channels.", np.array([], np.int64))
    once = dict.fromkeys(by_level)
    rows = {option: ir.Node("", "Reshape", [option, row_shape]) for option in once}
    for row in rows.values():
        _like(row, output).outputs[0].shape = ir.Shape([1])
    inputs = [decision, *(rows[option].outputs[0] for option in by_level)]
    switch = _like(ir.Node(DOMAIN, op_type, inputs, attributes), output)
    switch.outputs[0].shape = ir.Shape([1])
    return [
        *rows.values(),
        switch,
        _like(ir.Node("", "Reshape", [switch.outputs[0], scalar_shape]), output),
    ]


def _like(node: ir.Node, value: ir.Value) -> ir.Node:
    """Return a node whose output looks like a value."""
    output = node.outputs[0]
    output.name, output.type, output.shape = value.name, value.type, value.shape
    output.metadata_props.update(value.metadata_props)
    return node


class _Copy:
    """The region at one group of levels."""

    def __init__(
        self,
        region: BudgetRegion,
        lives: Sequence[LiveChannels],
        levels: Sequence[int],
        cuts: ChannelCuts,
        name: str,
    ) -> None:
        self.cuts = cuts
        self._region = region
        self._lives = lives
        self._levels = levels
        self._name = name
        self._became: dict[ir.Value, ir.Value] = {}

    def make(self, node: ir.Node) -> list[ir.Node]:
        """Compute the needed outputs of a node; return the new nodes, in order."""
        made: list[ir.Node] = []
        for index, output in enumerate(node.outputs):
            if not self._lives[0].is_needed(output):
                continue
            rule = self._lives[0].rule(node)
            outs = self._present(output)
            some = next(filter(None, outs), None)  # another level may have all
            wants = [live.wanted(node, index, some) for live in self._lives]
            if rule is not None and rule.takes(some):
                self._became[output] = self._taken(node, wants)
                made += self.cuts.collect()
                continue
            new = self._built(node, rule, [out or whole_like(some) for out in outs], wants)
            made += [*self.cuts.collect(), new]
            self._became[output] = new.outputs[0]
        return made

    def whole(self, value: ir.Value) -> ir.Value | None:
        """Return all channels of a value of the region; None if no level here needs it."""
        if not self._lives[0].is_needed(value):
            return None
        return self.cuts.take(self._became[value], self._present(value), [WHOLE] * len(self._lives))

    def _present(self, value: ir.Value) -> list[Live | None]:
        """Return what is there of a value, at each level."""
        if value in self._became or value.producer() in self._region.nodes:
            return [live.present(value) for live in self._lives]
        return [None] * len(self._lives)

    def _taken(self, node: ir.Node, wants: Sequence[Sequence[Cut]]) -> ir.Value:
        place = next(n for n, cut in enumerate(wants[0]) if cut is not NOTHING)
        value = node.inputs[place]
        assert value is not None, "what is wanted is there"
        return self._cut(value, [cuts[place] for cuts in wants])

    def _cut(self, value: ir.Value, want: Sequence[Cut]) -> ir.Value:
        current = self._became.get(value, value)
        if any(cut is WHATEVER for cut in want):
            return current
        return self.cuts.take(current, self._present(value), want)

    def _built(
        self,
        node: ir.Node,
        rule: Rule | None,
        outs: Sequence[Live | None],
        wants: Sequence[Sequence[Cut]],
    ) -> ir.Node:
        inputs = [
            None if value is None else self._cut(value, [cuts[place] for cuts in wants])
            for place, value in enumerate(node.inputs)
            if not _is_empty_part(node, [cuts[place] for cuts in wants])
        ]
        attributes = dict(node.attributes)
        if rule is not None:
            attributes |= rule.attributes(outs[0], self._lives[0].alive)
            spelled = [rule.sizes(out) for out in outs if out is not None]
            found = [one for one in spelled if one is not None]
            if found:
                place = found[0][0]
                sizes = node.inputs[place]
                assert sizes is not None, "sizes are spelled there"
                inputs[place] = self.cuts.sizes(sizes, [one[1:] for one in found])
        new = ir.Node(
            node.domain,
            node.op_type,
            inputs,
            list(attributes.values()),
            num_outputs=len(node.outputs),
            version=node.version,
            metadata_props=dict(node.metadata_props),
        )
        _like(new, node.outputs[0])
        new.outputs[0].shape = resized(node.outputs[0].shape, _counts_by_axis(outs))
        if rule is not None and rule.weighted and len(self._lives) > 1:
            new.metadata_props[LEVEL_MACS] = self._spell_macs(node, wants)
        return new

    def _spell_macs(self, node: ir.Node, wants: Sequence[Sequence[Cut]]) -> str:
        """Return what the node multiplies at each level, as ``cost.py`` reads it."""
        whole = node_macs(node)
        macs = {}
        for level, cuts in zip(self._levels, wants, strict=True):
            share = 1.0
            for channels in (cuts[1] or cuts[0]).values():  # all of the weight, and fewer rows
                share *= channels.count / channels.size
            macs[level] = round(whole * share)
        rows = [macs.get(level, 0) for level in range(self._levels[-1] + 1)]
        return json.dumps({"decision": self._name, "macs": rows})


def _counts_by_axis(outs: Sequence[Live | None]) -> dict[int, list[int]]:
    """Return how many channels there are at each level, along each axis that one has fewer of."""
    sizes = {out.axis: out.channels.size for out in outs if out is not None}
    return {
        axis: [out.channels.count if out and out.axis == axis else size for out in outs]
        for axis, size in sizes.items()
    }


def _is_empty_part(node: ir.Node, cuts: Sequence[Cut]) -> bool:
    """Whether nothing is left of an input of Concat."""
    if node.op_type != "Concat":
        return False
    return all(bool(cut) and not any(channels.spans for channels in cut.values()) for cut in cuts)
