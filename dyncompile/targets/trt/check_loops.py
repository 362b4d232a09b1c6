"""Refuse loops whose carried values change."""

from __future__ import annotations

__all__ = ["CheckLoops"]

from collections.abc import Iterator
from dataclasses import dataclass

import onnx_ir as ir

from dyncompile.passes.scopes import graphs_of
from dyncompile.targets.trt.refusing import refusal

_Carried = tuple[ir.Value | None, ir.Value, ir.Value]


@dataclass(frozen=True)
class CheckLoops(ir.passes.InPlacePass):
    """Check that what a loop carries keeps its type and its shape; changes nothing.

    Raises:
        TargetError: a round returns another type or shape than it got.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Look at every Loop."""
        for node in model.graph.all_nodes():
            if node.op_type == "Loop" and not node.domain:
                for first, before, after in _carried(node):
                    for start in (before, first):
                        if start is not None:
                            _check(node, start, after)
        return ir.passes.PassResult(model, modified=False)


def _carried(node: ir.Node) -> Iterator[_Carried]:
    (body,) = graphs_of(node)
    # A body is told its number and whether to go on, and returns whether to go on.
    for index, first in enumerate(node.inputs[2:]):
        yield first, body.inputs[2 + index], body.outputs[1 + index]


def _check(node: ir.Node, start: ir.Value, after: ir.Value) -> None:
    name = after.name
    if start.dtype is not None and after.dtype is not None and start.dtype != after.dtype:
        kinds = f"{start.dtype.name.lower()} to {after.dtype.name.lower()}"
        raise refusal(
            node,
            f"{name!r} goes from {kinds} in a round.",
            "Cast it back at the end of the body.",
        )
    if start.shape is None or after.shape is None:
        return
    pairs = zip(start.shape, after.shape, strict=False)
    resized = any(isinstance(a, int) and isinstance(b, int) and a != b for a, b in pairs)
    if resized or len(start.shape) != len(after.shape):
        raise refusal(
            node,
            f"{name!r} goes from shape {start.shape} to {after.shape} in a round.",
            "Carry a value of one shape, as large as it gets.",
        )
