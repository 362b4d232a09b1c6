"""Move the work of every decision into the branches of Ifs."""

from __future__ import annotations

__all__ = ["ALIASES", "DECISION", "BranchOnDecisions"]

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import onnx_ir as ir

from dyncompile.dialect import Selector, option_count
from dyncompile.passes.build_branches import BranchBuilder, like
from dyncompile.passes.exclusive_work import exclusive_work
from dyncompile.passes.fold_implied_selectors import FOLDED
from dyncompile.passes.name_uniquely import NameUniquely
from dyncompile.passes.option_tree import Region, plan_branches
from dyncompile.passes.orient_gates import TURNED
from dyncompile.passes.scopes import Scopes, graphs_of, inputs_of, nested_nodes
from dyncompile.passes.sequence import Sequence

DECISION = "dyncompile.decision"
ALIASES = "dyncompile.aliases"
_WEIGHTY = {"Conv", "ConvTranspose", "Gemm", "MatMul", "LSTM", "GRU", "RNN", "Einsum"}
_SMALL_BYTES = 4096
_SHORT = 8
_MOST_COPIES = 32


@dataclass(frozen=True)
class BranchOnDecisions(ir.passes.InPlacePass):
    """Replace all selectors by Ifs, and run the work only one side needs inside of that side.

    Before: ``f = Relu(x); y = dyncompile.Gate(take, f, x)``
    After: ``y = If(take) {Relu(x)} else {Identity(x)}``

    The unit is the decision: all selectors that share it, with every output and all work that
    only they need, go into one If. Selectors of one decision that stand apart share an If when
    what lies between is light (it is then repeated in every branch), or when the decision is
    made once per call from knobs alone; otherwise each run of them has its own If, and what
    a later one shares is handed on. Nested decisions nest. A switch becomes a tree over its
    options: a ladder where their work nests, balanced where it is disjoint.

    Where weights live is left to ``PlaceWeights``. Every decision's value carries the
    metadata ``dyncompile.decision``, every If also the options of its branches.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Branch in the main graph and in every graph nested in it, outer decisions first."""
        scopes = Scopes(model.graph)
        waiting = [model.graph]
        modified = False
        while waiting:
            graph = waiting.pop()
            modified |= _branch_graph(graph, scopes)
            waiting.extend(inner for node in graph for inner in graphs_of(node))
        if modified:
            NameUniquely()(model)  # copies have the names of their originals
        return ir.passes.PassResult(model, modified=modified)


def _branch_graph(graph: ir.Graph, scopes: Scopes) -> bool:
    sequence: Sequence | None = None
    while nodes := [node for node in graph if Selector.from_node(node) is not None]:
        sequence = sequence or Sequence(graph)
        for node in _outermost_first(nodes, sequence, scopes):
            if node in sequence:  # else an enclosing decision took it along
                group = _sharing(node, sequence)
                _tag(group[0].decision)
                _branch_decision(group, sequence, scopes)
    for group in _selecting_inside(graph):
        sequence = sequence or Sequence(graph)
        _branch_work_of_inner(group, sequence, scopes)
    return sequence is not None


def _selecting_inside(graph: ir.Graph) -> list[list[Selector]]:
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


def _branch_work_of_inner(
    group: list[Selector], sequence: Sequence, scopes: Scopes
) -> None:
    """Put work that several inner graphs share, but not under every option, into branches."""
    masks = exclusive_work(sequence, scopes, group)
    if not any(map(_is_heavy, masks)):
        return
    _tag(group[0].decision)
    count = option_count(group[0].decision)
    work = set(masks)
    while early := _returning(work, sequence):
        first = _with_work(early, masks)
        _build(first, masks, group[0], count, sequence, scopes)
        work -= first
    _build(work, masks, group[0], count, sequence, scopes)


def _sharing(node: ir.Node, sequence: Sequence) -> list[Selector]:
    """Return the selectors of the graph that share the decision of one, in order."""
    selector = Selector.from_node(node)
    assert selector is not None
    users = {u for u, index in selector.decision.uses() if index == 0 and u in sequence}
    return [s for u in sequence.sorted(users) if (s := Selector.from_node(u)) is not None]


def _outermost_first(
    nodes: list[ir.Node], sequence: Sequence, scopes: Scopes
) -> list[ir.Node]:
    """Order decisions, one selector each, so that enclosing ones come before enclosed ones.

    A decision encloses another if a selector of the other is its exclusive work. Decisions
    whose selectors are all enclosed are left to the branch they will stand in. Among the others,
    those made from data come before those that knobs make, which may repeat them whole, and
    later ones before earlier ones.
    """
    enclosed: set[ir.Node] = set()
    first_user: dict[ir.Value, ir.Node] = {}
    inside: dict[ir.Value, set[ir.Value]] = {}
    for node in reversed(nodes):
        selector = Selector.from_node(node)
        assert selector is not None
        if node in enclosed or selector.decision in inside:
            continue
        masks = exclusive_work(sequence, scopes, _sharing(node, sequence))
        enclosed.update(masks)
        found = (Selector.from_node(other) for other in masks)
        inside[selector.decision] = {s.decision for s in found if s} - {selector.decision}
        first_user[selector.decision] = node
    waiting = sorted(first_user, key=_is_call_wide)
    order: list[ir.Node] = []
    while waiting:
        free = (d for d in waiting if not any(d in inside[other] for other in waiting))
        chosen = next(free, waiting[0])
        waiting.remove(chosen)
        order.append(first_user[chosen])
    return order


def _tag(decision: ir.Value) -> None:
    """Note the name of a decision at its value, and other names that gates have for it."""
    notes = decision.metadata_props
    turned = {
        selector.name: TURNED in user.metadata_props
        for user, index in decision.uses()
        if index == 0 and (selector := Selector.from_node(user)) is not None
    }
    turned |= json.loads(notes.pop(FOLDED, "{}"))
    name, *others = sorted(turned, key=lambda name: (turned[name], name))
    notes.setdefault(DECISION, name)
    aliases = {other: turned[other] for other in others if other != notes[DECISION]}
    if aliases:
        notes[ALIASES] = json.dumps(aliases)


def _branch_decision(selectors: list[Selector], sequence: Sequence, scopes: Scopes) -> None:
    count = option_count(selectors[0].decision)
    masks = exclusive_work(sequence, scopes, selectors)
    outer = [selector for selector in selectors if selector.node not in masks]
    for group, absorbed in _runs(outer, masks, sequence):
        chosen = {selector.node for selector in group} | absorbed
        while early := _returning(_with_work(chosen, masks), sequence):
            _build(_with_work(early, masks), masks, group[0], count, sequence, scopes)
        _build(_with_work(chosen, masks), masks, group[0], count, sequence, scopes)


def _with_work(nodes: set[ir.Node], masks: Mapping[ir.Node, int]) -> set[ir.Node]:
    """Return the nodes and the exclusive work that they need."""
    found = set(nodes)
    stack = list(nodes)
    while stack:
        for value in inputs_of(stack.pop()):
            node = value.producer()
            if node in masks and node not in found:
                found.add(node)
                stack.append(node)
    return found


def _returning(nodes: set[ir.Node], sequence: Sequence) -> set[ir.Node]:
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


def _build(
    nodes: set[ir.Node],
    masks: dict[ir.Node, int],
    selector: Selector,
    count: int,
    sequence: Sequence,
    scopes: Scopes,
) -> None:
    """Put the nodes into branches, and what others read of them behind these."""
    decision = selector.decision
    found = {node: s for node in nodes if (s := Selector.from_node(node)) is not None}
    region = Region(
        nodes=sequence.sorted(nodes),
        needed={node: masks.pop(node, (1 << count) - 1) for node in nodes},
        selectors={node: s for node, s in found.items() if s.decision is decision},
        count=count,
    )
    outside = {
        output: uses
        for node in region.nodes
        for output in node.outputs
        if (uses := _uses_outside(output, region, sequence, scopes)) or output.is_graph_output()
    }
    new, became = BranchBuilder(region, selector).build(plan_branches(region, [*outside]))
    made = {output for node in new for output in node.outputs}
    for value, uses in outside.items():
        result = became[value]
        if value.is_graph_output() and result not in made:  # an output has a node of its own
            new.append(ir.Node("", "Identity", [result], outputs=[like(value)]))
            result = new[-1].outputs[0]
        result.metadata_props.update(value.metadata_props)
        for user, index in uses:
            user.replace_input_with(index, result)
        for index, output in enumerate(sequence.graph.outputs):
            if output is value:
                sequence.graph.outputs[index] = result
    sequence.replace(list(region.nodes), new)
    for node in new:
        scopes.adopt(node)


def _uses_outside(
    value: ir.Value, region: Region, sequence: Sequence, scopes: Scopes
) -> list[tuple[ir.Node, int]]:
    return [
        (user, index)
        for user, index in value.uses()
        if scopes.within(user, sequence.graph) not in region.needed
    ]


def _runs(
    selectors: list[Selector], masks: Mapping[ir.Node, int], sequence: Sequence
) -> Iterator[tuple[list[Selector], set[ir.Node]]]:
    """Group selectors of one decision, in order, with the nodes between that they take along."""
    call_wide = len(selectors) > 1 and _is_call_wide(selectors[0].decision)
    group, absorbed = [selectors[0]], set[ir.Node]()
    below = {selectors[0].node}  # what depends on the group, up to the selector looked at
    last = selectors[0].node
    for selector in selectors[1:]:
        for node in sequence.between(last, selector.node):
            if any(value.producer() in below for value in inputs_of(node)):
                below.add(node)
        taken = absorbed | {member.node for member in group}
        between = _on_the_way(selector.node, below - taken, masks)
        if _may_repeat(between, call_wide=call_wide, copies=len(selector.options)):
            absorbed |= between
            group.append(selector)
            below.add(selector.node)
        else:
            yield group, absorbed
            group, absorbed, below = [selector], set(), {selector.node}
        last = selector.node
    yield group, absorbed


def _on_the_way(
    node: ir.Node, below: set[ir.Node], masks: Mapping[ir.Node, int]
) -> set[ir.Node]:
    """The nodes from the group to the given one that are not exclusive work of the decision."""
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
    if any(Selector.from_node(node) for node in between):
        return False
    if not call_wide:
        return len(between) <= _SHORT and not any(map(_is_heavy, between))
    for node in between:
        for inner in (node, *nested_nodes(node)):
            copies *= 2 if inner.op_type == "If" else 1
    return copies <= _MOST_COPIES


def _is_heavy(node: ir.Node) -> bool:
    if node.op_type in _WEIGHTY or any(graphs_of(node)):
        return True
    constants = [v.const_value for v in node.inputs if v is not None and v.is_initializer()]
    return sum(constant.nbytes for constant in constants if constant) > _SMALL_BYTES


def _is_call_wide(decision: ir.Value) -> bool:
    """Whether a decision follows from scalar inputs alone: knobs, not data."""
    stack, seen = [decision], {decision}
    while stack:
        value = stack.pop()
        node = value.producer()
        if node is None and not value.is_initializer() and (value.shape is None or value.shape):
            return False
        for before in inputs_of(node) if node is not None else ():
            if before not in seen:
                seen.add(before)
                stack.append(before)
    return True
