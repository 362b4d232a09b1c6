"""Which channels of every value are alive at one level: not known to be zero, and needed."""

from __future__ import annotations

__all__ = ["LiveChannels", "whole_like"]

from collections.abc import Iterable

import onnx_ir as ir

from dyncompile.passes.channels.elementwise import ELEMENTWISE
from dyncompile.passes.channels.maps import MAPS
from dyncompile.passes.channels.markers import marker_rule
from dyncompile.passes.channels.parts import PARTS
from dyncompile.passes.channels.rule import NOTHING, WHATEVER, WHOLE, At, Cut, Rule
from dyncompile.passes.channels.sets import Channels, Live
from dyncompile.passes.channels.views import VIEWS
from dyncompile.passes.channels.weighted import WEIGHTED
from dyncompile.passes.scopes import inputs_of

_RULES = {**ELEMENTWISE, **MAPS, **VIEWS, **PARTS, **WEIGHTED}


class LiveChannels:
    """The channels that the nodes of one graph compute at one level.

    Two walks. Forwards: a budget makes channels zero, and operators that keep zeros hand them on.
    Backwards: from the outputs of the graph, what each node wants of its inputs. A channel is
    present if it may differ from zero and something needs it; at least one is, wherever
    anything is needed, because no operator works on nothing.

    A value is followed along one axis. An operator that is not known wants all of its inputs
    and gives all of its outputs.

    Args:
        graph: Flat; what nested graphs capture is wanted whole.
        at: The level.
    """

    def __init__(self, graph: ir.Graph, at: At) -> None:
        self._at = at
        self._rules = {node: self._rule(node) for node in graph}
        self._alive: dict[ir.Value, Live] = {}
        self._need: dict[ir.Value, Live | None] = {}
        self._look_forwards(graph)
        self._look_backwards(graph)

    def rule(self, node: ir.Node) -> Rule | None:
        """Return how the node treats channels; None if that is not known."""
        return self._rules[node]

    def is_needed(self, value: ir.Value) -> bool:
        """Whether anything of the value is needed at this level."""
        return value in self._need

    def alive(self, value: ir.Value | None) -> Live | None:
        """Return the channels that may differ from zero; None is all."""
        return None if value is None else self._alive.get(value)

    def present(self, value: ir.Value) -> Live | None:
        """Return the channels of a needed value that are there; None is all."""
        alive, need = self._alive.get(value), self._need[value]
        if need is None or alive is None:
            found = alive or need
        else:
            found = Live(alive.axis, alive.channels & need.channels)
        return None if found is None or found.channels.is_all else found

    def wanted(self, node: ir.Node, index: int, like: Live | None = None) -> list[Cut]:
        """Return what a node wants of each input for what is there of one output.

        Args:
            node: Any node of the graph.
            index: Which output; it is needed.
            like: Where all of the output is there, all is said along the axis of this.
        """
        rule, out = self._rules[node], self.present(node.outputs[index])
        if rule is None:
            return [WHOLE] * len(node.inputs)
        cuts = rule.wanted(index, out or whole_like(like), self.alive)
        return [cut if cut is NOTHING or cut is WHATEVER else _shortened(cut) for cut in cuts]

    def _rule(self, node: ir.Node) -> Rule | None:
        marker = marker_rule(node, self._at)
        make = _RULES.get(node.op_type) if not node.domain else None
        more = any(v.uses() or v.is_graph_output() for v in node.outputs[1:])
        if marker is not None or make is None or (more and node.op_type != "Split"):
            return marker
        return make(node, self._at)

    def _look_forwards(self, graph: ir.Graph) -> None:
        for node in graph:
            rule = self._rules[node]
            if rule is None:
                continue
            for index, output in enumerate(node.outputs):
                live = rule.alive(index, self.alive)
                if live is None or live.channels.is_all:
                    continue
                if not live.channels.spans:
                    live = Live(live.axis, live.channels.lowest())
                self._alive[output] = live

    def _look_backwards(self, graph: ir.Graph) -> None:
        self._want((value, WHOLE) for value in graph.outputs)
        self._want([(self._at.decision, WHOLE)])  # which of the copies runs is still decided
        for node in reversed(graph):
            for index, output in enumerate(node.outputs):
                if output in self._need:
                    self._settle(node, index)
                    self._want(
                        (value, cut)
                        for value, cut in zip(node.inputs, self.wanted(node, index), strict=True)
                        if value is not None
                    )
            if node.attributes and any(output in self._need for output in node.outputs):
                captured = set(inputs_of(node)) - set(node.inputs)
                self._want((value, WHOLE) for value in captured)

    def _settle(self, node: ir.Node, index: int) -> None:
        """Round what is needed of an output, now that everything that needs it is known."""
        value, rule = node.outputs[index], self._rules[node]
        need, alive = self._need[value], self._alive.get(value)
        if need is not None and alive is not None:
            if need.axis != alive.axis:
                need = None
            elif not (need.channels & alive.channels).spans:
                need = Live(need.axis, need.channels | alive.channels.lowest())
        elif need is not None and not need.channels.spans:
            need = Live(need.axis, need.channels.lowest())
        if need is not None:
            need = None if rule is None else rule.rounded(index, need)
        self._need[value] = None if need is None or need.channels.is_all else need

    def _want(self, wants: Iterable[tuple[ir.Value, Cut]]) -> None:
        for value, cut in wants:
            if cut is NOTHING:
                continue
            if cut is WHATEVER:
                live = self._alive[value]
                cut = {live.axis: Channels(live.channels.size, ())}  # noqa: PLW2901
            self._need[value] = self._joined(value, cut)

    def _joined(self, value: ir.Value, cut: Cut) -> Live | None:
        """Return what is needed of a value together with what was."""
        if len(cut) != 1:
            return None
        ((axis, channels),) = cut.items()
        if value not in self._need:
            return Live(axis, channels)
        before = self._need[value]
        if before is None or before.axis != axis:
            return None
        return Live(axis, before.channels | channels)


def whole_like(live: Live | None) -> Live | None:
    """Return all channels along the axis of some."""
    if live is None:
        return None
    return Live(live.axis, Channels.first(live.channels.size, live.channels.size))


def _shortened(cut: Cut) -> Cut:
    """Return the same without axes of which all is wanted."""
    return {axis: channels for axis, channels in cut.items() if not channels.is_all}
