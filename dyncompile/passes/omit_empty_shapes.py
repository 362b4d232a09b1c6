"""Say without an empty constant what an empty list of sizes or axes means."""

from __future__ import annotations

__all__ = ["OmitEmptyShapes"]

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from dyncompile.passes.constants import is_fixed, shared_constant

# Where the list stands; with none in it, these return what they read.
_IDLE = {"Expand": 1, "Pad": 1, "Slice": 1, "Tile": 1, "Unsqueeze": 1}
_OPTIONAL = {"Resize": (1, 2)}  # regions and scales, which older exporters leave empty


@dataclass(frozen=True)
class OmitEmptyShapes(ir.passes.InPlacePass):
    """Replace operators that read an empty list of sizes or axes.

    Before: ``y = Reshape(x, [])`` with ``x`` of shape [1]
    After: ``y = Squeeze(x, [0])``

    TensorRT's parser warns of constants without elements and forgets them. Operators that do
    nothing without sizes become Identity; a reduction over no axes is Identity or one over all;
    optional inputs that are empty are left out.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Replace them in all graphs."""
        modified = False
        for node in list(model.graph.all_nodes()):
            if not node.domain:
                modified |= _rewrite(node, model.graph)
        return ir.passes.PassResult(model, modified=modified)


def _rewrite(node: ir.Node, home: ir.Graph) -> bool:
    empty = set(_empty_inputs(node))
    if not empty or node.inputs[0] is None:
        return False
    x = node.inputs[0]
    if _IDLE.get(node.op_type) in empty:
        _replace(node, ir.Node("", "Identity", [x]))
        return True
    if node.op_type == "Reshape" and x.shape is not None:
        axes = np.arange(len(x.shape), dtype=np.int64)
        inputs = [x, shared_constant(home, f"axes.{len(axes)}", axes)]
        _replace(node, ir.Node("", "Squeeze", inputs) if len(axes) else _identity(x))
        return True
    if node.op_type.startswith("Reduce") and 1 in empty:
        noop = node.attributes.get("noop_with_empty_axes")
        if noop is not None and noop.as_int():
            _replace(node, _identity(x))
        else:
            node.replace_input_with(1, None)
        return True
    dropped = empty.intersection(_OPTIONAL.get(node.op_type, ()))
    for index in dropped:
        node.replace_input_with(index, None)
    return bool(dropped)


def _empty_inputs(node: ir.Node) -> Iterator[int]:
    for index, value in enumerate(node.inputs):
        if index and value is not None and is_fixed(value):
            tensor = ir.convenience.get_const_tensor(value)
            if tensor is not None and 0 in tensor.shape.numpy():
                yield index


def _identity(value: ir.Value) -> ir.Node:
    return ir.Node("", "Identity", [value])


def _replace(node: ir.Node, new: ir.Node) -> None:
    """Put a node in the place of another; name and notes stay."""
    assert isinstance(node.graph, ir.Graph)
    new.name = node.name
    new.metadata_props.update(node.metadata_props)
    new.outputs[0].metadata_props.update(node.outputs[0].metadata_props)
    ir.convenience.replace_nodes_and_values(
        node.graph, node, [node], [new], list(node.outputs), list(new.outputs)
    )
