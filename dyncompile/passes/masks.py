"""What passes that read decisions out of arithmetic share."""

from __future__ import annotations

__all__ = ["decision_behind", "decision_of", "masked", "zeros_like"]

import numpy as np
import onnx_ir as ir

from dyncompile.passes.constants import add_constant, is_fixed
from dyncompile.passes.gates import is_single

_RESHAPING = {"Reshape", "Unsqueeze", "Squeeze", "Expand", "Flatten", "Identity"}


def decision_behind(value: ir.Value) -> ir.Value | None:
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
    return value if cast and _is_decision(value) else None


def decision_of(value: ir.Value) -> ir.Value | None:
    """Return the bool of one element that a condition repeats or reshapes."""
    while not is_single(value):
        node = value.producer()
        if node is None or node.domain or node.op_type not in _RESHAPING or not node.inputs[0]:
            return None
        value = node.inputs[0]
    return value if _is_decision(value) else None


def _is_decision(value: ir.Value) -> bool:
    return value.dtype == ir.DataType.BOOL and is_single(value) and not is_fixed(value)


def masked(node: ir.Node) -> tuple[ir.Value, ir.Value] | None:
    """Return decision and factor of ``factor * mask``, if something computes the factor.

    Both have static shapes, the factor that of the product.
    """
    if node.op_type != "Mul" or node.domain:
        return None
    output = node.outputs[0]
    if not output.shape or not output.shape.is_static():
        return None
    for mask, factor in (node.inputs, node.inputs[::-1]):
        if mask is None or factor is None or factor.producer() is None:
            continue
        decision = decision_behind(mask)
        if decision is not None and factor.shape == output.shape:
            return decision, factor
    return None


def zeros_like(value: ir.Value, graph: ir.Graph) -> ir.Node:
    """Return a node that makes zeros of the static shape and the type of a value."""
    assert value.shape is not None
    assert value.dtype is not None
    dims = add_constant(graph, f"{value.name}.dims", np.asarray(value.shape.numpy(), np.int64))
    filling = ir.AttrTensor("value", ir.tensor(np.zeros(1, value.dtype.numpy())))
    zeros = ir.Node("", "ConstantOfShape", [dims], [filling])
    zeros.outputs[0].name = f"{value.name}.off"
    zeros.outputs[0].type, zeros.outputs[0].shape = value.type, value.shape
    return zeros
