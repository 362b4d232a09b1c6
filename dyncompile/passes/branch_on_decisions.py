"""Move the work of every decision into the branches of Ifs."""

from __future__ import annotations

__all__ = ["BranchOnDecisions"]

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import onnx_ir as ir

from dyncompile.dialect import ALIASES, DECISION, FOLDED, Selector, option_count
from dyncompile.passes.build_branches import BranchBuilder, like
from dyncompile.passes.decision_names import (
    Names,
    add_names,
    main_name,
    merged,
    names_noted,
    selector_options,
)
from dyncompile.passes.decision_order import outermost_first, selecting_inside, sharing
from dyncompile.passes.decision_runs import returning, runs, with_work
from dyncompile.passes.exclusive_work import exclusive_work
from dyncompile.passes.heavy_nodes import is_heavy
from dyncompile.passes.name_uniquely import NameUniquely
from dyncompile.passes.option_tree import Region, plan_branches
from dyncompile.passes.returned_values import forget_sizes_outside
from dyncompile.passes.rounds import forget_decisions_of_rounds
from dyncompile.passes.scopes import Scopes, graphs_of, inputs_of
from dyncompile.passes.sequence import Sequence
from dyncompile.passes.stand_ins import fill_stand_ins


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
    metadata ``dyncompile.decision``, every If also the options of its branches; but not those
    of decisions that are made in the body of a loop, once per round.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Branch in the main graph and in every graph nested in it, outer decisions first."""
        _note_names(model)
        scopes = Scopes(model.graph)
        waiting = [model.graph]
        modified = False
        while waiting:
            graph = waiting.pop()
            modified |= _GraphBrancher(graph, scopes).branch()
            waiting.extend(inner for node in graph for inner in graphs_of(node))
        if modified:
            fill_stand_ins(model)
            NameUniquely()(model)  # copies have the names of their originals
            forget_decisions_of_rounds(model)
            _forget_names(model)
        return ir.passes.PassResult(model, modified=modified)


class _GraphBrancher:
    """Branches in one graph; what is nested in it comes later."""

    def __init__(self, graph: ir.Graph, scopes: Scopes) -> None:
        self._graph = graph
        self._scopes = scopes
        self._sequence = Sequence(graph)

    def branch(self) -> bool:
        """Replace the selectors of the graph; return whether there were any."""
        modified = False
        while nodes := [node for node in self._graph if Selector.from_node(node) is not None]:
            groups, enclosed = outermost_first(nodes, self._sequence, self._scopes)
            for group in groups:
                left = [node for node in group if node in self._sequence]
                if left:  # else another took them along
                    self._branch_on(left, enclosed)
            if not groups:
                self._branch_on_enclosing_inside(nodes)
            modified = True
        done: set[ir.Node] = set()
        waiting = selecting_inside(self._graph)
        while inner := [group[0] for group in waiting if group[0].node not in done]:
            selector = inner[0]
            done.add(selector.node)
            masks = exclusive_work(self._sequence, self._scopes, selector.decision)
            if any(is_heavy(node) or _reads_branches(node) for node in masks):
                self._branch_work_of_inner(selector, masks)
                waiting = selecting_inside(self._graph)  # some read what has become of a decision
            modified = True
        return modified

    def _branch_on(self, nodes: list[ir.Node], enclosed: set[ir.Node]) -> None:
        shared = sharing(nodes[0], self._sequence)
        decision = shared[0].decision
        _tag(decision)
        masks = exclusive_work(self._sequence, self._scopes, decision)
        outer = [selector for selector in shared if selector.node in nodes]
        for group, absorbed in runs(outer, masks, enclosed, self._sequence):
            self._build({selector.node for selector in group} | absorbed, masks, group[0])

    def _branch_on_enclosing_inside(self, nodes: list[ir.Node]) -> None:
        """Branch on one decision that selects in inner graphs only, and takes selectors along."""
        for selectors in selecting_inside(self._graph):
            masks = exclusive_work(self._sequence, self._scopes, selectors[0].decision)
            if any(node in masks for node in nodes):
                self._branch_work_of_inner(selectors[0], masks)
                return
        raise AssertionError("the last selector is enclosed by nothing, or by what selects inside")

    def _branch_work_of_inner(self, selector: Selector, masks: dict[ir.Node, int]) -> None:
        """Put work that several inner graphs share, but not under every option, into branches."""
        _tag(selector.decision)
        maker = selector.decision.producer()
        if maker is not None and maker in self._sequence:
            self._sequence.delay(masks, maker)
        self._build(set(masks), masks, selector)

    def _build(self, nodes: set[ir.Node], masks: dict[ir.Node, int], selector: Selector) -> None:
        """Put nodes and the exclusive work they need into branches, in as few Ifs as can be."""
        while early := returning(with_work(nodes, masks), self._sequence):
            first = with_work(early, masks)
            self._build_if(first, masks, selector)
            nodes = nodes - first
        self._build_if(with_work(nodes, masks), masks, selector)

    def _build_if(self, nodes: set[ir.Node], masks: dict[ir.Node, int], selector: Selector) -> None:
        decision, count = selector.decision, option_count(selector.decision)
        found = {node: s for node in nodes if (s := Selector.from_node(node)) is not None}
        region = Region(
            nodes=self._sequence.sorted(nodes),
            needed={node: masks.pop(node, (1 << count) - 1) for node in nodes},
            selectors={node: s for node, s in found.items() if s.decision is decision},
            count=count,
        )
        outside = {
            output: uses
            for node in region.nodes
            for output in node.outputs
            if (uses := self._uses_outside(output, region)) or output.is_graph_output()
        }
        returned = {i: value for i, value in enumerate(self._graph.outputs) if value in outside}
        for index, value in returned.items():  # it may go where a branch within returns it
            self._graph.outputs[index] = like(value)
        new, became = BranchBuilder(region, selector).build(plan_branches(region, [*outside]))
        became |= _owned(dict.fromkeys(returned.values()), became, new)
        for value, uses in outside.items():
            became[value].metadata_props.update(value.metadata_props)
            for user, index in uses:
                user.replace_input_with(index, became[value])
        for index, value in returned.items():
            self._graph.outputs[index] = became[value]
        self._sequence.replace(list(region.nodes), new)
        for node in new:
            self._scopes.adopt(node)
        for value in returned.values():
            if became[value].shape != value.shape:
                forget_sizes_outside(became[value], self._scopes)

    def _uses_outside(self, value: ir.Value, region: Region) -> list[tuple[ir.Node, int]]:
        return [
            (user, index)
            for user, index in value.uses()
            if self._scopes.within(user, self._graph) not in region.needed
        ]


def _reads_branches(node: ir.Node) -> bool:
    """Whether a node reads what an If returns, which may be a stand-in where it is not needed."""
    makers = (value.producer() for value in inputs_of(node))
    return any(maker is not None and DECISION in maker.metadata_props for maker in makers)


def _owned(
    values: Iterable[ir.Value], became: Mapping[ir.Value, ir.Value], new: list[ir.Node]
) -> dict[ir.Value, ir.Value]:
    """Return what a graph may return for values: each computed by a new node, and no two alike."""
    free = {output for node in new for output in node.outputs}
    owned: dict[ir.Value, ir.Value] = {}
    for value in values:
        result = became[value]
        if result not in free:
            new.append(ir.Node("", "Identity", [result], outputs=[like(value)]))
            result = new[-1].outputs[0]
        free.discard(result)
        owned[value] = result
    return owned


def _note_names(model: ir.Model) -> None:
    """Note all names of every decision at its value, for its copies to have the same."""
    for node in model.graph.all_nodes():
        selector = Selector.from_node(node)
        if selector is not None:
            add_names(selector.decision, FOLDED, {selector.name: selector_options(selector)})


def _forget_names(model: ir.Model) -> None:
    """Drop what is noted at copies of decisions that nothing branches on."""
    for node in model.graph.all_nodes():
        for value in node.outputs:
            value.metadata_props.pop(FOLDED, None)


def _tag(decision: ir.Value) -> None:
    """Note the name of a decision at its value, and other names that selectors have for it."""
    notes = decision.metadata_props
    names: Names = names_noted(decision, FOLDED)
    for user, index in decision.uses():
        if index == 0 and (selector := Selector.from_node(user)) is not None:
            names = merged(names, {selector.name: selector_options(selector)})
    notes.pop(FOLDED, None)
    notes.setdefault(DECISION, main_name(names))
    names.pop(notes[DECISION], None)
    add_names(decision, ALIASES, names)
