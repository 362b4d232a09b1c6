"""Channel budgets whose levels only add: what each adds is computed apart, and summed."""

from __future__ import annotations

__all__ = ["ChannelGroups"]

import itertools
from collections.abc import Collection, Iterable, Iterator, Sequence

import onnx_ir as ir

from dyncompile.dialect import Selector
from dyncompile.passes.channels.live import LiveChannels
from dyncompile.passes.channels.region import BudgetRegion, spell_node
from dyncompile.passes.channels.rule import NOTHING, At
from dyncompile.passes.channels.sets import Channels, Live
from dyncompile.passes.constants import is_fixed
from dyncompile.passes.scopes import inputs_of

_SUMS = {"Conv", "ConvTranspose", "Gemm", "MatMul"}  # linear in the channels they read

_NOTHING = Live(0, Channels(0, ()))


class ChannelGroups:
    """The nodes of one graph that work on the channels a level adds, and those that sum these.

    ``Conv(Budget(Relu(Conv(x, a))), b)`` at the second of two levels is what it is at the first,
    and ``Conv(Relu(Conv(x, a[8:])), b[:, 8:])`` more. That holds where channels keep to themselves
    from the layers that compute them to those that sum over them, and where no channel of an
    earlier level depends on whether a later one is there.

    Args:
        region: What the budgets of one decision change, each level by itself.

    Attributes:
        lives: What each level adds, one after the other.
        nodes: All of these nodes, in order.
        sums: Of these, the ones that sum over channels; their outputs are whole.
        idle: Budgets that keep all channels at every level.
        obstacle: Why it cannot be done; None if it can.
    """

    def __init__(self, region: BudgetRegion) -> None:
        graph, decision = region.graph, region.decision
        self.lives = [
            LiveChannels(graph, At(decision, level, alone=True, group=True))
            for level in range(len(region.groups))
        ]
        self._whole = [live for (live,) in region.groups]  # each level with those before it
        self._unbudgeted = LiveChannels(graph, At(decision, None, alone=True))
        self.nodes: dict[ir.Node, None] = {}
        self.sums: set[ir.Node] = set()
        self.idle: set[ir.Node] = set()
        self._own = {budget.node: budget for budget in region.budgets}
        self._constants = _constants(graph)
        self._parts: dict[ir.Value, list[Live | None]] = {}  # of each level; None is all
        self._joined: dict[ir.Value, ir.Value] = {}
        self._missing: dict[ir.Value, set[int]] = {}  # levels that add nothing, by component
        self.obstacle = next(self._obstacles(graph), None)

    def adds(self, node: ir.Node, level: int) -> bool:
        """Whether a level adds anything to what a node sums."""
        value = node.inputs[0]
        assert value is not None, "what is summed is there"
        return level not in self._missing[self._component(value)]

    def _obstacles(self, graph: ir.Graph) -> Iterator[str]:
        for node in graph:
            read = [v for v in node.inputs if v is not None and self._is_split(v)]
            made = [v for v in node.outputs if self._is_split(v)]
            captured = set(inputs_of(node)) - set(node.inputs)
            if any(map(self._is_split, captured)):
                yield f"at {spell_node(node)}, a body reads its channels"
            if not (read or made or node in self._own):
                continue
            self.nodes[node] = None
            if not (read or made):
                self.idle.add(node)
                continue
            if not made and self._is_sum(node):
                self.sums.add(node)
                continue
            why = self._mixes(node, read, made)
            if why:
                yield f"at {spell_node(node)}, {why}"
            self._join([*read, *made])
        idle = {node.outputs[0] for node in self.idle}
        if any(self._is_split(value) or value in idle for value in graph.outputs):
            yield "the network returns its channels"
        yield from self._overlaps()

    def _mixes(
        self, node: ir.Node, read: Sequence[ir.Value], made: Sequence[ir.Value]
    ) -> str | None:
        """Return why a node does not keep the channels of different levels apart."""
        whole = [v for v in node.outputs if v not in made and (v.uses() or v.is_graph_output())]
        if made and whole:
            return "not all parts are channels of a budget"
        if node in self._own or not read:
            return None
        rule = self.lives[0].rule(node)
        if rule is None or not made:
            return "it may read all channels" if rule is None else rule.why
        if Selector.from_node(node) is not None:
            return "a decision is about its channels"
        group = node.attributes.get("group")
        if rule.weighted and (group is None or group.as_int() == 1):
            return "channels of a budget are made from channels of a budget"
        return None

    def _overlaps(self) -> Iterator[str]:
        """Yield budgets and values that disagree on which channels a level adds."""
        for budget in self._own.values():
            counts = [*budget.counts, *[budget.counts[-1]] * len(self.lives)][: len(self.lives)]
            pairs = enumerate(itertools.pairwise(counts), 1)
            missing = {level for level, (before, now) in pairs if before == now}
            known = self._missing.setdefault(self._component(budget.output), missing)
            if known != missing:
                yield f"{budget.name!r} counts otherwise than the budgets beside it"
        for node in self.nodes:
            if not all(self._is_fed(node, index) for index in range(len(node.outputs))):
                yield f"at {spell_node(node)}, channels of a level read those of a later one"
        for value in [*self._joined]:
            missing = self._missing.get(self._component(value), set())
            parts = [part for level, part in enumerate(self._parts[value]) if level not in missing]
            if any(itertools.starmap(_overlap, itertools.combinations(parts, 2))):
                yield f"channels of {value.name!r} are of more than one level"
            elif not self._is_complete(value, missing):
                yield f"what levels add is not all that they have of {value.name!r}"

    def _is_fed(self, node: ir.Node, index: int) -> bool:
        """Whether what a level adds to an output reads nothing that a later level changes."""
        output = node.outputs[index]
        for place, value in enumerate(node.inputs):
            if value is None or not self._is_split(value):
                continue
            missing = self._missing.get(self._component(value), set())
            ever = _union(_held(live, value) for live in self._whole)
            for level, (live, part) in enumerate(zip(self.lives, self._parts[value], strict=True)):
                if level in missing or part is None or not live.is_needed(output):
                    continue
                cut = live.wanted(node, index)[place]
                if cut is NOTHING:
                    continue
                reads = cut.get(part.axis, Channels.first(part.channels.size, part.channels.size))
                if ever is not None and ever.axis == part.axis:
                    reads &= ever.channels
                if (reads & part.channels).count < reads.count:
                    return False
        return True

    def _is_complete(self, value: ir.Value, missing: Collection[int]) -> bool:
        """Whether each level has of a value what it and those before it add, and nothing else.

        What two budgets let pass, one of them a level before the other, neither adds.
        """
        added: list[Live | None] = []
        for level, (part, live) in enumerate(zip(self._parts[value], self._whole, strict=True)):
            if level not in missing:
                added.append(part)
            if _union(added) != _held(live, value):
                return False
        return True

    def _is_sum(self, node: ir.Node) -> bool:
        """Whether a node is linear in the channels of its first input, and makes whole outputs."""
        rule, value, output = self.lives[0].rule(node), node.inputs[0], node.outputs[0]
        if node.op_type not in _SUMS or rule is None or value is None or not self._is_split(value):
            return False
        if any(v is not None and self._is_split(v) for v in node.inputs[1:]):
            return False
        return all(
            live.present(output) is None and _is_cut_along(live, node, part)
            for live, part in zip(self.lives, self._parts[value], strict=True)
        )

    def _is_split(self, value: ir.Value) -> bool:
        """Whether levels add channels of a value each, and it is not constant."""
        if value in self._constants or is_fixed(value):
            return False
        if value not in self._parts:
            self._parts[value] = [_held(live, value) for live in self.lives]
        return any(part != _held(self._unbudgeted, value) for part in self._parts[value])

    def _join(self, values: Sequence[ir.Value]) -> None:
        """Note that values have to do with each other."""
        for value in values:
            self._joined.setdefault(value, value)
            self._joined[self._component(value)] = self._component(values[0])

    def _component(self, value: ir.Value) -> ir.Value:
        while self._joined.setdefault(value, value) is not value:
            value = self._joined[value]
        return value


def _constants(graph: ir.Graph) -> set[ir.Value]:
    """Return what is computed from constants alone."""
    found: set[ir.Value] = set()
    for node in graph:
        if all(v is None or v in found or is_fixed(v) for v in inputs_of(node)):
            found.update(node.outputs)
    return found


def _held(live: LiveChannels, value: ir.Value) -> Live | None:
    return live.present(value) if live.is_needed(value) else _NOTHING


def _overlap(one: Live | None, other: Live | None) -> bool:
    if one is None or other is None:
        return True
    if _NOTHING in {one, other}:
        return False
    return one.axis != other.axis or bool((one.channels & other.channels).spans)


def _union(parts: Iterable[Live | None]) -> Live | None:
    """Return the channels of any part; parts have one axis."""
    joined = _NOTHING
    for part in parts:
        if part is None:
            return None
        if joined == _NOTHING:
            joined = part
        elif part != _NOTHING:
            joined = Live(part.axis, joined.channels | part.channels)
    return None if joined != _NOTHING and joined.channels.is_all else joined


def _is_cut_along(live: LiveChannels, node: ir.Node, part: Live | None) -> bool:
    return part is None or part.axis in live.wanted(node, 0)[0]
