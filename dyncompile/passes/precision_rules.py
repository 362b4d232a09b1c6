"""Which operators gain by float16, which lose by it, and which follow what they read."""

from __future__ import annotations

__all__ = [
    "HALF",
    "MULTIPLYING",
    "Kind",
    "Parameters",
    "kind_of",
    "overflows",
    "parameters",
    "vanishes",
]

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray

HALF = np.finfo(np.float16)

# Products are what float16 hardware is fast at.
MULTIPLYING = {
    *("Conv", "ConvTranspose", "DeformConv", "Gemm", "MatMul", "Einsum"),
    *("LSTM", "GRU", "RNN"),
}

# "CUDA Ops that can autocast to float32", docs.pytorch.org/docs/stable/amp.html, by ONNX names.
_AUTOCAST = {
    *("Acos", "Asin", "Cosh", "Sinh", "Tan", "Exp", "Log", "Pow", "Reciprocal", "Softplus"),
    *("Softmax", "LogSoftmax", "CumSum", "CumProd", "ReduceProd", "ReduceSum"),
    *("ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSum", "ReduceLogSumExp"),
    *("LayerNormalization", "GroupNormalization", "LpNormalization"),
    *("NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss"),
}

# Means are sums before they are divided: 256 * 256 pixels of 1 exceed 65504. Positions and
# windows need more than 11 bits.
_CAREFUL = {
    *("ReduceMean", "GlobalAveragePool", "GlobalLpPool", "LpPool", "LRN"),
    *("InstanceNormalization", "MeanVarianceNormalization", "RMSNormalization"),
    *("Acosh", "Asinh", "Atanh", "Attention", "DFT", "Det", "GridSample", "AffineGrid"),
    *("MaxRoiPool", "RoiAlign", "RotaryEmbedding", "STFT", "CastLike"),
}

# They move numbers and change none.
_VIEWS = {
    *("Concat", "Expand", "Flatten", "Gather", "GatherElements", "GatherND", "Identity"),
    *("Reshape", "Slice", "Split", "Squeeze", "Tile", "Transpose", "Unsqueeze"),
}

_FEW_CHANNELS = 4
_FLOATS = {ir.DataType.FLOAT, ir.DataType.FLOAT16}
_HALF_TYPE = "tensor(float16)"


class Kind(Enum):
    """How an operator is treated.

    MULTIPLYING: float16, unless it decides.
    PLAIN: float16 where what it reads is.
    VIEW: the same, and where it is all read as float16.
    FLAG: a bool as 0 and 1, of the type that is read.
    CHOICE: several values of which it hands on one: float16 if one is, and it pays.
    DEQUANTIZING: float16 on the way to what multiplies in it.
    FLOAT: as it is.
    """

    MULTIPLYING = auto()
    PLAIN = auto()
    VIEW = auto()
    FLAG = auto()
    CHOICE = auto()
    DEQUANTIZING = auto()
    FLOAT = auto()


@dataclass(frozen=True)
class Parameters:
    """The inputs and outputs of a node whose element type may change together.

    Attributes:
        inputs: Numbers of the inputs.
        outputs: Numbers of the outputs.
        may_be_half: Whether ONNX allows float16 for them.
    """

    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    may_be_half: bool


def kind_of(node: ir.Node) -> Kind:
    """Return how a node that is neither a marker nor a loop or branch is treated."""
    op_type = node.op_type
    if node.domain or op_type in _AUTOCAST or op_type in _CAREFUL:
        return Kind.FLOAT
    if op_type == "Cast":
        is_flag = node.inputs[0] is not None and node.inputs[0].dtype == ir.DataType.BOOL
        return Kind.FLAG if is_flag else Kind.FLOAT
    if op_type == "DequantizeLinear":
        return Kind.FLOAT if "output_dtype" in node.attributes else Kind.DEQUANTIZING
    is_power = op_type == "Mul" and node.inputs[0] is node.inputs[1]
    if is_power or (op_type == "Conv" and _is_small_and_pointwise(node)):
        return Kind.FLOAT
    if op_type in MULTIPLYING:
        return Kind.MULTIPLYING
    return Kind.VIEW if op_type in _VIEWS or op_type == "Constant" else Kind.PLAIN


def _is_small_and_pointwise(node: ir.Node) -> bool:
    """Whether a convolution reads at most four channels of one point each.

    It gains nothing; and TensorRT for RTX 1.7 fails to build one of float16 whose result is cast
    and read in a branch ("CHECK(op->parent() == this || op->parent() == nullptr)").
    """
    weight = node.inputs[1]
    if weight is None or weight.shape is None or not weight.shape.is_static():
        return False
    _, channels, *window = weight.shape.numpy()
    return channels <= _FEW_CHANNELS and all(size == 1 for size in window)


def parameters(node: ir.Node, version: int) -> Parameters:
    """Return what of a node has the type of its first float input, by its ONNX schema.

    ``Resize`` has scales of float32 beside it; they are left out. ONNX allows the scale of a
    ``QuantizeLinear`` and the statistics of a ``BatchNormalization`` a type of their own, but
    TensorRT wants the first to have that of the input, and makes one scale of the second only
    then; they belong to it.
    """
    if node.op_type == "Constant" or (node.op_type == "Cast" and not node.domain):
        return Parameters((), (0,), may_be_half=True)
    if not onnx.defs.has(node.op_type, node.domain):
        return Parameters((), (), may_be_half=False)
    schema = onnx.defs.get_schema(node.op_type, version, node.domain)
    reads = [_type_of(schema.inputs, k) for k in range(len(node.inputs))]
    writes = [_type_of(schema.outputs, k) for k in range(len(node.outputs))]
    first = next((k for k, v in enumerate(node.inputs) if v and v.dtype in _FLOATS), None)
    if first is None:
        return Parameters((), (), may_be_half=False)
    own = {reads[first]}
    if node.op_type == "BatchNormalization":
        own.update(reads)
    elif node.op_type == "QuantizeLinear":
        own.add(reads[1])
    allowed = {one.type_param_str: one.allowed_type_strs for one in schema.type_constraints}
    return Parameters(
        tuple(k for k, name in enumerate(reads) if name in own),
        tuple(k for k, name in enumerate(writes) if name in own),
        may_be_half=all(_HALF_TYPE in allowed.get(name, ()) for name in own),
    )


def _type_of(parameters: Sequence[onnx.defs.OpSchema.FormalParameter], number: int) -> str:
    """Return the type variable of a parameter; the last one may stand for several."""
    return parameters[min(number, len(parameters) - 1)].type_str


def overflows(array: NDArray[np.float32]) -> bool:
    """Whether a finite number becomes infinite in float16."""
    with np.errstate(over="ignore"):
        rounded = array.astype(np.float16)
    return bool((np.isinf(rounded) & np.isfinite(array)).any())


def vanishes(array: NDArray[np.float32]) -> bool:
    """Whether a number other than zero becomes zero, or loses digits on the way there."""
    return bool(((array != 0) & (np.abs(array) < float(HALF.tiny))).any())
