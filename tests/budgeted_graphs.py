"""Small marked graphs with channel budgets, written as text and filled with whole numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray
from onnx_ir.passes.common import ShapeInferencePass

from dyncompile.dialect import Budget
from tests.support import Feeds, parse

_FED = {"x", "level", "other", "take"}


def budgeted_graph(text: str) -> ir.Model:
    """Read a graph; every input but x, levels and take becomes a weight of small whole numbers."""
    model = parse(text)
    rng = np.random.default_rng(0)
    for value in list(model.graph.inputs):
        if value.name in _FED:
            continue
        assert value.shape is not None
        array: NDArray[Any] = rng.integers(-3, 4, value.shape.numpy()).astype(np.float32)
        array[array == 0] = 1  # a weight that is left out by mistake shows
        model.graph.inputs.remove(value)
        value.const_value = ir.tensor(array)
        model.graph.register_initializer(value)
    return model


def infer_shapes(model: ir.Model) -> ir.Model:
    """Note what shape everything has, as an exporter does; a budget keeps that of its input."""
    plain = model.clone()
    for node in plain.graph:
        if Budget.from_node(node) is not None:
            node.domain, node.op_type = "", "Identity"
            node.attributes.clear()
            node.resize_inputs(1)
    ShapeInferencePass()(plain)
    for node, known in zip(model.graph, plain.graph, strict=True):
        for output, like in zip(node.outputs, known.outputs, strict=True):
            output.type, output.shape = like.type, like.shape
    return model


def feeds_at(model: ir.Model, level: int, seed: int = 0) -> Feeds:
    """Draw whole numbers for the inputs; every level is the given one."""
    rng = np.random.default_rng(seed)
    feeds: Feeds = {}
    for value in model.graph.inputs:
        assert value.name
        assert value.shape is not None
        assert value.dtype is not None
        shape = [dim if isinstance(dim, int) else 2 for dim in value.shape]
        drawn = rng.integers(-4, 5, shape) if value.name == "x" else np.full(shape, level)
        feeds[value.name] = drawn.astype(value.dtype.numpy())
    return feeds
