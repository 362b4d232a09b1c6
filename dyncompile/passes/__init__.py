"""Graph passes, one per file; each target lists the order it runs them in."""

from __future__ import annotations

__all__ = [
    "ActivationsIntoGates",
    "BranchOnDecisions",
    "CheckDepth",
    "DefaultKnobs",
    "FoldImpliedSelectors",
    "GatesFromMasks",
    "NameUniquely",
    "OmitDefaults",
    "OmitInnerTypes",
    "OrientGates",
    "PlaceWeights",
    "ResidualsIntoGates",
    "SplitDecisions",
]

from dyncompile.passes.activations_into_gates import ActivationsIntoGates
from dyncompile.passes.branch_on_decisions import BranchOnDecisions
from dyncompile.passes.check_depth import CheckDepth
from dyncompile.passes.default_knobs import DefaultKnobs
from dyncompile.passes.fold_implied_selectors import FoldImpliedSelectors
from dyncompile.passes.gates_from_masks import GatesFromMasks
from dyncompile.passes.name_uniquely import NameUniquely
from dyncompile.passes.omit_defaults import OmitDefaults
from dyncompile.passes.omit_inner_types import OmitInnerTypes
from dyncompile.passes.orient_gates import OrientGates
from dyncompile.passes.place_weights import PlaceWeights
from dyncompile.passes.residuals_into_gates import ResidualsIntoGates
from dyncompile.passes.split_decisions import SplitDecisions
