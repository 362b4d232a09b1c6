"""Operators without weights that a budget passes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
import torch
from torch import Tensor
from torch.nn import functional

from tests.budgeted.op import (
    Attributes,
    Builder,
    Op,
    Shape,
    axis_of,
    channels,
    inner,
    tensor_axis,
    with_channels,
)

_FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "Relu": functional.relu,
    "Relu6": functional.relu6,
    "Hardtanh": functional.hardtanh,
    "LeakyRelu": lambda x: functional.leaky_relu(x, 0.25),
    "Neg": torch.neg,
    "Abs": torch.abs,
    "HardSwish": functional.hardswish,
    "Swish": functional.silu,
    "Gelu": functional.gelu,
    "Tanh": torch.tanh,
    "Sigmoid": torch.sigmoid,
}
RECTIFIERS = ("Relu", "Relu6", "LeakyRelu")
_EXACT = (*RECTIFIERS, "Hardtanh", "Neg", "Abs")
ZERO_KEEPING = (*_EXACT, "HardSwish", "Swish", "Gelu", "Tanh")


@dataclass(frozen=True)
class Unary(Op):
    """A function of each element."""

    name: str

    @property
    def exact(self) -> bool:  # type: ignore[override]
        """Whether it needs no division and no exponential."""
        return self.name in _EXACT

    def compute(self, x: Tensor) -> Tensor:
        return _FUNCTIONS[self.name](x)

    def build(self, b: Builder, x: ir.Value) -> ir.Value:
        match self.name:
            case "Relu6" | "Hardtanh":
                low, high = (0.0, 6.0) if self.name == "Relu6" else (-1.0, 1.0)
                return b.node("Clip", [x, b.constant(low), b.constant(high)], inner(x))
            case "LeakyRelu":
                return b.node("LeakyRelu", [x], inner(x), alpha=0.25)
            case "Swish":
                return b.node("Mul", [x, b.node("Sigmoid", [x], inner(x))], inner(x))
            case "Gelu":
                return b.node("Gelu", [x], inner(x), approximate="none")
            case _:
                return b.node(self.name, [x], inner(x))


@dataclass(frozen=True)
class Pool(Op):
    """``max`` or ``avg`` over 2x2, or ``wide``: the largest of 3x3, overlapping."""

    kind: str

    def shapes(self, *xs: Shape) -> tuple[Shape, ...]:
        shrink = 1 if self.kind == "wide" else 2
        return ((xs[0][0], *(n // shrink for n in xs[0][1:])),)

    def compute(self, x: Tensor) -> Tensor:
        pool = functional.avg_pool2d if self.kind == "avg" else functional.max_pool2d
        return pool(x, *self._sizes())

    def build(self, b: Builder, x: ir.Value) -> ir.Value:
        size, stride, pad = self._sizes()
        sizes: Attributes = {"kernel_shape": [size] * 2, "strides": [stride] * 2, "pads": [pad] * 4}
        op_type = "AveragePool" if self.kind == "avg" else "MaxPool"
        return b.node(op_type, [x], self.shapes(inner(x))[0], **sizes)

    def _sizes(self) -> tuple[int, int, int]:
        return (3, 1, 1) if self.kind == "wide" else (2, 2, 0)


@dataclass(frozen=True)
class GlobalPool(Op):
    """Mean or largest element of each channel: ``(C,)``, or ``(C, 1, 1)`` if kept."""

    kind: str
    kept: bool = False

    def shapes(self, *xs: Shape) -> tuple[Shape, ...]:
        return ((*xs[0][:1], 1, 1) if self.kept else (channels(xs[0]),),)

    def compute(self, x: Tensor) -> Tensor:
        reduce = torch.mean if self.kind == "mean" else torch.amax
        return reduce(x, (1,) if x.ndim == 3 else (2, 3), keepdim=self.kept)

    def build(self, b: Builder, x: ir.Value) -> ir.Value:
        axes = b.ints(1) if len(inner(x)) == 2 else b.ints(2, 3)
        op_type = "ReduceMean" if self.kind == "mean" else "ReduceMax"
        return b.node(op_type, [x, axes], self.shapes(inner(x))[0], keepdims=int(self.kept))


@dataclass(frozen=True)
class Flatten(Op):
    """``(C, H, W)`` to ``(C * H * W,)``."""

    def shapes(self, *xs: Shape) -> tuple[Shape, ...]:
        return ((math.prod(xs[0]),),)

    def compute(self, x: Tensor) -> Tensor:
        return x.flatten(1)

    def build(self, b: Builder, x: ir.Value) -> ir.Value:
        return b.reshaped(x, self.shapes(inner(x))[0])


@dataclass(frozen=True)
class Tokens(Op):
    """``(C, H, W)`` to tokens ``(H * W, C)``."""

    def shapes(self, *xs: Shape) -> tuple[Shape, ...]:
        return ((math.prod(xs[0][1:]), xs[0][0]),)

    def compute(self, x: Tensor) -> Tensor:
        return x.flatten(2).transpose(1, 2)

    def build(self, b: Builder, x: ir.Value) -> ir.Value:
        (shape,) = self.shapes(inner(x))
        return b.node("Transpose", [b.reshaped(x, shape[::-1])], shape, perm=[0, 2, 1])


@dataclass(frozen=True)
class Split(Op):
    """Channels cut into parts."""

    parts: tuple[int, ...]

    def shapes(self, *xs: Shape) -> tuple[Shape, ...]:
        return tuple(with_channels(xs[0], part) for part in self.parts)

    def compute(self, x: Tensor) -> Sequence[Tensor]:
        return torch.split(x, list(self.parts), tensor_axis(x))

    def build(self, b: Builder, x: ir.Value) -> Sequence[ir.Value]:
        axis, results = axis_of(inner(x)), self.shapes(inner(x))
        if len(set(self.parts)) == 1:
            return b.several("Split", [x], results, axis=axis, num_outputs=len(results))
        return b.several("Split", [x, b.ints(*self.parts)], results, axis=axis)


@dataclass(frozen=True)
class Slice(Op):
    """Some channels in a row."""

    start: int
    stop: int

    def shapes(self, *xs: Shape) -> tuple[Shape, ...]:
        return (with_channels(xs[0], self.stop - self.start),)

    def compute(self, x: Tensor) -> Tensor:
        return x.narrow(tensor_axis(x), self.start, self.stop - self.start)

    def build(self, b: Builder, x: ir.Value) -> ir.Value:
        ends = (self.start, self.stop, axis_of(inner(x)), 1)
        return b.node("Slice", [x, *map(b.ints, ends)], self.shapes(inner(x))[0])


@dataclass(frozen=True)
class Pad(Op):
    """Zeros around a map, and channels of zeros before and after its own."""

    around: int = 0
    before: int = 0
    after: int = 0

    def shapes(self, *xs: Shape) -> tuple[Shape, ...]:
        count = self.before + xs[0][0] + self.after
        return ((count, *(n + 2 * self.around for n in xs[0][1:])),)

    def compute(self, x: Tensor) -> Tensor:
        return functional.pad(x, (*[self.around] * 4, self.before, self.after))

    def build(self, b: Builder, x: ir.Value) -> ir.Value:
        edges = [self.around] * 2
        pads = b.ints(0, self.before, *edges, 0, self.after, *edges)
        return b.node("Pad", [x, pads], self.shapes(inner(x))[0], mode="constant")


@dataclass(frozen=True)
class Resize(Op):
    """Each pixel four times."""

    def shapes(self, *xs: Shape) -> tuple[Shape, ...]:
        return ((xs[0][0], *(2 * n for n in xs[0][1:])),)

    def compute(self, x: Tensor) -> Tensor:
        return functional.interpolate(x, scale_factor=2, mode="nearest")

    def build(self, b: Builder, x: ir.Value) -> ir.Value:
        scales = b.constant([1.0, 1.0, 2.0, 2.0])
        ways: Attributes = {"mode": "nearest", "nearest_mode": "floor"}
        ways["coordinate_transformation_mode"] = "asymmetric"
        return b.node("Resize", [x, None, scales], self.shapes(inner(x))[0], **ways)


_MEANING: dict[str, Callable[..., Tensor]] = {"Add": torch.add, "Mul": torch.mul, "Sub": torch.sub}


@dataclass(frozen=True)
class Binary(Op):
    """Add, Mul or Sub; ``(C, 1, 1)`` and ``(1, H, W)`` are spread."""

    op_type: str

    def shapes(self, *xs: Shape) -> tuple[Shape, ...]:
        return (tuple(np.broadcast_shapes(*xs)),)

    def compute(self, *xs: Tensor) -> Tensor:
        return _MEANING[self.op_type](*xs)

    def build(self, b: Builder, *xs: ir.Value) -> ir.Value:
        return b.node(self.op_type, xs, self.shapes(*map(inner, xs))[0])


@dataclass(frozen=True)
class Concat(Op):
    """Along the channels."""

    def shapes(self, *xs: Shape) -> tuple[Shape, ...]:
        return (with_channels(xs[0], sum(map(channels, xs))),)

    def compute(self, *xs: Tensor) -> Tensor:
        return torch.cat(xs, tensor_axis(xs[0]))

    def build(self, b: Builder, *xs: ir.Value) -> ir.Value:
        (shape,) = self.shapes(*map(inner, xs))
        return b.node("Concat", xs, shape, axis=axis_of(shape))


@dataclass(frozen=True)
class Attend(Op):
    """Attention of one head over tokens: queries, keys, values."""

    exact = False

    def shapes(self, *xs: Shape) -> tuple[Shape, ...]:
        return (xs[2],)

    def compute(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return (q @ k.transpose(1, 2)).softmax(-1) @ v

    def build(self, b: Builder, q: ir.Value, k: ir.Value, v: ir.Value) -> ir.Value:
        length, count = inner(q)
        keys = b.node("Transpose", [k], (count, length), perm=[0, 2, 1])
        scores = b.node("MatMul", [q, keys], (length, length))
        shares = b.node("Softmax", [scores], (length, length), axis=-1)
        return b.node("MatMul", [shares, v], inner(v))
