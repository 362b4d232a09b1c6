"""What is computed at export, and what stays a view of a weight."""

from __future__ import annotations

__all__ = ["fold_constants"]


import onnx_ir as ir
from onnxscript import optimizer

from dyncompile.passes.constants import is_fixed, known_bytes

_SMALL_BYTES = 256  # as a node, with its name and its numbers, it takes more room than as a copy


def fold_constants(model: ir.Model) -> None:
    """Optimise what the exporter wrote as the exporter does, but store no weight twice.

    A network that slices its weights differently per level would otherwise get a copy of each
    small weight per level; the runtime folds the slices when it loads the file.
    """
    optimizer.optimize_ir(model, should_fold=lambda node: False if _grows_the_file(node) else None)
    for node in list(model.graph):
        if node.op_type == "Identity" and not node.domain:
            _skip_copy_of_weight(node, model.graph)


def _grows_the_file(node: ir.Node) -> bool:
    """Whether a node of constant inputs takes more room as a constant than as a node.

    Its result would be stored beside the weight that it is computed from, because other nodes
    read that weight too. What takes up to 256 bytes is small either way.
    """
    inputs = {value for value in node.inputs if value is not None}
    return _bytes(node.outputs[0]) > _SMALL_BYTES and any(
        _bytes(value) > _SMALL_BYTES and _has_others(value, node) for value in inputs
    )


def _skip_copy_of_weight(node: ir.Node, graph: ir.Graph) -> None:
    """Remove what is left of transpositions that cancel: it would hide the weight from passes."""
    weight, copy = node.inputs[0], node.outputs[0]
    if weight is not None and is_fixed(weight) and not copy.is_graph_output():
        copy.replace_all_uses_with(weight)
        graph.remove(node, safe=True)


def _has_others(value: ir.Value, node: ir.Node) -> bool:
    return value.is_graph_output() or any(user is not node for user, _ in value.uses())


def _bytes(value: ir.Value) -> int:
    return known_bytes(value) or 0
