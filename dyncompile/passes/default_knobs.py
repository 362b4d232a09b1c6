"""Let a runtime run the file without feeding its knobs."""

from __future__ import annotations

__all__ = ["DefaultKnobs"]

from dataclasses import dataclass

import onnx_ir as ir

from dyncompile.knobs import Knob


@dataclass(frozen=True)
class DefaultKnobs(ir.passes.InPlacePass):
    """Give every knob an initializer of the same name: ONNX's way to write a default.

    Before: ``main (float[1, 4] x, float t) => ...``
    After: ``main (float[1, 4] x, float t = {0.5}) => ...``

    The very last step: TensorRT's parser and several ONNX tools take such an input for a
    constant and freeze it.

    Attributes:
        knobs: Name and knob of each input.
    """

    knobs: tuple[tuple[str, Knob], ...]

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Add the initializers that are missing."""
        inputs = {value.name: value for value in model.graph.inputs}
        modified = False
        for name, knob in self.knobs:
            value = inputs[name]
            if value.const_value is None:
                value.const_value = ir.tensor(knob.array(name), name=name)
                model.graph.register_initializer(value)
                modified = True
        return ir.passes.PassResult(model, modified=modified)
