"""Multiply-accumulates of one operator.

A multiply-accumulate is one product added to a sum; convolutions, matrix products and
recurrent layers are counted, everything else is not. A symbolic dimension counts as 1.
"""

from __future__ import annotations

__all__ = ["is_counted", "level_macs", "node_macs", "sizes"]

import json
import math

import onnx_ir as ir

from dyncompile.dialect import LEVEL_MACS

# Where an operator has its weight; the other factor is input 0.
_CONVOLUTIONS = {"Conv": 1, "ConvInteger": 1, "QLinearConv": 3}
_PRODUCTS = {"Gemm": 0, "MatMul": 0, "MatMulInteger": 0, "QLinearMatMul": 0}
_RECURRENT = {"LSTM", "GRU", "RNN"}


def is_counted(node: ir.Node) -> bool:
    """Whether the node multiplies and accumulates."""
    return node.domain == "" and (
        node.op_type in _CONVOLUTIONS | _PRODUCTS or node.op_type in _RECURRENT | {"ConvTranspose"}
    )


def node_macs(node: ir.Node) -> int:
    """Return the multiply-accumulates of one node, those of its inner graphs left out.

    Of a node whose shapes follow from a level, those of its most expensive level.
    """
    if not is_counted(node):
        return 0
    noted = level_macs(node)
    return _macs_of_shapes(node) if noted is None else max(noted[1])


def _macs_of_shapes(node: ir.Node) -> int:
    if node.op_type in _CONVOLUTIONS:
        weight = sizes(_input(node, _CONVOLUTIONS[node.op_type]))
        return math.prod(sizes(node.outputs[0]) or ()) * math.prod((weight or ())[1:])
    if node.op_type == "ConvTranspose":
        weight = sizes(_input(node, 1))
        return math.prod(sizes(_input(node, 0)) or ()) * math.prod((weight or ())[1:])
    if node.op_type in _PRODUCTS:
        return _product_macs(node)
    if node.op_type in _RECURRENT:
        steps = math.prod((sizes(_input(node, 0)) or ())[:2])
        matrices = (sizes(_input(node, index)) for index in (1, 2))
        return steps * sum(math.prod(matrix) for matrix in matrices if matrix)
    raise AssertionError(f"{node.op_type} is not counted")


def level_macs(node: ir.Node) -> tuple[str, list[int]] | None:
    """Return the decision that a node's shapes follow from, and its cost at each option.

    None where no pass noted it.
    """
    text = node.metadata_props.get(LEVEL_MACS)
    if text is None:
        return None
    try:
        noted = json.loads(text)
        return str(noted["decision"]), [int(count) for count in noted["macs"]] or [0]
    except (KeyError, TypeError, ValueError):  # somebody else's note
        return None


def _product_macs(node: ir.Node) -> int:
    left = sizes(_input(node, 0)) or [1]
    inner = left[-1]
    if node.op_type == "Gemm" and "transA" in node.attributes:
        inner = left[0] if node.attributes["transA"].as_int() else inner
    output = sizes(node.outputs[0])
    if output is None:
        right = sizes(_input(node, 3 if node.op_type == "QLinearMatMul" else 1)) or [1]
        output = [*left[:-1], right[-1]]
    return math.prod(output) * inner


def _input(node: ir.Node, index: int) -> ir.Value | None:
    return node.inputs[index] if index < len(node.inputs) else None


def sizes(value: ir.Value | None) -> list[int] | None:
    """Return the shape, symbolic dimensions as 1; None if it is not known."""
    if value is None:
        return None
    if value.shape is None:
        tensor = ir.convenience.get_const_tensor(value)
        return None if tensor is None else list(tensor.shape.numpy())
    return [size if isinstance(size, int) else 1 for size in value.shape]
