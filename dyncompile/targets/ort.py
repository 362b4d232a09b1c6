"""Portable ONNX for ONNX Runtime."""

from __future__ import annotations

__all__ = ["FINISHING", "FOREIGN", "FOREIGN_AS_IT_IS", "LOOPS", "PASSES", "WEIGHTS"]

import onnx_ir as ir
from onnx_ir.passes.common import LiftConstantsToInitializersPass, RemoveUnusedNodesPass

from dyncompile.passes import (
    ActivationsIntoGates,
    BlockCapturedMaps,
    BranchOnDecisions,
    CheckDepth,
    FoldImpliedSelectors,
    GatesFromIfs,
    GatesFromMasks,
    GatesFromSelects,
    InvariantsOutOfLoops,
    NameUniquely,
    NoteDecisions,
    OmitDefaults,
    OmitInnerTypes,
    OrientGates,
    PinForeignNodes,
    PlaceWeights,
    ResidualsIntoGates,
    ScansFromLoops,
    ShareConditions,
    ShareWeights,
    SplitDecisions,
    SwitchesFromGathers,
    UnpinNodes,
    UnrollScans,
)

# What both kinds of files share: gates become branches, and branches get their weights.
_BRANCHING: tuple[ir.passes.PassBase, ...] = (
    ResidualsIntoGates(),
    ActivationsIntoGates(),
    OrientGates(),
    FoldImpliedSelectors(),
    RemoveUnusedNodesPass(),
    BranchOnDecisions(),
    SplitDecisions(),
    RemoveUnusedNodesPass(),
)
_PLACING: tuple[ir.passes.PassBase, ...] = (
    PlaceWeights(),
    BlockCapturedMaps(),
)

PASSES: tuple[ir.passes.PassBase, ...] = (
    GatesFromMasks(),
    *_BRANCHING,
    *_PLACING,
    OmitDefaults(),
    CheckDepth(),
)

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
    *_BRANCHING,
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
