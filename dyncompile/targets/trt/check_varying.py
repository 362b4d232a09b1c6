"""Refuse shapes that a branch decides, where they are read in other branches."""

from __future__ import annotations

__all__ = ["CheckVarying"]

from dataclasses import dataclass

import onnx_ir as ir

from dyncompile.passes.scopes import graphs_of
from dyncompile.targets.trt.refusing import refusal, scoped_nodes


@dataclass(frozen=True)
class CheckVarying(ir.passes.InPlacePass):
    """Check that Ifs whose branches return different sizes stand last; changes nothing.

    TensorRT goes on with such a value in the main graph only: neither may the If stand inside of
    a branch or a loop, nor anything that is computed from its result be read in one.

    Raises:
        TargetError: one does.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Look at every If."""
        for node, around in scoped_nodes(model.graph):
            if node.op_type != "If" or node.domain:
                continue
            for output in _varying(node):
                if around or _is_read_inside(output, model.graph):
                    raise refusal(
                        node,
                        "its branches return different sizes, which other branches then read.",
                        "Return one size from both, padded with zeros for instance.",
                    )
        return ir.passes.PassResult(model, modified=False)


def _varying(node: ir.Node) -> list[ir.Value]:
    sides = zip(node.outputs, *(branch.outputs for branch in graphs_of(node)), strict=True)
    return [
        output
        for output, here, there in sides
        if any(
            isinstance(a, int) and isinstance(b, int) and a != b
            for a, b in zip(here.shape or (), there.shape or (), strict=False)
        )
    ]


def _is_read_inside(value: ir.Value, main: ir.Graph) -> bool:
    waiting, seen = [value], {value}
    while waiting:
        for reader, _ in waiting.pop().uses():
            if reader.graph is not main:
                return True
            for after in reader.outputs:
                if after not in seen:
                    seen.add(after)
                    waiting.append(after)
    return False
