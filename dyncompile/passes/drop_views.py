"""Take out views of the shape that is there anyway."""

from __future__ import annotations

__all__ = ["DropViews"]

from dataclasses import dataclass

import onnx_ir as ir

from dyncompile.passes.constants import constant_ints


@dataclass(frozen=True)
class DropViews(ir.passes.InPlacePass):
    """Let readers of a Reshape that changes no shape read what is reshaped.

    Before: ``If(take) { v = Reshape(w, [64, 64, 3, 3]); Conv(x, v) }`` with ``w`` of that shape
    After: ``If(take) { Conv(x, w) }``

    What ``PlaceWeights`` and ``ViewComputedWeights`` add for ONNX Runtime, which prepares a
    weight only where it is used; TensorRT sees through the border, and shares the weight. A
    Reshape whose result leaves its graph, or holds a decision, stays.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Take them out of all graphs."""
        modified = False
        for node in list(model.graph.all_nodes()):
            if node.domain or node.op_type != "Reshape" or node.inputs[0] is None:
                continue
            output = node.outputs[0]
            kept = output.is_graph_output() or output.metadata_props or not _is_idle(node)
            if not kept:
                assert isinstance(node.graph, ir.Graph)
                output.replace_all_uses_with(node.inputs[0])
                node.graph.remove(node, safe=True)
                modified = True
        return ir.passes.PassResult(model, modified=modified)


def _is_idle(node: ir.Node) -> bool:
    sizes, shape = constant_ints(node.inputs[1]), _shape(node.inputs[0])
    if sizes is None or shape is None or len(sizes) != len(shape) or 0 in shape:
        return False
    copied = "allowzero" not in node.attributes or not node.attributes["allowzero"].as_int()
    other = [
        (wanted, size)
        for wanted, size in zip(sizes, shape, strict=True)
        if not (wanted == 0 and copied)
    ]
    unequal = [wanted for wanted, size in other if wanted != size]
    return not unequal or unequal == [-1]


def _shape(value: ir.Value | None) -> list[int | ir.SymbolicDim] | None:
    if value is None:
        return None
    tensor = ir.convenience.get_const_tensor(value)
    if tensor is not None and not value.is_graph_input():
        return [int(size) for size in tensor.shape.numpy()]
    return None if value.shape is None else list(value.shape)
