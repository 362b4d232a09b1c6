"""Refuse inputs that TensorRT would take for something else."""

from __future__ import annotations

__all__ = ["CheckInputs"]

from dataclasses import dataclass

import onnx_ir as ir

from dyncompile.targets.trt.refusing import refusal


@dataclass(frozen=True)
class CheckInputs(ir.passes.InPlacePass):
    """Check that knobs are inputs, and that no input has a default; changes nothing.

    Attributes:
        knobs: Inputs that there have to be.

    Raises:
        TargetError: a knob is missing, or would be frozen.
    """

    knobs: tuple[str, ...] = ()

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Look at the inputs of the model."""
        names = {value.name for value in model.graph.inputs}
        for knob in self.knobs:
            if knob not in names:
                raise refusal(
                    f"knob {knob!r}",
                    "it is no input of the graph, so nothing could be set with it.",
                    "Let a decision read it, or leave it out of the knobs.",
                )
        for value in model.graph.inputs:
            if value.is_initializer():
                raise refusal(
                    f"input {value.name!r}",
                    "it has a default value, and TensorRT would freeze it.",
                    "Remove the initializer of that name.",
                )
        return ir.passes.PassResult(model, modified=False)
