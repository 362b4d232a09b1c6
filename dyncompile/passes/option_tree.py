"""Plan where the work of one decision goes: which options share it, which split comes first."""

from __future__ import annotations

__all__ = ["Plan", "Region", "plan_branches"]

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import onnx_ir as ir

from dyncompile.dialect import Selector
from dyncompile.macs import node_macs
from dyncompile.passes.scopes import graphs_of, inputs_of

_MOST_POSTPONED = 2
_SMALL_MACS = 16_000_000  # some 0.2 ms: a hand-over costs a few microseconds
_SMALL_BYTES = 1_000_000


@dataclass(frozen=True)
class Region:
    """The nodes that one group of selectors takes with it into branches.

    Attributes:
        nodes: In topological order: exclusive work, the selectors, and what lies between them.
        needed: Bit mask of the options each node is needed under.
        selectors: The selectors on the decision among the nodes.
        count: Number of options.
    """

    nodes: Sequence[ir.Node]
    needed: Mapping[ir.Node, int]
    selectors: Mapping[ir.Node, Selector]
    count: int

    def under(self, value: ir.Value, options: Iterable[int]) -> ir.Value | None:
        """Return what a value is under the given options; None if they differ."""
        seen = {self._under_one(value, option) for option in options}
        return seen.pop() if len(seen) == 1 else None

    def _under_one(self, value: ir.Value, option: int) -> ir.Value:
        while (node := value.producer()) is not None and node in self.selectors:
            value = self.selectors[node].option(option)
        return value


@dataclass(frozen=True)
class Plan:
    """What runs at one place of the tree over options, and how it splits further.

    Attributes:
        options: The options that lead here.
        nodes: What they all need and no place above has computed, in order.
        wanted: The values that the place hands on.
        split: The two halves, or None at a leaf.
    """

    options: tuple[int, ...]
    nodes: Sequence[ir.Node]
    wanted: Sequence[ir.Value]
    split: tuple[Plan, Plan] | None = None


def plan_branches(region: Region, wanted: Sequence[ir.Value]) -> Plan:
    """Plan the tree for a region: work goes where exactly the options that need it pass.

    Nested sets of options become a ladder, disjoint ones a balanced tree. Where sets overlap
    without nesting, the split that repeats the least work is taken, and the rest is repeated.
    What a branch hands to the next costs a runtime a change of layout on either side, so on two
    of three rungs of a ladder small work is not done at the rung but repeated in both halves.
    """
    return _plan(region, tuple(range(region.count)), wanted, frozenset())


def _plan(
    region: Region,
    options: tuple[int, ...],
    wanted: Sequence[ir.Value],
    done: AbstractSet[ir.Node],
    postponed: int = 0,
) -> Plan:
    reached = _reached(region, options, wanted) - done
    here = _shared_by_all(region, options, reached)
    rest = reached.difference(here)
    open_ = [w for w in wanted if _is_open(region, options, w, rest)]
    if not open_:
        return Plan(options, here, wanted)
    halves = _split(region, options, rest)
    if here and postponed < _MOST_POSTPONED and _is_worth_repeating(here):
        here, postponed = [], postponed + 1
        open_ = [w for w in wanted if _is_open(region, options, w, reached)]
    else:
        postponed = 0
    below = done | set(here)
    first, second = (_plan(region, half, open_, below, postponed) for half in halves)
    return Plan(options, here, wanted, (first, second))


def _is_worth_repeating(nodes: Sequence[ir.Node]) -> bool:
    """Whether a copy in either half is better than handing results across a branch."""
    if any(any(graphs_of(node)) for node in nodes):
        return False
    weights = {value for node in nodes for value in inputs_of(node) if value.is_initializer()}
    stored = sum(value.const_value.nbytes for value in weights if value.const_value is not None)
    return sum(map(node_macs, nodes)) <= _SMALL_MACS and stored <= _SMALL_BYTES


def _is_open(
    region: Region, options: tuple[int, ...], value: ir.Value, rest: AbstractSet[ir.Node]
) -> bool:
    """Whether the value is still to be computed by one of the halves."""
    known = region.under(value, options)
    return known is None or known.producer() in rest


def _reached(region: Region, options: tuple[int, ...], wanted: Sequence[ir.Value]) -> set[ir.Node]:
    """Everything the wanted values depend on within the region, under any of the options."""
    mask = _mask(options)
    reached: set[ir.Node] = set()
    asked: set[ir.Value] = set()
    stack = list(wanted)
    while stack:
        value = stack.pop()
        if value in asked:
            continue
        asked.add(value)
        node = value.producer()
        if node is None or node not in region.needed:
            continue
        if node in region.selectors:
            selector = region.selectors[node]
            stack.extend(selector.option(option) for option in options)
        elif node not in reached and region.needed[node] & mask:
            reached.add(node)
            stack.extend(inputs_of(node))
    return reached


def _shared_by_all(
    region: Region, options: tuple[int, ...], reached: AbstractSet[ir.Node]
) -> list[ir.Node]:
    """The nodes that all options need and that wait for no selector still undecided."""
    mask = _mask(options)
    shared: list[ir.Node] = []
    late: set[ir.Node] = set()
    for node in region.nodes:
        if node not in reached:
            continue
        known = [region.under(value, options) for value in inputs_of(node)]
        waits = any(value is None or value.producer() in late for value in known)
        if waits or region.needed[node] & mask != mask:
            late.add(node)
        else:
            shared.append(node)
    return shared


def _split(
    region: Region,
    options: tuple[int, ...],
    rest: AbstractSet[ir.Node],
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    if len(options) == 2:
        return options[:1], options[1:]
    mask = _mask(options)
    sets = {region.needed[node] & mask for node in rest} - {0, mask}
    groups = _connected(options, sets)
    if len(groups) > 1:
        return _balanced(groups)
    crossing = {
        candidate: sum(
            1
            for node in rest
            if (part := region.needed[node] & mask) & candidate and part & (mask ^ candidate)
        )
        for candidate in sorted(sets) or [1 << options[0]]
    }
    best = min(crossing, key=lambda c: (crossing[c], abs(len(options) - 2 * c.bit_count()), c))
    inside = tuple(option for option in options if best >> option & 1)
    outside = tuple(option for option in options if not best >> option & 1)
    return inside, outside


def _connected(options: Sequence[int], sets: Iterable[int]) -> list[tuple[int, ...]]:
    """Group options that share work, in the order of their first option."""
    groups = [1 << option for option in options]
    for shared in sets:
        touched = [group for group in groups if group & shared]
        groups = [group for group in groups if not group & shared]
        groups.append(_union(touched))
    members = [tuple(o for o in options if group >> o & 1) for group in groups]
    return sorted(members)


def _balanced(groups: Sequence[tuple[int, ...]]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Cut an ordered list of groups where both parts have about the same number of options."""
    total = sum(map(len, groups))
    cuts = range(1, len(groups))
    cut = min(cuts, key=lambda c: (abs(total - 2 * sum(map(len, groups[:c]))), c))
    first = sorted(option for group in groups[:cut] for option in group)
    second = sorted(option for group in groups[cut:] for option in group)
    return tuple(first), tuple(second)


def _union(masks: Iterable[int]) -> int:
    whole = 0
    for mask in masks:
        whole |= mask
    return whole


def _mask(options: Iterable[int]) -> int:
    return _union(1 << option for option in options)
