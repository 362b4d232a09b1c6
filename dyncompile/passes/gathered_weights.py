"""Find weights that are picked from a constant by a run-time index."""

from __future__ import annotations

__all__ = ["GatheredWeight", "gathered_weights"]

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from dyncompile.passes.gates import has_one_element
from dyncompile.passes.stacks import is_constant

Dims = list[int]

_VIEWS = {"Identity", "Reshape", "Squeeze", "Unsqueeze"}


@dataclass(frozen=True)
class GatheredWeight:
    """One element of a constant, along its first axis.

    Attributes:
        constant: What is gathered from.
        index: The scalar that picks the element, before reshapes and casts.
        chain: The Gather, and the nodes that only reshape what it gives.
        dims: Shape of the result.
    """

    constant: ir.Value
    index: ir.Value
    chain: tuple[ir.Node, ...]
    dims: tuple[int, ...]

    @property
    def value(self) -> ir.Value:
        """The element, as it is read."""
        return self.chain[-1].outputs[0]

    @property
    def count(self) -> int:
        """How many elements the constant has."""
        assert self.constant.const_value is not None
        return int(self.constant.const_value.shape.numpy()[0])

    @property
    def nbytes(self) -> int:
        """Size of the element."""
        assert self.constant.const_value is not None
        return self.constant.const_value.nbytes // self.count


def gathered_weights(graph: ir.Graph) -> Iterator[GatheredWeight]:
    """Yield the weights that nodes of one graph gather, in order.

    Written as ``Gather(weights, i)``, or as exporters write it: with ``i`` reshaped to one
    element of rank 1, and a second Gather, a Squeeze or a Reshape that takes the first axis off
    again; or with a GatherND.
    """
    for node in graph:
        if node.domain or node.op_type not in {"Gather", "GatherND"} or _axis(node) != 0:
            continue
        constant, index = node.inputs
        if not is_constant(constant) or index is None or not has_one_element(index):
            continue
        assert constant is not None
        assert constant.const_value is not None
        assert index.shape is not None
        shape = constant.const_value.shape.numpy()
        is_nd = node.op_type == "GatherND"  # the last axis of its index is a position
        if not shape or (is_nd and not index.shape):
            continue
        source = _behind_views(index)
        if ir.convenience.get_const_tensor(source) is None or source.is_graph_input():
            dims = [1] * (len(index.shape) - is_nd) + list(shape[1:])
            yield _with_views(node, constant, source, dims)


def _axis(gather: ir.Node) -> int:
    attribute = gather.attributes.get("batch_dims" if gather.op_type == "GatherND" else "axis")
    return 0 if attribute is None else attribute.as_int()


def _behind_views(index: ir.Value) -> ir.Value:
    """Return the scalar of which an index is a form."""
    while (node := index.producer()) is not None and not node.domain and node.inputs:
        source = node.inputs[0]
        if node.op_type not in _VIEWS | {"Cast", "Gather"} or source is None:
            break
        if not has_one_element(source) or source.dtype not in {
            ir.DataType.INT64,
            ir.DataType.INT32,
        }:
            break
        if node.op_type == "Cast" and index.dtype != ir.DataType.INT64:  # it may cut bits off
            break
        index = source
    return index


def _with_views(gather: ir.Node, constant: ir.Value, index: ir.Value, dims: Dims) -> GatheredWeight:
    chain = [gather]
    while True:
        value = chain[-1].outputs[0]
        uses = value.uses()
        if len(uses) != 1 or value.is_graph_output():
            break
        ((user, position),) = uses
        seen = _seen_through(user, dims) if position == 0 else None
        if seen is None or user.graph is not gather.graph:
            break
        chain.append(user)
        dims = seen
    return GatheredWeight(constant, index, tuple(chain), tuple(dims))


def _seen_through(node: ir.Node, dims: Dims) -> Dims | None:
    """Return the shape in which a node shows a value of shape ``dims``; None if it is no view."""
    if node.domain or node.op_type not in _VIEWS | {"Gather"}:
        return None
    operand = node.inputs[1] if len(node.inputs) > 1 else None
    if operand is None:
        return _without_ones(node, dims)
    tensor = ir.convenience.get_const_tensor(operand)
    if tensor is None or operand.is_graph_input():
        return None
    numbers = np.asarray(tensor.numpy())
    if node.op_type in {"Gather", "Reshape"}:
        view = _first if node.op_type == "Gather" else _reshaped
        return view(node, dims, numbers)
    rank = len(dims) + (numbers.size if node.op_type == "Unsqueeze" else 0)
    axes = {axis % rank for axis in numbers.tolist()}
    if node.op_type == "Squeeze":
        return [n for axis, n in enumerate(dims) if axis not in axes]
    rest = iter(dims)
    return [1 if axis in axes else next(rest) for axis in range(rank)]


def _without_ones(node: ir.Node, dims: Dims) -> Dims | None:
    if node.op_type == "Identity":
        return dims
    if "axes" in node.attributes:  # as it was before opset 13
        return None
    return [n for n in dims if n != 1] if node.op_type == "Squeeze" else None


def _first(node: ir.Node, dims: Dims, index: NDArray[np.generic]) -> Dims | None:
    """Return the shape that a Gather of the only element along an axis leaves."""
    axis = _axis(node) % len(dims)
    if dims[axis] != 1 or index.size != 1:
        return None
    return [*dims[:axis], *index.shape, *dims[axis + 1 :]]


def _reshaped(node: ir.Node, dims: Dims, numbers: NDArray[np.generic]) -> Dims | None:
    wanted: Dims = numbers.tolist()
    keeps_zero = node.attributes.get("allowzero")
    if keeps_zero is None or not keeps_zero.as_int():
        if any(n == 0 and axis >= len(dims) for axis, n in enumerate(wanted)):
            return None
        wanted = [dims[axis] if n == 0 else n for axis, n in enumerate(wanted)]
    known = math.prod(n for n in wanted if n != -1)
    missing = math.prod(dims) // known if known else 0
    found = [missing if n == -1 else n for n in wanted]
    return found if math.prod(found) == math.prod(dims) else None
