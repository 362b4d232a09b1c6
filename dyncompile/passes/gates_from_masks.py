"""Recognise multiplication by a yes-or-no as a gate."""

from __future__ import annotations

__all__ = ["GatesFromMasks"]

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from dyncompile.dialect import DOMAIN, Selector
from dyncompile.passes.constants import add_constant
from dyncompile.passes.gates import is_single

_RESHAPING = {"Reshape", "Unsqueeze", "Squeeze", "Expand", "Flatten", "Identity"}


@dataclass(frozen=True)
class GatesFromMasks(ir.passes.InPlacePass):
    """Turn ``f * mask`` into a gate where the mask is one bool cast to a number.

    Before: ``m = Cast(take); y = Mul(f, m)`` with ``take`` a bool of one element
    After: ``y = dyncompile.Gate(take, f, zeros)``

    Only masks of one element are touched, and only products that something computed goes into.
    Where ``f`` holds infinities or NaN the two forms differ when the
    mask is 0: the product is NaN, the gate gives 0.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite the products of the main graph."""
        modified = False
        names = {s.name for node in model.graph if (s := Selector.from_node(node)) is not None}
        for node in list(model.graph):
            if node.op_type == "Mul" and not node.domain:
                modified |= _rewrite(node, model.graph, names)
        return ir.passes.PassResult(model, modified=modified)


def _rewrite(node: ir.Node, graph: ir.Graph, names: set[str]) -> bool:
    for index, value in enumerate(node.inputs):
        other = node.inputs[1 - index]
        decision = _decision_behind(value) if value is not None else None
        output = node.outputs[0]
        if decision is None or other is None or other.producer() is None:
            continue
        if not _is_static(output) or other.shape != output.shape or not output.shape:
            continue
        zeros = ir.Node(
            "",
            "ConstantOfShape",
            [_dims(graph, output)],
            [ir.AttrTensor("value", ir.tensor(np.zeros(1, output.dtype.numpy())))],  # type: ignore[union-attr]
        )
        zeros.outputs[0].name = f"{output.name}.off"
        zeros.outputs[0].type, zeros.outputs[0].shape = output.type, output.shape
        name = _name(node, names)
        gate = ir.Node(
            DOMAIN,
            "Gate",
            [decision, other, zeros.outputs[0]],
            [ir.AttrString("name", name)],
            name=node.name,
            metadata_props=dict(node.metadata_props),
        )
        ir.convenience.replace_nodes_and_values(
            graph, node, [node], [zeros, gate], node.outputs, gate.outputs
        )
        return True
    return False


def _decision_behind(value: ir.Value) -> ir.Value | None:
    """Return the bool a 0/1 factor is made from, if it is one decision."""
    cast = False
    node = value.producer()
    while node is not None and not node.domain and node.inputs and node.inputs[0] is not None:
        if node.op_type == "Cast" and node.inputs[0].dtype == ir.DataType.BOOL:
            cast = True
        elif node.op_type not in _RESHAPING and node.op_type != "Cast":
            break
        value = node.inputs[0]
        node = value.producer()
        if cast and is_single(value):
            break
    found = cast and value.dtype == ir.DataType.BOOL and is_single(value)
    return value if found and not value.is_initializer() else None


def _is_static(value: ir.Value) -> bool:
    return value.shape is not None and all(isinstance(n, int) for n in value.shape)


def _dims(graph: ir.Graph, value: ir.Value) -> ir.Value:
    assert value.shape is not None
    return add_constant(graph, f"{value.name}.dims", np.asarray(value.shape.numpy(), np.int64))


def _name(node: ir.Node, taken: set[str]) -> str:
    """A mask has a name of its own: only gates can be forced in the model."""
    name, number = f"mask.{node.name}", 1
    while name in taken:
        number += 1
        name = f"mask.{node.name}#{number}"
    taken.add(name)
    return name
