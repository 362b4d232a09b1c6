"""Let loops capture what they only carry along."""

from __future__ import annotations

__all__ = ["InvariantsOutOfLoops"]

from collections.abc import Container
from dataclasses import dataclass

import onnx_ir as ir

from dyncompile.passes.build_branches import like
from dyncompile.passes.rounds import Rounds, behind_identities


@dataclass(frozen=True)
class InvariantsOutOfLoops(ir.passes.InPlacePass):
    """Read values that a loop hands on unchanged from outside of it.

    Before: ``y, v = Loop(n, go, x, w) (i, c, s, u) {t = MatMul(s, u); -> c, t, u}``
    After: ``y = Loop(n, go, x) (i, c, s) {t = MatMul(s, w); -> c, t}``, and ``v`` is ``w``

    Some producers pass weights through a Loop or Scan as state. A runtime cannot prepare what
    may differ from round to round; what the body captures, ``PlaceWeights`` puts into it.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite the loops of every graph, inner ones first: they hold up the outer ones."""
        modified = False
        for graph in [*reversed([*model.graph.subgraphs()]), model.graph]:
            for node in list(graph):
                modified |= _free(node, graph)
        return ir.passes.PassResult(model, modified=modified)


def _free(node: ir.Node, graph: ir.Graph) -> bool:
    rounds = Rounds.from_node(node)
    if rounds is None:
        return False
    starts = node.inputs[rounds.first :]
    unchanged = {
        number: start
        for number, (before, after) in enumerate(rounds.states)
        if (start := starts[number]) is not None and behind_identities(after) is before
    }
    if not unchanged:
        return False
    for number in sorted(unchanged, reverse=True):
        _capture(rounds, number, unchanged[number])
        _bypass(node.outputs[number], unchanged[number], graph)
    _shrink(node, graph, rounds.first, unchanged)
    return True


def _capture(rounds: Rounds, number: int, start: ir.Value) -> None:
    """Let the body read a state from outside; what it returns has to be a value of its own."""
    carried = rounds.body.inputs[rounds.first + number]
    rounds.body.outputs.pop(rounds.first_output + number)
    for index, output in enumerate(rounds.body.outputs):
        if output is carried:
            copy = ir.Node("", "Identity", [start], outputs=[like(carried)])
            rounds.body.append(copy)
            rounds.body.outputs[index] = copy.outputs[0]
    carried.replace_all_uses_with(start)
    rounds.body.inputs.pop(rounds.first + number)


def _bypass(output: ir.Value, start: ir.Value, graph: ir.Graph) -> None:
    """Use the state that goes in for the one that comes out."""
    if output.is_graph_output():
        copy = ir.Node("", "Identity", [start], outputs=[like(output)])
        graph.append(copy)
        for index, value in enumerate(graph.outputs):
            if value is output:
                graph.outputs[index] = copy.outputs[0]
    output.replace_all_uses_with(start)


def _shrink(node: ir.Node, graph: ir.Graph, first: int, gone: Container[int]) -> None:
    """Replace a loop by one without the inputs and outputs of some states."""
    inputs = [value for index, value in enumerate(node.inputs) if index - first not in gone]
    outputs = [value for number, value in enumerate(node.outputs) if number not in gone]
    smaller = ir.Node(
        "",
        node.op_type,
        inputs,
        list(node.attributes.values()),
        num_outputs=len(outputs),
        version=node.version,
        name=node.name,
        metadata_props=dict(node.metadata_props),
    )
    ir.convenience.replace_nodes_and_values(
        graph, node, [node], [smaller], outputs, smaller.outputs
    )
