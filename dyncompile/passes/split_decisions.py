"""Split a vector of decisions once."""

from __future__ import annotations

__all__ = ["SplitDecisions"]

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from dyncompile.dialect import Selector
from dyncompile.passes.constants import add_constant


@dataclass(frozen=True)
class SplitDecisions(ir.passes.InPlacePass):
    """Take decisions that are known together apart with one Split.

    Before: ``a = Gather(take, 0); b = Gather(take, 1); y = If(a) ...; z = If(b) ...``
    After: ``a, b, rest = Split(take, [1, 1, 2]); y = If(a) ...; z = If(b) ...``

    A Gather per gate is dearer than one Split whose outputs are the conditions. Gathers that
    moved into a branch are split there, so that no path pays for decisions it does not come to.
    Only gathers of one constant index from a vector of static length are touched, and only if
    every use of the result is as a decision, because its shape becomes [1].
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Split the decision vectors of each graph."""
        modified = False
        for graph in (model.graph, *model.graph.subgraphs()):
            gathers: dict[ir.Value, list[tuple[int, ir.Node]]] = {}
            for node in graph:
                found = _element(node)
                if found is not None:
                    vector, index = found
                    gathers.setdefault(vector, []).append((index, node))
            for vector, elements in gathers.items():
                if len(elements) > 1:
                    _split(graph, vector, elements)
                    modified = True
        return ir.passes.PassResult(model, modified=modified)


def _element(node: ir.Node) -> tuple[ir.Value, int] | None:
    """Return vector and index if the node picks one decision from a vector."""
    if node.op_type != "Gather" or node.domain or not _only_decides(node.outputs[0]):
        return None
    vector, index = node.inputs
    constant = ir.convenience.get_const_tensor(index) if index is not None else None
    if vector is None or index is None or constant is None or constant.size != 1:
        return None
    if index.is_graph_input():
        return None
    if vector.shape is None or len(vector.shape) != 1 or not isinstance(vector.shape[0], int):
        return None
    return vector, int(constant.numpy().item()) % vector.shape[0]


def _only_decides(value: ir.Value) -> bool:
    uses = value.uses()
    return bool(uses) and not value.is_graph_output() and all(_decides(*use) for use in uses)


def _decides(node: ir.Node, index: int) -> bool:
    if index != 0:
        return False
    if node.op_type == "Not" and not node.domain:
        return _only_decides(node.outputs[0])
    return Selector.from_node(node) is not None or (node.op_type == "If" and not node.domain)


def _split(graph: ir.Graph, vector: ir.Value, elements: list[tuple[int, ir.Node]]) -> None:
    assert vector.shape is not None
    length = vector.shape[0]
    assert isinstance(length, int)
    picked = sorted({index for index, _ in elements})
    sizes: list[int] = []
    at: dict[int, int] = {}
    position = 0
    for index in [*picked, length]:
        if index > position:
            sizes.append(index - position)
        if index < length:
            at[index] = len(sizes)
            sizes.append(1)
        position = index + 1
    name = f"{vector.name}.lengths.{graph.name}"
    lengths = add_constant(graph, name, np.asarray(sizes, np.int64))
    split = ir.Node(
        "", "Split", [vector, lengths], [ir.AttrInt64("axis", 0)], num_outputs=len(sizes)
    )
    for number, (output, size) in enumerate(zip(split.outputs, sizes, strict=True)):
        output.name, output.type = f"{vector.name}.{number}.{graph.name}", vector.type
        output.shape = ir.Shape([size])
    graph.insert_before(elements[0][1], split)  # elements come in the order of the graph
    for index, node in elements:
        split.outputs[at[index]].metadata_props.update(node.outputs[0].metadata_props)
        node.outputs[0].replace_all_uses_with(split.outputs[at[index]])
        graph.remove(node, safe=True)
