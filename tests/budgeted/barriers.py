"""Operators that no budget along the channels passes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
import torch
from torch import Tensor
from torch.nn import functional

from tests.budgeted.layers import drawn_vector
from tests.budgeted.op import (
    INT64,
    Array,
    Attributes,
    Builder,
    Op,
    Shape,
    Weights,
    axis_of,
    channels,
    inner,
    tensor_axis,
    with_channels,
)


@dataclass(frozen=True)
class Softmax(Op):
    """Over the channels."""

    exact = False

    def compute(self, x: Tensor) -> Tensor:
        return x.softmax(tensor_axis(x))

    def build(self, b: Builder, x: ir.Value) -> ir.Value:
        return b.node("Softmax", [x], inner(x), axis=axis_of(inner(x)))


@dataclass(frozen=True)
class AffineNorm(Op):
    """LayerNorm over the channels of tokens or a vector; two groups of channels of a map."""

    exact = False

    def weights(self, rng: np.random.Generator, *xs: Shape) -> Weights:
        count = channels(xs[0])
        return {"weight": drawn_vector(rng, count), "bias": drawn_vector(rng, count)}

    def compute(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        if x.ndim == 4:
            return functional.group_norm(x, 2, weight, bias, eps=0.125)
        return functional.layer_norm(x, weight.shape, weight, bias, eps=0.125)

    def build(self, b: Builder, x: ir.Value, weight: Array, bias: Array) -> ir.Value:
        inputs = [x, b.constant(weight), b.constant(bias)]
        if len(inner(x)) == 3:
            return b.node("GroupNormalization", inputs, inner(x), num_groups=2, epsilon=0.125)
        return b.node("LayerNormalization", inputs, inner(x), axis=-1, epsilon=0.125)


@dataclass(frozen=True)
class Shuffle(Op):
    """Channels of a map shuffled between two groups."""

    def compute(self, x: Tensor) -> Tensor:
        halves = x.reshape(-1, 2, x.shape[1] // 2, *x.shape[2:])
        return halves.transpose(1, 2).reshape(-1, *x.shape[1:])

    def build(self, b: Builder, x: ir.Value) -> ir.Value:
        count, *size = inner(x)
        halves = b.reshaped(x, (2, count // 2, *size))
        order = [0, 2, 1, 3, 4]
        swapped = b.node("Transpose", [halves], (count // 2, 2, *size), perm=order)
        return b.reshaped(swapped, (count, *size))


@dataclass(frozen=True)
class Sort(Op):
    """Channels in ascending order."""

    def compute(self, x: Tensor) -> Tensor:
        return x.sort(tensor_axis(x)).values

    def build(self, b: Builder, x: ir.Value) -> ir.Value:
        shape = inner(x)
        ways: Attributes = {"axis": axis_of(shape), "largest": 0, "sorted": 1}
        values, indices = b.several("TopK", [x, b.ints(channels(shape))], [shape, shape], **ways)
        indices.dtype = INT64
        return values


@dataclass(frozen=True)
class Flip(Op):
    """Channels in the opposite order."""

    def compute(self, x: Tensor) -> Tensor:
        return x.flip(tensor_axis(x))

    def build(self, b: Builder, x: ir.Value) -> ir.Value:
        ends = (-1, -(2**63), axis_of(inner(x)), -1)
        return b.node("Slice", [x, *map(b.ints, ends)], inner(x))


@dataclass(frozen=True)
class AcrossChannels(Op):
    """Sum or largest of the channels, one channel left."""

    kind: str

    def shapes(self, *xs: Shape) -> tuple[Shape, ...]:
        return (with_channels(xs[0], 1),)

    def compute(self, x: Tensor) -> Tensor:
        reduce = torch.sum if self.kind == "sum" else torch.amax
        return reduce(x, tensor_axis(x), keepdim=True)

    def build(self, b: Builder, x: ir.Value) -> ir.Value:
        axis = b.ints(axis_of(inner(x)))
        op_type = "ReduceSum" if self.kind == "sum" else "ReduceMax"
        return b.node(op_type, [x, axis], self.shapes(inner(x))[0], keepdims=1)
