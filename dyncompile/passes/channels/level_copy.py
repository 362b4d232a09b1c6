"""A copy of the region of channel budgets, with the channels that some levels have."""

from __future__ import annotations

__all__ = ["LevelCopy", "like"]

import json
from collections.abc import Container, Sequence

import onnx_ir as ir

from dyncompile.dialect import LEVEL_MACS
from dyncompile.macs import node_macs
from dyncompile.passes.channels.cuts import ChannelCuts, resized
from dyncompile.passes.channels.live import LiveChannels, whole_like
from dyncompile.passes.channels.rule import NOTHING, WHATEVER, WHOLE, Cut, Rule
from dyncompile.passes.channels.sets import Live


def like(node: ir.Node, value: ir.Value) -> ir.Node:
    """Return a node whose output looks like a value."""
    output = node.outputs[0]
    output.name, output.type, output.shape = value.name, value.type, value.shape
    output.metadata_props.update(value.metadata_props)
    return node


class LevelCopy:
    """A region at one group of levels.

    Args:
        nodes: The region.
        lives: What its values hold, at each of the levels.
        levels: Which levels these are.
        cuts: Makes nodes that cut.
        name: The decision on the level.
    """

    def __init__(
        self,
        nodes: Container[ir.Node],
        lives: Sequence[LiveChannels],
        levels: Sequence[int],
        cuts: ChannelCuts,
        name: str,
    ) -> None:
        self.cuts = cuts
        self._nodes = nodes
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

    def forget(self, value: ir.Value) -> None:
        """Let what is made from now on read a value of the region as it stands in the graph."""
        del self._became[value]

    def _present(self, value: ir.Value) -> list[Live | None]:
        """Return what is there of a value, at each level."""
        if value in self._became or value.producer() in self._nodes:
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
        like(new, node.outputs[0])
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
