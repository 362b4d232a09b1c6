"""From a marked graph to one for TensorRT."""

from __future__ import annotations

__all__ = ["lowering"]

import onnx_ir as ir

from dyncompile.passes import (
    FoldViews,
    GatesFromMasks,
    MergeSlices,
    OmitDefaults,
    PlaceWeights,
    SpecialiseLevels,
)
from dyncompile.passes.specialise_levels import Lowering
from dyncompile.targets.branching import BRANCHING
from dyncompile.targets.trt.passes import LEGALISING


def lowering(budgets: Lowering = "auto") -> tuple[ir.passes.PassBase, ...]:
    """Return the passes for marked graphs, in order.

    A builder folds constants wherever they stand and stores equal ones once. So weights that
    branches share stay where they are, without the views that ONNX Runtime needs, and channel
    budgets become chains where they can: cut weights would be stored for every level. What
    comes out is made legal like any lowered file.

    Args:
        budgets: How channel budgets are lowered.
    """
    return (
        SpecialiseLevels(budgets, ways=("chain", "switch")),
        MergeSlices(),
        FoldViews(keep_over=256),
        GatesFromMasks(),
        *BRANCHING,
        PlaceWeights(views=False),
        OmitDefaults(),
        *LEGALISING,
    )
