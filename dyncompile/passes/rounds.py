"""Loops and scans: graphs that run once per round, not once per call."""

from __future__ import annotations

__all__ = ["Rounds", "behind_identities", "bodies_of", "forget_decisions_of_rounds"]

from collections.abc import Iterator
from dataclasses import dataclass

import onnx_ir as ir

from dyncompile.dialect import ALIASES, DECISION, ELSE, THEN
from dyncompile.passes.scopes import graphs_of, nested_nodes

_REPEATING = {"Loop", "Scan", "SequenceMap"}


@dataclass(frozen=True)
class Rounds:
    """A Loop or Scan: what goes round in it.

    Attributes:
        node: The node.
        body: Its graph.
        first: Number of the first state among the inputs of the node and of the body.
        first_output: The same among the outputs of the body.
        states: For each state, the value with which a round begins, and that it leaves.
    """

    node: ir.Node
    body: ir.Graph
    first: int
    first_output: int
    states: tuple[tuple[ir.Value, ir.Value], ...]

    @classmethod
    def from_node(cls, node: ir.Node) -> Rounds | None:
        """Read a loop; None for every other node, and for a Scan as it was before opset 9."""
        if node.domain or node.op_type not in {"Loop", "Scan"}:
            return None
        body = node.attributes["body"].as_graph()
        if len(node.inputs) != len(body.inputs):
            return None
        is_loop = node.op_type == "Loop"
        first, first_output = (2, 1) if is_loop else (0, 0)
        elements = 0 if is_loop else node.attributes["num_scan_inputs"].as_int()
        count = len(body.inputs) - first - elements
        if count < 0 or len(body.outputs) != first_output + len(node.outputs):
            return None
        if len(node.outputs) < count:
            return None
        before = body.inputs[first : first + count]
        after = body.outputs[first_output : first_output + count]
        return cls(node, body, first, first_output, tuple(zip(before, after, strict=True)))


def behind_identities(value: ir.Value) -> ir.Value:
    """Return what a value is a copy of."""
    while (node := value.producer()) is not None and node.op_type == "Identity" and not node.domain:
        (source,) = node.inputs
        assert source is not None, "an Identity has an input"
        value = source
    return value


def bodies_of(graph: ir.Graph) -> Iterator[ir.Graph]:
    """Yield every graph in the given one that may run more than once in a call."""
    for node in graph:
        for inner in graphs_of(node):
            if node.op_type in _REPEATING and not node.domain:
                yield inner
                yield from (g for each in inner for g in _all_graphs(each))
            else:
                yield from bodies_of(inner)


def forget_decisions_of_rounds(model: ir.Model) -> None:
    """Drop the notes on decisions that are made in the body of a loop.

    Such a decision falls once per round. It is no choice between paths of a call: nobody can
    force it or report one option for it. Its Ifs are left as if the model had brought them.
    """
    for body in bodies_of(model.graph):
        values = [*body.inputs, *(value for node in body for value in node.outputs)]
        for value in values:
            name = value.metadata_props.pop(DECISION, None)
            value.metadata_props.pop(ALIASES, None)
            if name is None:
                continue
            for node in _readers(body):
                if node.metadata_props.get(DECISION) == name:
                    for note in (DECISION, THEN, ELSE):
                        node.metadata_props.pop(note, None)


def _readers(graph: ir.Graph) -> Iterator[ir.Node]:
    for node in graph:
        yield node
        yield from nested_nodes(node)


def _all_graphs(node: ir.Node) -> Iterator[ir.Graph]:
    for graph in graphs_of(node):
        yield graph
        for inner in graph:
            yield from _all_graphs(inner)
