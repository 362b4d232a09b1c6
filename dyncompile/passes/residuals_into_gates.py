"""Take the addition of a skipped path into the gate."""

from __future__ import annotations

__all__ = ["ResidualsIntoGates"]

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from dyncompile.passes.gates import gate_like, lone_gate


@dataclass(frozen=True)
class ResidualsIntoGates(ir.passes.InPlacePass):
    """Add inside the branch, and add nothing where the gate adds zero.

    Before: ``g = dyncompile.Gate(take, f, zeros); y = Add(x, g)``
    After: ``s = Add(x, f); y = dyncompile.Gate(take, s, x)``

    Either side may be the zeros. Only where the gate has no other use and ``x`` has the shape of
    the sum. ``x + 0`` and ``x`` are the same number (but for the sign of a zero).
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite the sums of the main graph."""
        modified = False
        for node in list(model.graph):
            if node.op_type == "Add" and not node.domain:
                modified |= _rewrite(node, model.graph)
        return ir.passes.PassResult(model, modified=modified)


def _rewrite(add: ir.Node, graph: ir.Graph) -> bool:
    for index, value in enumerate(add.inputs):
        other = add.inputs[1 - index]
        gate = lone_gate(value)
        if gate is None or other is None:
            continue
        zero = next((i for i, side in enumerate(gate.options) if _is_zero(side)), None)
        if zero is None or not _same_shape(other, add.outputs[0]):
            continue
        kept = gate.options[1 - zero]
        terms = [other, kept] if index == 1 else [kept, other]
        total = ir.Node("", "Add", terms, name=add.name, metadata_props=dict(add.metadata_props))
        output = total.outputs[0]
        output.name, output.type = f"{add.outputs[0].name}.on", add.outputs[0].type
        output.shape = add.outputs[0].shape
        off, on = (other, output) if zero == 0 else (output, other)
        chosen = gate_like(gate, off, on)
        ir.convenience.replace_nodes_and_values(
            graph, add, [add], [total, chosen], add.outputs, chosen.outputs
        )
        graph.remove(gate.node, safe=True)
        return True
    return False


def _same_shape(one: ir.Value, other: ir.Value) -> bool:
    """Whether two values are known to have one shape: sizes without a name may differ."""
    if one.shape is None or one.shape != other.shape:
        return False
    return all(isinstance(size, int) or size.value is not None for size in one.shape)


def _is_zero(value: ir.Value) -> bool:
    """Whether the value is a constant full of zeros."""
    constant = ir.convenience.get_const_tensor(value)
    if constant is not None:
        return not value.is_graph_input() and not np.any(constant.numpy())
    node = value.producer()
    if node is None or node.domain:
        return False
    if node.op_type == "ConstantOfShape":
        filling = node.attributes.get("value")
        return filling is None or not np.any(filling.as_tensor().numpy())
    if node.op_type in {"Expand", "Reshape"} and node.inputs[0] is not None:
        return _is_zero(node.inputs[0])
    return False
