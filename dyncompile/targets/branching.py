"""What every target does with decisions: gates become branches."""

from __future__ import annotations

__all__ = ["BRANCHING"]

import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from dyncompile.passes import (
    ActivationsIntoGates,
    BranchOnDecisions,
    FoldImpliedSelectors,
    OrientGates,
    ResidualsIntoGates,
    SplitDecisions,
)

# On a graph of markers, which is flat.
BRANCHING: tuple[ir.passes.PassBase, ...] = (
    ResidualsIntoGates(),
    ActivationsIntoGates(),
    OrientGates(),
    FoldImpliedSelectors(),
    RemoveUnusedNodesPass(),
    BranchOnDecisions(),
    SplitDecisions(),
    RemoveUnusedNodesPass(),
)
