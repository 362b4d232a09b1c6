"""Multiply by weights with convolutions, where a chip has no matrix products of float32."""

from __future__ import annotations

__all__ = ["ConvolutionsFromProducts"]

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from dyncompile.passes.constants import add_constant, is_fixed, shared_constant

# Through which a weight stays one.
_VIEWS = {"Concat", "Gather", "Identity", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze"}


@dataclass(frozen=True)
class ConvolutionsFromProducts(ir.passes.InPlacePass):
    """Replace products of a float32 value and a weight by convolutions over one point.

    Before: ``y = Gemm(x, w, b)`` with ``w`` float32[16, 8]
    After: ``p = Unsqueeze(x, [2, 3]); q = Conv(p, v, b); y = Squeeze(q, [2, 3])`` with ``v``
    float32[8, 16, 1, 1], the transposed weight; a weight that is cut from another is transposed
    in the graph

    TensorRT for RTX has no matrix products of float32 for compute capability 7.5, and says so
    ("FP32 GEMM is not supported"); convolutions of float32 it has. Products of two computed
    values stay, and so do scaled ones.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Replace products in all graphs."""
        kernels: dict[tuple[ir.Value, int, bool], ir.Value] = {}
        modified = False
        for graph in (model.graph, *model.graph.subgraphs()):
            for node in list(graph):
                rank = _rank(node)
                if rank is not None:
                    assert isinstance(node.graph, ir.Graph)
                    _replace(node, rank, node.graph, kernels)
                    modified = True
        return ir.passes.PassResult(model, modified=modified)


def _rank(node: ir.Node) -> int | None:
    """Return the rank of what a node multiplies by a weight; None if it has no such product."""
    if node.domain or node.op_type not in {"Gemm", "MatMul"}:
        return None
    x, weight = node.inputs[:2]
    if x is None or weight is None or not _is_weight(weight):
        return None
    rank = len(x.shape) if x.shape is not None else 0
    is_float = x.dtype == weight.dtype == ir.DataType.FLOAT
    if not is_float or rank not in range(2, 6) or len(weight.shape or ()) != 2:
        return None
    plain = all(
        name == "transB" or attribute.value == (0 if name == "transA" else 1.0)
        for name, attribute in node.attributes.items()
    )
    return rank if plain else None


def _is_weight(value: ir.Value) -> bool:
    """Whether a value is stored, or a view of what is."""
    if value.is_initializer():
        return is_fixed(value)
    node = value.producer()
    if node is None or node.domain or node.op_type not in _VIEWS:
        return is_fixed(value)
    return all(_is_weight(before) for before in node.inputs if before is not None)


class _Nodes:
    """Nodes to stand in place of one."""

    def __init__(self, node: ir.Node, graph: ir.Graph) -> None:
        self.made: list[ir.Node] = []
        self._like = node.outputs[0]
        self._graph = graph

    def add(
        self, op_type: str, inputs: Sequence[ir.Value | None], **attributes: Sequence[int]
    ) -> ir.Value:
        """Append a node; return its output."""
        made = [ir.AttrInt64s(name, list(ints)) for name, ints in attributes.items()]
        new = ir.Node("", op_type, inputs, made)
        new.outputs[0].name, new.outputs[0].type = self._like.name, self._like.type
        self.made.append(new)
        return new.outputs[0]

    def axes(self, *numbers: int) -> ir.Value:
        """Return a constant that says which axes."""
        return shared_constant(self._graph, "axes", np.array(numbers))

    def kernel(self, weight: ir.Value, dims: int, *, turned: bool) -> ir.Value:
        """Append nodes that make a kernel of a weight that is not stored; return it."""
        assert weight.shape is not None
        rows = weight if turned else self.add("Transpose", [weight], perm=[1, 0])
        kernel = self.add("Unsqueeze", [rows, self.axes(*range(2, 2 + dims))])
        sizes = list(weight.shape)
        kernel.shape = ir.Shape([*(sizes if turned else sizes[::-1]), *[1] * dims])
        return kernel


def _replace(
    node: ir.Node,
    rank: int,
    graph: ir.Graph,
    kernels: dict[tuple[ir.Value, int, bool], ir.Value],
) -> None:
    x, bias = node.inputs[0], (*node.inputs[2:], None)[0]
    new = _Nodes(node, graph)
    kernel = _kernel_of(node, max(rank - 2, 2), new, kernels)
    value = x
    if rank > 2:
        value = new.add("Transpose", [value], perm=[0, rank - 1, *range(1, rank - 1)])
    axes = None if rank > 3 else new.axes(*range(rank, 4))
    if axes is not None:
        value = new.add("Unsqueeze", [value, axes])
    inside = bias is not None and _is_row(bias, kernel)
    value = new.add("Conv", [value, kernel, *([bias] if inside else [])])
    new.made[-1].metadata_props.update(node.metadata_props)
    new.made[-1].name = node.name
    if axes is not None:
        value = new.add("Squeeze", [value, axes])
    if rank > 2:
        value = new.add("Transpose", [value], perm=[0, *range(2, rank), 1])
    if bias is not None and not inside:
        value = new.add("Add", [value, bias])
    graph.insert_before(node, new.made)
    _hand_over(node, value, graph)


def _kernel_of(
    node: ir.Node,
    dims: int,
    new: _Nodes,
    kernels: dict[tuple[ir.Value, int, bool], ir.Value],
) -> ir.Value:
    """Return the weight of a product as a kernel, stored once if the weight is stored."""
    weight = node.inputs[1]
    assert weight is not None
    turned = "transB" in node.attributes and bool(node.attributes["transB"].as_int())
    if not weight.is_initializer():
        return new.kernel(weight, dims, turned=turned)
    key = (weight, dims, turned)
    if key not in kernels:
        kernels[key] = _kernel(*key)
    return kernels[key]


def _kernel(weight: ir.Value, dims: int, turned: bool) -> ir.Value:
    """Return the weight as a kernel, [outputs, inputs, 1, ...], beside the weight."""
    assert weight.const_value is not None
    assert weight.graph is not None
    matrix = weight.const_value.numpy()
    matrix = matrix if turned else matrix.T
    kernel = np.ascontiguousarray(matrix).reshape(*matrix.shape, *[1] * dims)
    name = f"{weight.name}.kernel{dims}{'' if turned else '.turned'}"
    return add_constant(weight.graph, name, kernel)


def _is_row(bias: ir.Value, kernel: ir.Value) -> bool:
    """Whether a bias is a constant with one number per output."""
    assert kernel.shape is not None
    sizes = None if bias.shape is None else list(bias.shape)
    return is_fixed(bias) and sizes == [kernel.shape[0]]


def _hand_over(node: ir.Node, value: ir.Value, graph: ir.Graph) -> None:
    """Let everything read a value in place of the output of a node, which goes."""
    output = node.outputs[0]
    value.shape = output.shape
    value.metadata_props.update(output.metadata_props)
    value.name, output.name = output.name, None
    output.replace_all_uses_with(value, replace_graph_outputs=True)
    graph.remove(node, safe=True)
