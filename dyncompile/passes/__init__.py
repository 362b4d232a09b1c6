"""Graph passes, one per file; each target lists the order it runs them in."""

from __future__ import annotations

__all__ = [
    "ActivationsIntoGates",
    "BlockCapturedMaps",
    "BranchOnDecisions",
    "CheckDepth",
    "ConvolutionsFromProducts",
    "DefaultKnobs",
    "DetachFunctions",
    "DropInputDefaults",
    "DropPixelPools",
    "DropViews",
    "FillAbsent",
    "FoldImpliedSelectors",
    "FoldViews",
    "GatesFromIfs",
    "GatesFromMasks",
    "GatesFromSelects",
    "HalfPrecision",
    "InferTypes",
    "InvariantsOutOfLoops",
    "MergeSlices",
    "NameUniquely",
    "NoteDecisions",
    "OmitDefaults",
    "OmitEmptyShapes",
    "OmitInnerTypes",
    "OmitTrailingInputs",
    "OrientGates",
    "PinForeignNodes",
    "PlaceWeights",
    "ResidualsIntoGates",
    "ScansFromLoops",
    "ShareConditions",
    "ShareWeights",
    "SpecialiseLevels",
    "SplitDecisions",
    "SwitchesFromGathers",
    "UnpinNodes",
    "UnrollScans",
    "ViewComputedWeights",
]

from dyncompile.passes.activations_into_gates import ActivationsIntoGates
from dyncompile.passes.block_captured_maps import BlockCapturedMaps
from dyncompile.passes.branch_on_decisions import BranchOnDecisions
from dyncompile.passes.check_depth import CheckDepth
from dyncompile.passes.convolutions_from_products import ConvolutionsFromProducts
from dyncompile.passes.default_knobs import DefaultKnobs
from dyncompile.passes.detach_functions import DetachFunctions
from dyncompile.passes.drop_input_defaults import DropInputDefaults
from dyncompile.passes.drop_pixel_pools import DropPixelPools
from dyncompile.passes.drop_views import DropViews
from dyncompile.passes.fill_absent import FillAbsent
from dyncompile.passes.fold_implied_selectors import FoldImpliedSelectors
from dyncompile.passes.fold_views import FoldViews
from dyncompile.passes.gates_from_ifs import GatesFromIfs
from dyncompile.passes.gates_from_masks import GatesFromMasks
from dyncompile.passes.gates_from_selects import GatesFromSelects
from dyncompile.passes.half_precision import HalfPrecision
from dyncompile.passes.infer_types import InferTypes
from dyncompile.passes.invariants_out_of_loops import InvariantsOutOfLoops
from dyncompile.passes.merge_slices import MergeSlices
from dyncompile.passes.name_uniquely import NameUniquely
from dyncompile.passes.note_decisions import NoteDecisions
from dyncompile.passes.omit_defaults import OmitDefaults
from dyncompile.passes.omit_empty_shapes import OmitEmptyShapes
from dyncompile.passes.omit_inner_types import OmitInnerTypes
from dyncompile.passes.omit_trailing_inputs import OmitTrailingInputs
from dyncompile.passes.orient_gates import OrientGates
from dyncompile.passes.pin_foreign_nodes import PinForeignNodes
from dyncompile.passes.place_weights import PlaceWeights
from dyncompile.passes.residuals_into_gates import ResidualsIntoGates
from dyncompile.passes.scans_from_loops import ScansFromLoops
from dyncompile.passes.share_conditions import ShareConditions
from dyncompile.passes.share_weights import ShareWeights
from dyncompile.passes.specialise_levels import SpecialiseLevels
from dyncompile.passes.split_decisions import SplitDecisions
from dyncompile.passes.switches_from_gathers import SwitchesFromGathers
from dyncompile.passes.unpin_nodes import UnpinNodes
from dyncompile.passes.unroll_scans import UnrollScans
from dyncompile.passes.view_computed_weights import ViewComputedWeights
