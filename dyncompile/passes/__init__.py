"""Graph passes, one per file; each target lists the order it runs them in."""

from __future__ import annotations

__all__ = ["BranchOnDecisions", "NameUniquely", "PlaceWeights", "SplitDecisions"]

from dyncompile.passes.branch_on_decisions import BranchOnDecisions
from dyncompile.passes.name_uniquely import NameUniquely
from dyncompile.passes.place_weights import PlaceWeights
from dyncompile.passes.split_decisions import SplitDecisions
