"""Shapes of values, where a file does not say them."""

from __future__ import annotations

__all__ = ["with_shapes"]

import onnx_ir as ir
from onnx_ir.passes.common import ShapeInferencePass

from dyncompile.macs import is_counted, level_macs, sizes
from dyncompile.passes.fold_views import viewed_shape
from dyncompile.passes.scopes import graphs_of

_MOST_ROUNDS = 8  # each carries shapes from one If to those that read what it returns


def with_shapes(model: ir.Model) -> ir.Model:
    """Return the model with shapes wherever ONNX can infer those that costs are read from."""
    values = (
        value
        for node in model.graph.all_nodes()
        if is_counted(node) and level_macs(node) is None
        for value in (*node.inputs, node.outputs[0])
    )
    if all(value is None or sizes(value) is not None for value in values):
        return model
    copy = model.clone()
    for node in copy.graph.all_nodes():  # in a branch, inference knows no constants from outside
        shape, source = viewed_shape(node), node.inputs[0] if node.inputs else None
        if shape is not None and source is not None and source.type is not None:
            node.outputs[0].type, node.outputs[0].shape = source.type, ir.Shape(shape)
    ShapeInferencePass(strict_mode=False)(copy)
    for _ in range(_MOST_ROUNDS):
        if not _fill_in(copy.graph):
            break
        ShapeInferencePass(strict_mode=False)(copy)
    return copy


def _fill_in(graph: ir.Graph) -> bool:
    """Give outputs of Ifs that only one branch computes the shape that they have there.

    The other branch returns a constant of one element, which nobody reads, and inference takes
    both for possible.
    """
    changed = False
    for node in graph:
        for inner in graphs_of(node):
            changed |= _fill_in(inner)
        if node.op_type != "If" or node.domain:
            continue
        branches = [branch.outputs for branch in graphs_of(node)]
        for output, *sides in zip(node.outputs, *branches, strict=True):
            known = [side for side in sides if not _is_absent(side)]
            shape = known[0].shape if len(known) == 1 else None
            if shape is not None and _says_more(shape, output.shape):
                output.shape = ir.Shape(shape)
                changed = True
    return changed


def _is_absent(value: ir.Value) -> bool:
    node = value.producer()
    if node is None or node.op_type != "Constant" or node.domain:
        return False
    found = sizes(value)
    return found is not None and all(size == 1 for size in found)


def _says_more(shape: ir.Shape, than: ir.Shape | None) -> bool:
    if than is None or len(than) != len(shape):
        return True
    return any(
        isinstance(size, int) and not isinstance(other, int)
        for size, other in zip(shape, than, strict=True)
    )
