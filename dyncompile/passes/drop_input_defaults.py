"""Make knobs plain inputs again."""

from __future__ import annotations

__all__ = ["DropInputDefaults"]

from dataclasses import dataclass

import onnx_ir as ir


@dataclass(frozen=True)
class DropInputDefaults(ir.passes.InPlacePass):
    """Forget the default values of inputs.

    Before: ``main (float[1, 4] x, float t = {0.5}) => ...``
    After: ``main (float[1, 4] x, float t) => ...``

    What ``DefaultKnobs`` adds: ONNX Runtime takes such an input for one that need not be fed,
    TensorRT for a constant, and the knob would be frozen.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Remove the initializers of inputs."""
        modified = False
        for value in model.graph.inputs:
            if value.is_initializer():
                assert value.name is not None
                del model.graph.initializers[value.name]
                value.const_value = None
                modified = True
        return ir.passes.PassResult(model, modified=modified)
