"""Leave out inputs that are left out anyway."""

from __future__ import annotations

__all__ = ["OmitTrailingInputs"]

from dataclasses import dataclass

import onnx_ir as ir


@dataclass(frozen=True)
class OmitTrailingInputs(ir.passes.InPlacePass):
    """Shorten nodes whose last inputs have no name.

    Before: ``w = DequantizeLinear(q, scale, "")``
    After: ``w = DequantizeLinear(q, scale)``

    Both mean the same by the standard; TensorRT's parser looks for the third by its name.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Shorten the nodes of all graphs."""
        modified = False
        for node in model.graph.all_nodes():
            count = len(node.inputs)
            while count and node.inputs[count - 1] is None:
                count -= 1
            if count < len(node.inputs):
                node.resize_inputs(count)
                modified = True
        return ir.passes.PassResult(model, modified=modified)
