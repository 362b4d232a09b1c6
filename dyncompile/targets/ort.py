"""Portable ONNX for ONNX Runtime."""

from __future__ import annotations

__all__ = ["PASSES"]

import onnx_ir as ir

from dyncompile.passes import BranchOnDecisions, NameUniquely, PlaceWeights, SplitDecisions

PASSES: tuple[ir.passes.PassBase, ...] = (
    SplitDecisions(),
    BranchOnDecisions(),
    PlaceWeights(),
    NameUniquely(),
)
