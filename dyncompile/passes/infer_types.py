"""Note the types and shapes that follow from others."""

from __future__ import annotations

__all__ = ["InferTypes", "infer_inside", "quiet"]

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import onnx_ir as ir
from onnx_ir.passes.common import ShapeInferencePass, shape_inference

from dyncompile.passes.fold_views import viewed_shape


@dataclass(frozen=True)
class InferTypes(ir.passes.InPlacePass):
    """Give values the types and shapes that ONNX can infer.

    The opposite of ``OmitInnerTypes``, for passes that read them. Inputs and outputs keep what
    is declared; a graph with sequences or optional values stays as it is, because inference
    takes them for tensors, and so does one that contradicts itself.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Infer in all graphs."""
        nodes = list(model.graph.all_nodes())
        if any("Sequence" in node.op_type or "Optional" in node.op_type for node in nodes):
            return ir.passes.PassResult(model, modified=False)
        before = _types(model)
        for node in nodes:  # in a branch, inference knows no constants from outside
            sizes, source = viewed_shape(node), node.inputs[0] if node.inputs else None
            if sizes is not None and source is not None and source.type is not None:
                node.outputs[0].type, node.outputs[0].shape = source.type, ir.Shape(sizes)
        infer_inside(model)
        return ir.passes.PassResult(model, modified=_types(model) != before)


def infer_inside(model: ir.Model) -> None:
    """Note types and shapes that follow from others; where they contradict, nothing happens."""
    declared = [(v, v.type, v.shape) for v in (*model.graph.inputs, *model.graph.outputs)]
    declared = [(v, kind, None if s is None else ir.Shape(s)) for v, kind, s in declared]
    with quiet(shape_inference.__name__):
        ShapeInferencePass(check_type=False, strict_mode=False)(model)
    for value, kind, shape in declared:  # what a caller sees stays as it was written
        if kind is not None and shape is not None:
            value.type, value.shape = kind, shape


def _types(model: ir.Model) -> list[tuple[object, object]]:
    nodes = model.graph.all_nodes()
    return [(value.dtype, str(value.shape)) for node in nodes for value in node.outputs]


@contextmanager
def quiet(name: str) -> Iterator[None]:
    """Let a logger say nothing."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
