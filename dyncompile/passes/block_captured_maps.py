"""Let a branch begin in ONNX Runtime's blocked layout."""

from __future__ import annotations

__all__ = ["BlockCapturedMaps", "is_block_entry"]

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import onnx_ir as ir

from dyncompile.passes.decision_values import unused_name, values_by_name
from dyncompile.passes.scopes import graphs_of

BLOCK = 16  # channels; processors with narrower vectors use blocks of 8
_PIXEL = [1, 1]

# Operators that ONNX Runtime runs in the blocked layout if what they read has it already.
_FOLLOW = {"Add", "BatchNormalization", "Concat", "Mul", "Relu", "Sigmoid", "Sum", "Tanh"}


@dataclass(frozen=True)
class BlockCapturedMaps(ir.passes.InPlacePass):
    """Read a captured feature map through a pooling of one pixel.

    Before: ``If(take) { y = Add(Conv(x), x) }``
    After: ``If(take) { blocked = AveragePool<1x1>(x); y = Add(Conv(blocked), blocked) }``

    What crosses the border of an If has the plain layout. In ONNX Runtime a convolution or a
    pooling brings its input into the blocked one; an addition, a concatenation or a
    normalisation runs blocked only if all it reads is. So a residual stream or the features
    of a dense block would stay plain up to the end of the branch, with a change of layout
    before each convolution and nothing fused. The pooling costs one copy and changes no value
    but the sign of a zero. On processors for which ONNX Runtime has no blocked layout the copy
    wins nothing.

    Only maps ``float32[N, C, ...]`` of rank 4 with C a multiple of 16 are touched, read by such
    an operator that a convolution of the same branch feeds or follows.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Pool in the branches of every If."""
        names: dict[str, ir.Value] | None = None
        modified = False
        for node in model.graph.all_nodes():
            if node.op_type != "If" or node.domain:
                continue
            for branch in graphs_of(node):
                for value, readers in _captured_maps(branch).items():
                    names = values_by_name(model) if names is None else names
                    _pool(branch, value, readers, names)
                    modified = True
        return ir.passes.PassResult(model, modified=modified)


def is_block_entry(node: ir.Node) -> bool:
    """Whether the node is a pooling of one pixel, as this pass adds them."""
    if node.op_type != "AveragePool" or node.domain or set(node.attributes) != {"kernel_shape"}:
        return False
    return list(node.attributes["kernel_shape"].as_ints()) == _PIXEL


def _captured_maps(branch: ir.Graph) -> dict[ir.Value, list[ir.Node]]:
    found: dict[ir.Value, list[ir.Node]] = {}
    for node in branch:
        for value in dict.fromkeys(node.inputs):
            if value is not None and value.graph is not branch and _is_map(value):
                found.setdefault(value, []).append(node)
    return {
        value: readers
        for value, readers in found.items()
        if any(_joins(node, branch) for node in readers)
    }


def _is_map(value: ir.Value) -> bool:
    shape = value.shape
    if value.is_initializer() or value.dtype != ir.DataType.FLOAT or shape is None:
        return False
    return len(shape) == 4 and isinstance(shape[1], int) and shape[1] % BLOCK == 0


def _joins(node: ir.Node, branch: ir.Graph) -> bool:
    """Whether the node would run blocked, next to a convolution of this branch."""
    if node.domain or node.op_type not in _FOLLOW:
        return False
    return _reaches(node, branch, _before) or _reaches(node, branch, _after)


def _reaches(
    start: ir.Node, branch: ir.Graph, step: Callable[[ir.Node], Iterator[ir.Node]]
) -> bool:
    pending, seen = [start], {start}
    while pending:
        for node in step(pending.pop()):
            if node.graph is not branch or node in seen or node.domain:
                continue
            if node.op_type == "Conv":
                return True
            if node.op_type in _FOLLOW:
                pending.append(node)
                seen.add(node)
    return False


def _before(node: ir.Node) -> Iterator[ir.Node]:
    for value in node.inputs:
        producer = value.producer() if value is not None else None
        if producer is not None:
            yield producer


def _after(node: ir.Node) -> Iterator[ir.Node]:
    for user, index in node.outputs[0].uses():
        if user.op_type != "Conv" or index == 0:
            yield user


def _pool(
    branch: ir.Graph, value: ir.Value, readers: list[ir.Node], names: dict[str, ir.Value]
) -> None:
    name = unused_name(f"{value.name}.blocked", names)
    blocked = ir.val(name, dtype=value.dtype, shape=value.shape)
    names[name] = blocked
    kernel = ir.AttrInt64s("kernel_shape", _PIXEL)
    branch.insert_before(
        branch[0], ir.Node("", "AveragePool", [value], [kernel], outputs=[blocked])
    )
    for reader in readers:
        for index, read in enumerate(reader.inputs):
            if read is value:
                reader.replace_input_with(index, blocked)
