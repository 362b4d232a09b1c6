"""Move the work of every decision into the branches of Ifs."""

from __future__ import annotations

__all__ = ["ALIASES", "DECISION", "BranchOnDecisions"]

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import onnx_ir as ir

from dyncompile.dialect import Selector
from dyncompile.passes.build_branches import BranchBuilder, like
from dyncompile.passes.exclusive_work import exclusive_work
from dyncompile.passes.name_uniquely import NameUniquely
from dyncompile.passes.option_tree import Region, plan_branches
from dyncompile.passes.orient_gates import TURNED
from dyncompile.passes.scopes import Scopes, graphs_of, inputs_of
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
    selectors = [s for node in graph if (s := Selector.from_node(node)) is not None]
    if not selectors:
        return False
    sequence = Sequence(graph)
    by_decision: dict[ir.Value, list[Selector]] = {}
    for selector in reversed(selectors):
        by_decision.setdefault(selector.decision, []).append(selector)
    for decision, group in by_decision.items():  # the last, hence outermost, first
        _tag(decision, reversed(group))
        left = [selector for selector in reversed(group) if selector.node in sequence]
        if left:
            _branch_decision(left, sequence, scopes)
    return True


def _tag(decision: ir.Value, selectors: Iterable[Selector]) -> None:
    """Note the name of a decision at its value, and other names that gates have for it."""
    notes = decision.metadata_props
    for selector in sorted(selectors, key=lambda s: TURNED in s.node.metadata_props):
        name = notes.setdefault(DECISION, selector.name)
        aliases = json.loads(notes.get(ALIASES, "{}"))
        if selector.name != name:
            aliases.setdefault(selector.name, TURNED in selector.node.metadata_props)
            notes[ALIASES] = json.dumps(aliases)


def _branch_decision(selectors: list[Selector], sequence: Sequence, scopes: Scopes) -> None:
    masks = exclusive_work(sequence, scopes, selectors)
    outer = [selector for selector in selectors if selector.node not in masks]
    for group, absorbed in _runs(outer, masks, sequence):
        region = _region(group, absorbed, masks, sequence)
        first = next(iter(region.selectors.values()))
        outside = {
            output: uses
            for node in region.nodes
            for output in node.outputs
            if (uses := _uses_outside(output, region, sequence, scopes))
            or output.is_graph_output()
        }
        nodes, became = BranchBuilder(region, first).build(plan_branches(region, [*outside]))
        made = {output for node in nodes for output in node.outputs}
        for value, uses in outside.items():
            new = became[value]
            if value.is_graph_output() and new not in made:  # an output has a node of its own
                nodes.append(ir.Node("", "Identity", [new], outputs=[like(value)]))
                new = nodes[-1].outputs[0]
            new.metadata_props.update(value.metadata_props)
            for user, index in uses:
                user.replace_input_with(index, new)
            for index, output in enumerate(sequence.graph.outputs):
                if output is value:
                    sequence.graph.outputs[index] = new
        sequence.replace(list(region.nodes), nodes)
        for node in nodes:
            scopes.adopt(node)
        for node in region.nodes:
            masks.pop(node, None)


def _region(
    group: list[Selector],
    absorbed: set[ir.Node],
    masks: Mapping[ir.Node, int],
    sequence: Sequence,
) -> Region:
    """Collect the group, what lies between, and the exclusive work they need."""
    full = (1 << len(group[0].options)) - 1
    nodes = {selector.node for selector in group} | absorbed
    stack = list(nodes)
    while stack:
        for value in inputs_of(stack.pop()):
            node = value.producer()
            if node in masks and node not in nodes:
                nodes.add(node)
                stack.append(node)
    decision = group[0].decision
    return Region(
        nodes=sequence.sorted(nodes),
        needed={node: masks.get(node, full) for node in nodes},
        selectors={
            node: selector
            for node in nodes
            if (selector := Selector.from_node(node)) and selector.decision is decision
        },
        count=len(group[0].options),
    )


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
    for node in between:
        selector = Selector.from_node(node)
        if selector is not None:
            copies *= len(selector.options) if _is_call_wide(selector.decision) else 1
    if call_wide:
        return copies <= _MOST_COPIES
    return len(between) <= _SHORT and not any(_is_heavy(node) for node in between)


def _is_heavy(node: ir.Node) -> bool:
    if node.op_type in _WEIGHTY or Selector.from_node(node) or any(graphs_of(node)):
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
