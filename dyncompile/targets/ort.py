"""Portable ONNX for ONNX Runtime."""

from __future__ import annotations

__all__ = ["PASSES"]

import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from dyncompile.passes import (
    ActivationsIntoGates,
    BranchOnDecisions,
    FoldImpliedSelectors,
    GatesFromMasks,
    OmitDefaults,
    OrientGates,
    PlaceWeights,
    ResidualsIntoGates,
    SplitDecisions,
)

PASSES: tuple[ir.passes.PassBase, ...] = (
    GatesFromMasks(),
    ResidualsIntoGates(),
    ActivationsIntoGates(),
    OrientGates(),
    FoldImpliedSelectors(),
    RemoveUnusedNodesPass(),
    BranchOnDecisions(),
    SplitDecisions(),
    RemoveUnusedNodesPass(),
    PlaceWeights(),
    OmitDefaults(),
)
