"""Refuse shapes that depend on what the network computes."""

from __future__ import annotations

__all__ = ["CheckSizes", "sizes_of"]

from collections.abc import Iterator
from dataclasses import dataclass

import onnx_ir as ir

from dyncompile.targets.trt.refusing import origins, refusal, scoped_nodes

# Which inputs say how large a result is.
_SIZES = {
    "ConstantOfShape": (0,),
    "Expand": (1,),
    "Pad": (1, 3),
    "Range": (0, 1, 2),
    "Reshape": (1,),
    "Resize": (2, 3),
    "Slice": (1, 2, 3, 4),
    "Split": (1,),
    "Tile": (1,),
    "TopK": (1,),
    "Upsample": (1,),
}
# Which have to be constants.
_FIXED = {"CumSum": (1,), "OneHot": (1,), "Squeeze": (1,), "Unsqueeze": (1,)}
_WHOLE = {ir.DataType.INT32, ir.DataType.INT64}


@dataclass(frozen=True)
class CheckSizes(ir.passes.InPlacePass):
    """Check that sizes follow from constants, shapes and integer inputs; changes nothing.

    TensorRT plans memory from them before it runs the network. An integer input that gives a
    size is read on the host; in a branch of an If it crashes the builder (seen with
    tensorrt_rtx 1.7.1). Axes, and the depth of OneHot, have to be constants.

    Raises:
        TargetError: a size, or an axis, depends on something else.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Look at the nodes of all graphs."""
        inputs = set(model.graph.inputs)
        for node, around in scoped_nodes(model.graph):
            for value in _fixed_of(node):
                if any(True for _ in origins(value)):
                    raise refusal(
                        node,
                        f"{value.name!r}, which it reads, is no constant.",
                        "Make it one when the network is exported.",
                    )
            in_branch = any(owner.op_type == "If" for owner in around)
            for value in sizes_of(node):
                for origin in origins(value):
                    _check(node, origin, is_input=origin in inputs, in_branch=in_branch)
        return ir.passes.PassResult(model, modified=False)


def sizes_of(node: ir.Node) -> Iterator[ir.Value]:
    """Yield the inputs that say how large the result of a node is."""
    if not node.domain:
        yield from _read(node, _SIZES.get(node.op_type, ()))


def _fixed_of(node: ir.Node) -> Iterator[ir.Value]:
    if not node.domain:
        indices = (1,) if node.op_type.startswith("Reduce") else _FIXED.get(node.op_type, ())
        yield from _read(node, indices)


def _read(node: ir.Node, indices: tuple[int, ...]) -> Iterator[ir.Value]:
    for index in indices:
        value = node.inputs[index] if index < len(node.inputs) else None
        if value is not None:
            yield value


def _check(node: ir.Node, origin: ir.Value, *, is_input: bool, in_branch: bool) -> None:
    producer = origin.producer()
    if producer is not None:
        raise refusal(
            node,
            f"how large its result is depends on the {producer.op_type} {producer.name!r}.",
            "Let shapes depend on constants and integer inputs, and branches pad to one size.",
        )
    if not is_input:
        raise refusal(
            node,
            f"how large its result is, or where it begins, depends on {origin.name!r} of a loop.",
            "Read the element of a round with Gather, and keep sizes the same in every round.",
        )
    if origin.dtype is not None and origin.dtype not in _WHOLE:
        raise refusal(
            node,
            f"how large its result is depends on the values of the input {origin.name!r}.",
            "Let shapes depend on constants and integer inputs; choose branches by the rest.",
        )
    if in_branch:
        raise refusal(
            node,
            f"in a branch, how large its result is depends on the input {origin.name!r}.",
            "Cut outside of the branch, or let the input choose between fixed sizes: give the"
            " marked file, or export with --budgets switch.",
        )
