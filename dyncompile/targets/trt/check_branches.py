"""Refuse Ifs whose branches do not return the same kind of values."""

from __future__ import annotations

__all__ = ["CheckBranches"]

from dataclasses import dataclass

import onnx_ir as ir

from dyncompile.passes.constants import is_fixed
from dyncompile.passes.scopes import graphs_of
from dyncompile.targets.trt.check_types import QUANTISED
from dyncompile.targets.trt.refusing import refusal


@dataclass(frozen=True)
class CheckBranches(ir.passes.InPlacePass):
    """Check what crosses the border of an If on its way out; changes nothing.

    Both branches return as many values, of the same types and ranks; sizes may differ. None of
    them is quantised: what is quantised inside of a branch is dequantised there. A condition has
    one element. Ifs on a constant are folded, and pass.

    Raises:
        TargetError: one breaks a rule.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Look at every If."""
        for node in model.graph.all_nodes():
            if node.op_type == "If" and not node.domain:
                condition = node.inputs[0]
                if condition is not None and not is_fixed(condition):
                    _check_condition(node, condition)
                    _check_outputs(node)
        return ir.passes.PassResult(model, modified=False)


def _check_condition(node: ir.Node, condition: ir.Value) -> None:
    shape = condition.shape
    if shape is not None and any(size != 1 for size in shape):
        raise refusal(
            node,
            f"its condition has the shape {shape}: it falls once per row, and TensorRT takes one"
            " element.",
            "Give a batch of 1, or decide once per call.",
        )


def _check_outputs(node: ir.Node) -> None:
    one, other = graphs_of(node)
    counts = {len(one.outputs), len(other.outputs), len(node.outputs)}
    if len(counts) > 1:
        raise refusal(
            node,
            f"its branches return {len(one.outputs)} and {len(other.outputs)} values.",
            "Return the same values from both.",
        )
    for number, (here, there) in enumerate(zip(one.outputs, other.outputs, strict=True), 1):
        which = f"output {number} of its branches"
        if here.dtype is not None and there.dtype is not None and here.dtype != there.dtype:
            kinds = f"{here.dtype.name.lower()} and {there.dtype.name.lower()}"
            raise refusal(
                node, f"{which} is of the types {kinds}.", "Cast both to one type in the branches."
            )
        if (
            here.shape is not None
            and there.shape is not None
            and len(here.shape) != len(there.shape)
        ):
            raise refusal(
                node,
                f"{which} has the shapes {here.shape} and {there.shape}, of different ranks.",
                "Reshape both to one rank in the branches.",
            )
        if here.dtype in QUANTISED:
            raise refusal(
                node,
                f"{which} is quantised to {here.dtype.name.lower()}.",
                "Dequantise inside of the branches and quantise again outside.",
            )
