"""Refuse quantisation that TensorRT does not have, or gets wrong."""

from __future__ import annotations

__all__ = ["CheckQuantised"]

from collections.abc import Iterator
from dataclasses import dataclass

import onnx_ir as ir

from dyncompile.passes.constants import constant_ints, is_fixed
from dyncompile.targets.trt.check_types import QUANTISED
from dyncompile.targets.trt.refusing import origins, refusal

_QUANTISE, _DEQUANTISE = "QuantizeLinear", "DequantizeLinear"
_PRODUCTS = {"Conv": "convolution", "ConvTranspose": "convolution", "Gemm": "", "MatMul": ""}

# What a builder moves quantisation across.
_MOVES = {
    "AveragePool",
    "Concat",
    "DepthToSpace",
    "Flatten",
    "Gather",
    "GlobalMaxPool",
    "Identity",
    "MaxPool",
    "Pad",
    "Reshape",
    "Slice",
    "SpaceToDepth",
    "Split",
    "Squeeze",
    "Transpose",
    "Unsqueeze",
}


@dataclass(frozen=True)
class CheckQuantised(ir.passes.InPlacePass):
    """Check what quantises and dequantises; changes nothing.

    Quantisation is symmetric, to int8, int4 or float8, and a quantised constant is read by
    DequantizeLinear only, in one graph (``localise`` copies it). A product of two quantised
    values has both of one type. The scales of a quantised convolution are constants: others
    crash the builder (seen with tensorrt_rtx 1.7.1).

    Raises:
        TargetError: one breaks a rule.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Look at the nodes and constants of all graphs."""
        for graph in model.graphs():
            for value in graph.initializers.values():
                if value.dtype in QUANTISED:
                    _check_constant(value)
            for node in graph:
                if not node.domain and node.op_type in {_QUANTISE, _DEQUANTISE}:
                    _check_zero_point(node)
                    _check_type(node)
                    _check_blocks(node)
                elif not node.domain and node.op_type in _PRODUCTS:
                    _check_product(node)
        return ir.passes.PassResult(model, modified=False)


def _check_constant(value: ir.Value) -> None:
    readers = [node for node, index in value.uses() if not _is_zero_point(node, index)]
    for node in readers:
        if node.op_type != _DEQUANTISE:
            raise refusal(
                node,
                f"it reads the quantised constant {value.name!r}, which only {_DEQUANTISE} may.",
                "Dequantise the constant first, or store it as it is read.",
            )
    if len({node.graph for node in readers}) > 1:
        raise refusal(
            readers[0],
            f"the quantised constant {value.name!r} is read in several branches.",
            "Give each branch a constant of its own.",
        )


def _is_zero_point(node: ir.Node, index: int) -> bool:
    return index == 2 and node.op_type in {_QUANTISE, _DEQUANTISE}


def _check_zero_point(node: ir.Node) -> None:
    point = node.inputs[2] if len(node.inputs) > 2 else None
    if point is None:
        return
    if not is_fixed(point):
        raise refusal(node, "its zero point is no constant.", "Quantise symmetrically, around 0.")
    if any(constant_ints(point) or ()):
        raise refusal(node, "its zero point is not 0.", "Quantise symmetrically, around 0.")


def _check_type(node: ir.Node) -> None:
    dtype = _quantised_type(node)
    if dtype is None or dtype in QUANTISED:
        return
    verb = "quantises to" if node.op_type == _QUANTISE else "dequantises"
    raise refusal(
        node,
        f"it {verb} {dtype.name.lower()}, which TensorRT does not, or takes for int8.",
        "Keep it in float." if dtype == ir.DataType.INT32 else "Quantise to int8, int4 or float8.",
    )


def _quantised_type(node: ir.Node) -> ir.DataType | None:
    point = node.inputs[2] if len(node.inputs) > 2 else None
    if point is not None:
        return point.dtype
    if node.op_type == _DEQUANTISE:
        return node.inputs[0].dtype if node.inputs[0] is not None else None
    given = node.attributes.get("output_dtype")
    number = given.as_int() if given is not None else 0
    return ir.DataType(number) if number else ir.DataType.UINT8


def _check_blocks(node: ir.Node) -> None:
    size, axis, x = node.attributes.get("block_size"), node.attributes.get("axis"), node.inputs[0]
    if size is None or not size.as_int() or x is None or x.shape is None:
        return
    rank = len(x.shape)
    along = (axis.as_int() if axis is not None else 1) % max(rank, 1)
    if along < rank - 2:
        raise refusal(
            node,
            f"its blocks run along axis {along} of {rank}, and TensorRT has blocks along the last"
            " two only.",
            "Quantise kernels of convolutions per channel.",
        )


def _check_product(node: ir.Node) -> None:
    x, weight = (_dequantised(value) for value in node.inputs[:2])
    if x is None or weight is None:
        return
    kinds = [one.inputs[0].dtype for one in (x, weight) if one.inputs[0] is not None]
    known = [kind for kind in kinds if kind is not None]
    half = _PRODUCTS[node.op_type] and ir.DataType.INT4 in known
    if len(set(known)) > 1 or half:
        names = " and ".join(kind.name.lower() for kind in known)
        raise refusal(
            node,
            f"it multiplies {names}, for which TensorRT has no kernel.",
            "Quantise both to int8 or float8, or the weights only.",
        )
    if node.op_type == "Conv":
        for one in (x, weight):
            scale = one.inputs[1]
            if scale is not None and any(True for _ in origins(scale)):
                raise refusal(
                    node,
                    f"it is quantised with the scale {scale.name!r}, which is no constant.",
                    "Divide by the scale, quantise with a constant one, multiply afterwards.",
                )


def _dequantised(value: ir.Value | None) -> ir.Node | None:
    """Return what dequantises a value, itself or before it is moved around."""
    for node in _before(value):
        if node.op_type == _DEQUANTISE and not node.domain:
            return node
    return None


def _before(value: ir.Value | None) -> Iterator[ir.Node]:
    while value is not None and (node := value.producer()) is not None:
        yield node
        if node.domain or node.op_type not in _MOVES:
            return
        value = node.inputs[0]
