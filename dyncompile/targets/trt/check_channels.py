"""Refuse values that fit their readers on one side of an If only."""

from __future__ import annotations

__all__ = ["CheckChannels"]

from collections.abc import Iterator
from dataclasses import dataclass

import onnx_ir as ir

from dyncompile.passes.constants import is_fixed
from dyncompile.passes.infer_types import InferTypes
from dyncompile.passes.scopes import graphs_of
from dyncompile.targets.trt.refusing import place, refusal, static_shape

# Whose weights have, first of all, one entry per channel that is read.
_FIRST = {"BatchNormalization", "ConvTranspose", "InstanceNormalization"}


@dataclass(frozen=True)
class CheckChannels(ir.passes.InPlacePass):
    """Check that what an If returns fits its readers whatever branch runs; changes nothing.

    Branches may return different sizes. TensorRT then knows none, and builds a convolution that
    reads one number of channels over a value that has another: wrong results, or a crash. So
    for each such If, shapes are inferred once per branch, in a copy, and what each
    convolution, product and normalisation reads is held against its weights.

    Raises:
        TargetError: one does not fit.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Look at every If whose branches return different sizes."""
        for position, node in enumerate(model.graph.all_nodes()):
            if node.op_type == "If" and not node.domain and _differ(node):
                for branch in range(2):
                    _check_side(model, node, position, branch)
        return ir.passes.PassResult(model, modified=False)


def _differ(node: ir.Node) -> bool:
    """Whether some size is known on one side, and is another or unknown on the other."""
    return any(
        a != b and (isinstance(a, int) or isinstance(b, int))
        for here, there in zip(*(branch.outputs for branch in graphs_of(node)), strict=True)
        for a, b in zip(here.shape or (), there.shape or (), strict=False)
    )


def _check_side(model: ir.Model, owner: ir.Node, position: int, branch: int) -> None:
    copy = model.clone()
    nodes = list(copy.graph.all_nodes())
    _forget_shapes(nodes)
    side = list(graphs_of(owner))[branch]
    at = nodes[position]
    assert isinstance(at.graph, ir.Graph)
    for output, inner in zip(at.outputs, side.outputs, strict=True):
        stand_in = ir.val(f"{output.name}.side", dtype=inner.dtype, shape=inner.shape)
        copy.graph.inputs.append(stand_in)
        handed = ir.node("Identity", [stand_in])  # a branch cannot return an input of the model
        at.graph.insert_after(at, handed)
        output.replace_all_uses_with(handed.outputs[0], replace_graph_outputs=True)
    InferTypes()(copy)
    for node in copy.graph.all_nodes():
        for value, axis, wanted in _wanted(node):
            shape = value.shape
            found = shape[axis] if shape is not None and -len(shape) <= axis < len(shape) else None
            if isinstance(found, int) and found != wanted:
                raise refusal(
                    node,
                    f"it reads {wanted} channels, and gets {found} where {place(owner)} takes its"
                    f" {'then' if branch == 0 else 'else'}_branch.",
                    "Let both branches return as many, padded with zeros for instance.",
                )


def _forget_shapes(nodes: list[ir.Node]) -> None:
    for node in nodes:
        for value in node.outputs:
            if not value.is_graph_output():
                value.shape = None


def _wanted(node: ir.Node) -> Iterator[tuple[ir.Value, int, int]]:
    """Yield what a node reads, the axis of its channels, and how many its weights are for."""
    if node.domain or len(node.inputs) < 2:
        return
    x, weight = node.inputs[:2]
    shape = static_shape(weight) if weight is not None and is_fixed(weight) else None
    if x is None or shape is None:
        return
    if node.op_type == "Conv":
        group = node.attributes.get("group")
        yield x, 1, shape[1] * (1 if group is None else group.as_int())
    elif node.op_type in _FIRST:
        yield x, 1, shape[0]
    elif node.op_type == "MatMul" and len(shape) >= 2:
        yield x, -1, shape[-2]
    elif node.op_type == "Gemm":
        turned, weight_turned = (
            name in node.attributes and node.attributes[name].as_int()
            for name in ("transA", "transB")
        )
        yield x, 0 if turned else 1, shape[1 if weight_turned else 0]
