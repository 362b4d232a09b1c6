"""Portable ONNX for ONNX Runtime."""

from __future__ import annotations

__all__ = ["FINISHING", "PASSES"]

import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from dyncompile.passes import (
    ActivationsIntoGates,
    BranchOnDecisions,
    CheckDepth,
    FoldImpliedSelectors,
    GatesFromMasks,
    OmitDefaults,
    OmitInnerTypes,
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
    CheckDepth(),
)

# After the manifest is made: costs and scores are read from types.
FINISHING: tuple[ir.passes.PassBase, ...] = (OmitInnerTypes(),)
