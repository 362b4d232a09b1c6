"""Take the addition of a skipped path into the gate."""

from __future__ import annotations

__all__ = ["ResidualsIntoGates"]

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from dyncompile.dialect import DOMAIN


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
        gate = value.producer() if value is not None else None
        if value is None or other is None or gate is None or not _is_lone_gate(gate):
            continue
        sides = list(gate.inputs[1:])
        zero = next(
            (i for i, side in enumerate(sides) if side is not None and _is_zero(side)), None
        )
        if zero is None or other.shape is None or other.shape != add.outputs[0].shape:
            continue
        kept = sides[1 - zero]
        terms = [other, kept] if index == 1 else [kept, other]
        total = ir.Node("", "Add", terms, name=add.name, metadata_props=dict(add.metadata_props))
        output = total.outputs[0]
        output.name, output.type = f"{add.outputs[0].name}.on", add.outputs[0].type
        output.shape = add.outputs[0].shape
        sides[1 - zero], sides[zero] = output, other
        chosen = ir.Node(
            DOMAIN,
            "Gate",
            [gate.inputs[0], *sides],
            list(gate.attributes.values()),
            name=gate.name,
            metadata_props=dict(gate.metadata_props),
        )
        ir.convenience.replace_nodes_and_values(
            graph, add, [add], [total, chosen], add.outputs, chosen.outputs
        )
        graph.remove(gate, safe=True)
        return True
    return False


def _is_lone_gate(node: ir.Node) -> bool:
    output = node.outputs[0]
    return (
        node.domain == DOMAIN
        and node.op_type == "Gate"
        and len(output.uses()) == 1
        and not output.is_graph_output()
    )


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
