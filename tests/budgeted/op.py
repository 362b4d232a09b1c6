"""An operator of a random budgeted network: its meaning in torch, and its ONNX nodes.

The nodes are those that torch.onnx.export writes. Shapes are without the batch: ``(C, H, W)`` of
a map, ``(T, C)`` of tokens, ``(C,)`` of a vector.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray
from torch import Tensor

Shape = tuple[int, ...]
Array = NDArray[np.float32]
Weights = Mapping[str, Array]
Attributes = dict[str, Any]
FLOAT, INT64, BOOL = ir.DataType.FLOAT, ir.DataType.INT64, ir.DataType.BOOL
SCALAR = None  # the shape of what there is one of per call


class Builder:
    """Collects the nodes of a marked graph, all values typed and named."""

    def __init__(self, batch: int | str) -> None:
        self.batch = batch
        self.nodes: list[ir.Node] = []
        self.initializers: dict[tuple[str, Shape, bytes], ir.Value] = {}

    def constant(self, array: object, dtype: type = np.float32) -> ir.Value:
        """Return an initializer; equal arrays are one, as torch.onnx.export has it."""
        data: NDArray[Any] = np.asarray(array, dtype)
        key = (data.dtype.str, data.shape, data.tobytes())
        if key not in self.initializers:
            name = f"c{len(self.initializers)}"
            value = ir.Value(name=name, const_value=ir.tensor(data, name=name))
            value.dtype, value.shape = ir.DataType.from_numpy(data.dtype), ir.Shape(data.shape)
            self.initializers[key] = value
        return self.initializers[key]

    def ints(self, *numbers: int) -> ir.Value:
        """Return an int64 list."""
        return self.constant(numbers, np.int64)

    def node(
        self,
        op_type: str,
        inputs: Sequence[ir.Value | None],
        shape: Shape | None,
        dtype: ir.DataType = FLOAT,
        **attributes: Any,  # noqa: ANN401 - what an attribute may be
    ) -> ir.Value:
        """Append a node with one result; ``shape`` is without the batch, SCALAR has none."""
        return self.several(op_type, inputs, [shape], dtype, **attributes)[0]

    def several(
        self,
        op_type: str,
        inputs: Sequence[ir.Value | None],
        shapes: Sequence[Shape | None],
        dtype: ir.DataType = FLOAT,
        **attributes: Any,  # noqa: ANN401 - what an attribute may be
    ) -> list[ir.Value]:
        """Append a node with several results."""
        domain, _, name = op_type.rpartition(".")
        number = len(self.nodes)
        attrs = ir.convenience.convert_attributes(attributes)
        node = ir.Node(domain, name, inputs, attrs, num_outputs=len(shapes), name=f"n{number}")
        self.nodes.append(node)
        for k, (value, shape) in enumerate(zip(node.outputs, shapes, strict=True)):
            value.name = f"v{number}_{k}"
            value.dtype = dtype
            value.shape = ir.Shape([] if shape is SCALAR else [self.batch, *shape])
        return list(node.outputs)

    def reshaped(self, x: ir.Value, shape: Shape) -> ir.Value:
        """Append a reshape that keeps the batch."""
        batch = -1 if isinstance(self.batch, str) else self.batch
        return self.node("Reshape", [x, self.ints(batch, *shape)], shape, allowzero=1)

    def zeros(self, like: ir.Value) -> ir.Value:
        """Return zeros of the shape of a value."""
        if not isinstance(self.batch, str):
            return self.constant(np.zeros((self.batch, *inner(like))))
        batch = self.node("Shape", [like], SCALAR, INT64, start=0, end=1)
        batch.shape = ir.Shape([1])
        sizes = self.node("Concat", [batch, self.ints(*inner(like))], SCALAR, INT64, axis=0)
        sizes.shape = ir.Shape([len(inner(like)) + 1])
        return self.node("Expand", [self.constant(0.0), sizes], inner(like))


@dataclass(frozen=True)
class Op:
    """An operator on values known by their numbers.

    Attributes:
        inputs: Numbers of the values read.
    """

    inputs: tuple[int, ...]

    exact = True  # whether it computes multiples of powers of two from such

    def shapes(self, *xs: Shape) -> tuple[Shape, ...]:
        """Return the shapes of the results."""
        return (xs[0],)

    def weights(self, rng: np.random.Generator, *xs: Shape) -> Weights:
        """Draw the weights."""
        del rng, xs
        return {}

    def compute(self, *xs: Any, **w: Any) -> Tensor | Sequence[Tensor]:  # noqa: ANN401 - each has its own
        """Compute the result from tensors, or the results."""
        raise NotImplementedError

    def build(self, b: Builder, *xs: Any, **w: Any) -> ir.Value | Sequence[ir.Value]:  # noqa: ANN401 - each has its own
        """Append the nodes for the result, or the results; weights are arrays."""
        raise NotImplementedError


def inner(value: ir.Value) -> Shape:
    """Return the shape of a value without its batch."""
    assert value.shape is not None
    return tuple(int(str(size)) for size in value.shape[1:])


def channels(shape: Shape) -> int:
    """Return how many channels a shape has."""
    return shape[-1] if len(shape) == 2 else shape[0]


def axis_of(shape: Shape) -> int:
    """Return the axis of the channels, batch counted."""
    return 2 if len(shape) == 2 else 1


def with_channels(shape: Shape, count: int) -> Shape:
    """Return the shape with another number of channels."""
    return (shape[0], count) if len(shape) == 2 else (count, *shape[1:])


def tensor_axis(x: Tensor) -> int:
    """Return the axis of the channels of a tensor."""
    return 2 if x.ndim == 3 else 1
