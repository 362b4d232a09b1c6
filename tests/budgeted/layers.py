"""Operators with weights, which are small multiples of powers of two.

So sums are exact, in any order, wherever no operator divides.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from dyncompile import markers
from tests.budgeted.marking import Switch
from tests.budgeted.op import (
    Array,
    Attributes,
    Builder,
    Op,
    Shape,
    Weights,
    channels,
    inner,
    with_channels,
)


def _drawn(
    rng: np.random.Generator, shape: Shape, fan_in: int, bias: int
) -> dict[str, NDArray[np.float32]]:
    """Draw a weight whose sums of fan_in products stay small, and a bias if there is one."""
    scale = 2.0 ** -math.ceil(math.log2(math.sqrt(fan_in) + 1))
    weight = np.asarray(rng.choice([-2.0, -1.0, 1.0, 2.0], shape) * scale, np.float32)
    return {"weight": weight, "bias": drawn_vector(rng, bias)} if bias else {"weight": weight}


def drawn_vector(rng: np.random.Generator, count: int) -> NDArray[np.float32]:
    """Draw a number per channel."""
    return np.asarray(rng.choice([-1.0, -0.5, 0.5, 1.0], count), np.float32)


@dataclass(frozen=True)
class Conv(Op):
    """A convolution that keeps the size, or halves it with stride 2."""

    out: int
    kernel: int = 3
    stride: int = 1
    groups: int = 1
    bias: bool = True
    padded: bool = True

    def shapes(self, *xs: Shape) -> tuple[Shape, ...]:
        pad = 2 * self._pad()
        return ((self.out, *((n + pad - self.kernel) // self.stride + 1 for n in xs[0][1:])),)

    def weights(self, rng: np.random.Generator, *xs: Shape) -> Weights:
        into = xs[0][0] // self.groups
        shape = (self.out, into, self.kernel, self.kernel)
        return _drawn(rng, shape, into * self.kernel**2, self.out * self.bias)

    def compute(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        return functional.conv2d(x, weight, bias, self.stride, self._pad(), 1, self.groups)

    def build(self, b: Builder, x: ir.Value, **w: Array) -> ir.Value:
        return b.node(
            "Conv",
            [x, *map(b.constant, w.values())],
            self.shapes(inner(x))[0],
            group=self.groups,
            kernel_shape=[self.kernel] * 2,
            pads=[self._pad()] * 4,
            strides=[self.stride] * 2,
        )

    def _pad(self) -> int:
        return self.kernel // 2 if self.padded else 0


@dataclass(frozen=True)
class ConvTranspose(Op):
    """A transposed convolution that doubles the size."""

    out: int
    groups: int = 1
    bias: bool = True

    def shapes(self, *xs: Shape) -> tuple[Shape, ...]:
        return ((self.out, *(2 * n for n in xs[0][1:])),)

    def weights(self, rng: np.random.Generator, *xs: Shape) -> Weights:
        into = xs[0][0]
        return _drawn(rng, (into, self.out // self.groups, 2, 2), into, self.out * self.bias)

    def compute(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        return functional.conv_transpose2d(x, weight, bias, stride=2, groups=self.groups)

    def build(self, b: Builder, x: ir.Value, **w: Array) -> ir.Value:
        sizes: Attributes = {"kernel_shape": [2, 2], "strides": [2, 2], "pads": [0] * 4}
        inputs = [x, *map(b.constant, w.values())]
        return b.node("ConvTranspose", inputs, self.shapes(inner(x))[0], group=self.groups, **sizes)


@dataclass(frozen=True)
class Linear(Op):
    """A linear layer: Gemm on a vector, MatMul and Add on tokens."""

    out: int
    bias: bool = True

    def shapes(self, *xs: Shape) -> tuple[Shape, ...]:
        return (with_channels(xs[0], self.out),)

    def weights(self, rng: np.random.Generator, *xs: Shape) -> Weights:
        into = channels(xs[0])
        return _drawn(rng, (self.out, into), into, self.out * self.bias)

    def compute(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        return functional.linear(x, weight, bias)

    def build(self, b: Builder, x: ir.Value, **w: Array) -> ir.Value:
        (shape,) = self.shapes(inner(x))
        if len(shape) == 1 and self.bias:
            return b.node("Gemm", [x, *map(b.constant, w.values())], shape, transB=1)
        product = b.node("MatMul", [x, b.constant(w["weight"].T)], shape)
        return b.node("Add", [product, b.constant(w["bias"])], shape) if self.bias else product


_STATISTICS = ("weight", "bias", "mean", "var")


@dataclass(frozen=True)
class Norm(Op):
    """A BatchNorm in evaluation."""

    def weights(self, rng: np.random.Generator, *xs: Shape) -> Weights:
        count = channels(xs[0])
        return {
            "weight": np.asarray(rng.choice([-1.0, 0.5, 1.0, 2.0], count), np.float32),
            "bias": drawn_vector(rng, count),
            "mean": drawn_vector(rng, count),
            "var": np.asarray(rng.choice([0.25, 1.0, 4.0], count), np.float32),
        }

    def compute(self, x: Tensor, **w: Tensor) -> Tensor:
        weight, bias, mean, var = (w[name] for name in _STATISTICS)
        return functional.batch_norm(x, mean, var, weight, bias, training=False, eps=0.0)

    def build(self, b: Builder, x: ir.Value, **w: Array) -> ir.Value:
        values = [b.constant(w[name]) for name in _STATISTICS]
        return b.node("BatchNormalization", [x, *values], inner(x), epsilon=0.0)


@dataclass(frozen=True)
class LevelNorm(Op):
    """One BatchNorm per level: ``inputs`` are the level and what is normalised."""

    levels: int
    name: str

    def shapes(self, *xs: Shape) -> tuple[Shape, ...]:
        return (xs[1],)

    def weights(self, rng: np.random.Generator, *xs: Shape) -> Weights:
        drawn = [Norm(()).weights(rng, xs[1]) for _ in range(self.levels)]
        return {f"{name}{k}": a for k, one in enumerate(drawn) for name, a in one.items()}

    def compute(self, level: Tensor, x: Tensor, **w: Tensor) -> Tensor:
        def at_level(k: int) -> Tensor:
            return Norm(()).compute(x, **{name: w[f"{name}{k}"] for name in _STATISTICS})

        return markers.per_level(level, at_level, self.levels, name=self.name)

    def build(self, b: Builder, level: ir.Value, x: ir.Value, **w: Array) -> ir.Value:
        options = [
            Norm(()).build(b, x, **{name: w[f"{name}{k}"] for name in _STATISTICS})
            for k in range(self.levels)
        ]
        return Switch((), self.name).build(b, level, *options)


@dataclass(frozen=True)
class Prelu(Op):
    """A ReLU with a slope per channel."""

    def weights(self, rng: np.random.Generator, *xs: Shape) -> Weights:
        return {"slope": np.asarray(rng.choice([-0.5, 0.25, 0.5], channels(xs[0])), np.float32)}

    def compute(self, x: Tensor, slope: Tensor) -> Tensor:
        return functional.prelu(x, slope)

    def build(self, b: Builder, x: ir.Value, slope: Array) -> ir.Value:
        aligned = slope.reshape(-1, *[1] * (len(inner(x)) - 1))
        return b.node("PRelu", [x, b.constant(aligned)], inner(x))


@dataclass(frozen=True)
class PerChannel(Op):
    """A constant per channel, added or multiplied."""

    op_type: str

    def weights(self, rng: np.random.Generator, *xs: Shape) -> Weights:
        return {"by": drawn_vector(rng, channels(xs[0]))}

    def compute(self, x: Tensor, by: Tensor) -> Tensor:
        by = by.reshape(-1, 1, 1) if x.ndim == 4 else by
        return x + by if self.op_type == "Add" else x * by

    def build(self, b: Builder, x: ir.Value, by: Array) -> ir.Value:
        by = by.reshape(-1, 1, 1) if len(inner(x)) == 3 else by
        return b.node(self.op_type, [x, b.constant(by)], inner(x))
