"""Note the decisions of branches that stay as they are."""

from __future__ import annotations

__all__ = ["NoteDecisions"]

from collections.abc import Iterator
from dataclasses import dataclass

import onnx_ir as ir

from dyncompile.dialect import ALIASES, DECISION, ELSE, THEN
from dyncompile.passes.constants import is_fixed
from dyncompile.passes.decision_names import add_names
from dyncompile.passes.rounds import bodies_of
from dyncompile.passes.scopes import graphs_of


@dataclass(frozen=True)
class NoteDecisions(ir.passes.InPlacePass):
    """Make decisions of Ifs that no pass has built, so that the manifest can list them.

    Before: ``y = If(take) ...`` as another tool made it
    After: the same, with the notes that ``BranchOnDecisions`` leaves on an If and on its condition

    The decision has the name of the If, or, if its condition is a decision already, that one's;
    the name of the If is then an alias. Ifs in the bodies of loops, which decide once per round,
    and those on a constant get no notes.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Note them in all graphs that run once per call."""
        modified = False
        for node in list(_ifs(model.graph, set(bodies_of(model.graph)))):
            condition = node.inputs[0]
            if condition is None or is_fixed(condition):
                continue
            if condition.producer() is None and not condition.is_graph_input():
                continue
            _note(node, condition)
            modified = True
        return ir.passes.PassResult(model, modified=modified)


def _ifs(graph: ir.Graph, per_round: set[ir.Graph]) -> Iterator[ir.Node]:
    for node in graph:
        if node.op_type == "If" and not node.domain and DECISION not in node.metadata_props:
            yield node
        for inner in graphs_of(node):
            if inner not in per_round:
                yield from _ifs(inner, per_round)


def _note(node: ir.Node, condition: ir.Value) -> None:
    own, notes = node.name or "If", condition.metadata_props
    name = notes.setdefault(DECISION, own)
    if name != own:
        add_names(condition, ALIASES, {own: (0, 1)})
    node.metadata_props.update({DECISION: name, THEN: "1", ELSE: "0"})
