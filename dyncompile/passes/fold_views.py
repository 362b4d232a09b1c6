"""Turn views of weights into weights."""

from __future__ import annotations

__all__ = ["FoldViews", "viewed_shape"]

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from dyncompile.passes.constants import known_bytes
from dyncompile.passes.scopes import graphs_of

_VIEWS = ("Reshape", "Slice")


@dataclass(frozen=True)
class FoldViews(ir.passes.InPlacePass):
    """Replace a Reshape or Slice of a weight by the weight in that form.

    Before: ``v = Reshape(w, [64, 64, 3, 3]); y = Conv(x, v)``
    After: ``y = Conv(x, w)`` where ``w`` has this shape already, else with a copy of it

    Both inputs have to be constants of the graph that the view stands in; what ``PlaceWeights``
    makes in a branch stays, because there a view of an outer weight is the point.

    Attributes:
        keep_over: A view of more bytes stays if what reads the weight would hold more than the
            weight together, so that the file does not grow; None folds all.
    """

    keep_over: int | None = None

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Fold in the main graph and in every graph nested in it."""
        modified = False
        pending = [model.graph]
        while pending:
            graph = pending.pop()
            for node in list(graph):
                pending.extend(graphs_of(node))
                modified |= self._is_folded(node) and _fold(node, graph)
        return ir.passes.PassResult(model, modified=modified)

    def _is_folded(self, node: ir.Node) -> bool:
        weight, output = node.inputs[0] if node.inputs else None, node.outputs[0]
        if self.keep_over is None or weight is None or len(weight.uses()) == 1:
            return True
        size = known_bytes(output)
        return size is not None and (size <= self.keep_over or _share_out(weight))


def _share_out(weight: ir.Value) -> bool:
    """Whether nothing but views reads a weight, and these hold no more than it together."""
    whole = known_bytes(weight)
    views = [node for node, index in weight.uses() if node.op_type in _VIEWS and index == 0]
    if whole is None or weight.is_graph_output() or len(views) < len(weight.uses()):
        return False
    sizes = [known_bytes(view.outputs[0]) for view in views]
    known = [size for size in sizes if size is not None]
    return len(known) == len(sizes) and sum(known) <= whole


def viewed_shape(node: ir.Node) -> tuple[int, ...] | None:
    """Return the shape of a Reshape or Slice of a constant, which is not read; else None."""
    if node.op_type not in _VIEWS or node.domain or "allowzero" in node.attributes:
        return None
    tensors = [
        ir.convenience.get_const_tensor(value)
        for value in node.inputs
        if value is not None and not value.is_graph_input()
    ]
    known = [tensor for tensor in tensors if tensor is not None]
    if len(known) < len(node.inputs):
        return None
    weight, *numbers = known
    view = _reshaped if node.op_type == "Reshape" else _sliced
    try:
        like = np.empty(weight.shape.numpy(), np.bool_)
        return view(like, [tensor.numpy() for tensor in numbers]).shape
    except (ValueError, IndexError):  # a view that no runtime accepts
        return None


def _fold(node: ir.Node, graph: ir.Graph) -> bool:
    if node.op_type not in _VIEWS or node.domain or node.outputs[0].is_graph_output():
        return False
    inputs = [value for value in node.inputs if value and _is_constant_of(value, graph)]
    if len(inputs) < len(node.inputs) or "allowzero" in node.attributes:
        return False
    weight, *numbers = inputs
    arrays = [value.const_value.numpy() for value in numbers if value.const_value is not None]
    tensor = weight.const_value
    assert tensor is not None, "a constant has a value"
    view = _reshaped if node.op_type == "Reshape" else _sliced
    array = view(tensor.numpy(), arrays)
    output = node.outputs[0]
    known = weight
    if node.op_type == "Slice" or array.shape != tuple(tensor.shape.numpy()):
        known = ir.Value(
            name=output.name,
            type=weight.type,
            shape=ir.Shape(array.shape),
            const_value=ir.tensor(np.array(array, order="C"), dtype=tensor.dtype),
        )
        output.name = None
        graph.register_initializer(known)
    output.replace_all_uses_with(known)
    graph.remove(node, safe=True)
    return True


def _is_constant_of(value: ir.Value, graph: ir.Graph) -> bool:
    return (
        value.is_initializer()
        and not value.is_graph_input()
        and value.const_value is not None
        and value.graph is graph
    )


def _reshaped(array: NDArray[np.generic], numbers: list[NDArray[np.int64]]) -> NDArray[np.generic]:
    sizes = [array.shape[k] if n == 0 else n for k, n in enumerate(numbers[0].tolist())]
    return array.reshape(sizes)


def _sliced(array: NDArray[np.generic], numbers: list[NDArray[np.int64]]) -> NDArray[np.generic]:
    starts, ends, *rest = (each.tolist() for each in numbers)
    axes = rest[0] if rest else range(len(starts))
    steps = rest[1] if len(rest) > 1 else [1] * len(starts)
    index = [slice(None)] * array.ndim
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        index[axis] = slice(start, end, step)
    return array[tuple(index)]
