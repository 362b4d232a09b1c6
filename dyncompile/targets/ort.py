"""Portable ONNX for ONNX Runtime."""

from __future__ import annotations

__all__ = ["FINISHING", "FOREIGN", "FOREIGN_AS_IT_IS", "LOOPS", "WEIGHTS", "passes"]

import onnx_ir as ir
from onnx_ir.passes.common import LiftConstantsToInitializersPass, RemoveUnusedNodesPass

from dyncompile.passes import (
    BlockCapturedMaps,
    CheckDepth,
    FoldViews,
    GatesFromIfs,
    GatesFromMasks,
    GatesFromSelects,
    InvariantsOutOfLoops,
    MergeSlices,
    NameUniquely,
    NoteDecisions,
    OmitDefaults,
    OmitInnerTypes,
    PinForeignNodes,
    PlaceWeights,
    ScansFromLoops,
    ShareConditions,
    ShareWeights,
    SpecialiseLevels,
    SwitchesFromGathers,
    UnpinNodes,
    UnrollScans,
    ViewComputedWeights,
)
from dyncompile.passes.specialise_levels import Lowering
from dyncompile.targets.branching import BRANCHING

# Branches get their weights.
_PLACING: tuple[ir.passes.PassBase, ...] = (
    PlaceWeights(),
    ViewComputedWeights(),
    BlockCapturedMaps(),
)

_MARKED: tuple[ir.passes.PassBase, ...] = (
    MergeSlices(),
    FoldViews(keep_over=256),
    GatesFromMasks(),
    *BRANCHING,
    *_PLACING,
    OmitDefaults(),
    CheckDepth(),
)


def passes(budgets: Lowering = "auto") -> tuple[ir.passes.PassBase, ...]:
    """Return the passes for marked graphs, in order.

    Args:
        budgets: How channel budgets are lowered.
    """
    return (SpecialiseLevels(budgets), *_MARKED)


# Loops over stacked weights, in files made elsewhere.
LOOPS: tuple[ir.passes.PassBase, ...] = (
    InvariantsOutOfLoops(),
    ScansFromLoops(),
    UnrollScans(),
    SwitchesFromGathers(),
)

# For files made elsewhere: back to markers, and on from there.
FOREIGN: tuple[ir.passes.PassBase, ...] = (
    NameUniquely(),
    LiftConstantsToInitializersPass(size_limit=33),
    PinForeignNodes(),
    ShareConditions(),
    RemoveUnusedNodesPass(),
    *LOOPS,
    GatesFromIfs(),
    GatesFromSelects(),
    ShareWeights(),
    *BRANCHING,
    NoteDecisions(),
    *_PLACING,
    CheckDepth(),
)

# The same where Ifs had better stay as they are, and where everything had.
FOREIGN_AS_IT_IS: tuple[ir.passes.PassBase, ...] = tuple(
    one for one in FOREIGN if not isinstance(one, GatesFromIfs)
)
WEIGHTS: tuple[ir.passes.PassBase, ...] = (
    NameUniquely(),
    LiftConstantsToInitializersPass(size_limit=33),
    RemoveUnusedNodesPass(),
    NoteDecisions(),
    *_PLACING,
)

# After the manifest is made: costs and scores are read from types.
FINISHING: tuple[ir.passes.PassBase, ...] = (OmitInnerTypes(), UnpinNodes())
