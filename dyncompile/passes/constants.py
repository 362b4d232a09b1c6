"""Constants that passes add."""

from __future__ import annotations

__all__ = [
    "add_constant",
    "constant_ints",
    "is_fixed",
    "known_bytes",
    "shared_constant",
    "shared_sizes",
]

import math
from collections.abc import Sequence

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray


def is_fixed(value: ir.Value) -> bool:
    """Whether a value is a constant that nobody can feed."""
    is_constant = ir.convenience.get_const_tensor(value) is not None or value.is_initializer()
    return is_constant and not value.is_graph_input()


def constant_ints(value: ir.Value | None) -> list[int] | None:
    """Return the entries of a constant that nobody can feed; None if it is none."""
    if value is None or not is_fixed(value):
        return None
    tensor = ir.convenience.get_const_tensor(value)
    return None if tensor is None else [int(entry) for entry in tensor.numpy().flatten()]


def add_constant(graph: ir.Graph, name: str, array: NDArray[np.generic]) -> ir.Value:
    """Add an initializer to a graph and return it."""
    tensor = ir.tensor(array)
    value = ir.Value(
        name=name, type=ir.TensorType(tensor.dtype), shape=ir.Shape(array.shape), const_value=tensor
    )
    graph.register_initializer(value)
    return value


def shared_constant(graph: ir.Graph, name: str, array: NDArray[np.generic]) -> ir.Value:
    """Return an initializer of that value, under the name or a numbered one; add it if need be."""
    free, count = name, 1
    while (known := graph.initializers.get(free)) is not None:
        tensor = known.const_value
        if tensor is not None and not known.is_graph_input():
            same = tensor.dtype.numpy() == array.dtype and tensor.nbytes == array.nbytes
            if same and np.array_equal(tensor.numpy(), array):
                return known
        count += 1
        free = f"{name}.{count}"
    return add_constant(graph, free, array)


def shared_sizes(graph: ir.Graph, sizes: Sequence[int]) -> ir.Value:
    """Return an initializer that spells sizes, once for all that are the same."""
    return shared_constant(graph, "dims." + "x".join(map(str, sizes)), np.asarray(sizes, np.int64))


def known_bytes(value: ir.Value) -> int | None:
    """Return the size of a value in bytes; None if its type or shape is not known."""
    tensor = ir.convenience.get_const_tensor(value)
    if tensor is not None:
        return tensor.nbytes
    if value.shape is None or value.dtype is None:
        return None
    sizes = [size for size in value.shape if isinstance(size, int)]
    if len(sizes) < len(value.shape):
        return None
    return math.ceil(math.prod(sizes) * value.dtype.itemsize)
