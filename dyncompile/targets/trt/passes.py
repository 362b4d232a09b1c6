"""ONNX that TensorRT reads."""

from __future__ import annotations

__all__ = ["CHECKING", "DEEPEST", "LEGALISING", "tailoring"]

from collections.abc import Iterable

import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from dyncompile.passes.branches_in_sequence import BranchesInSequence
from dyncompile.passes.check_depth import CheckDepth
from dyncompile.passes.convolutions_from_products import ConvolutionsFromProducts
from dyncompile.passes.detach_functions import DetachFunctions
from dyncompile.passes.drop_input_defaults import DropInputDefaults
from dyncompile.passes.drop_pixel_pools import DropPixelPools
from dyncompile.passes.drop_views import DropViews
from dyncompile.passes.fill_absent import FillAbsent
from dyncompile.passes.infer_types import InferTypes
from dyncompile.passes.name_uniquely import NameUniquely
from dyncompile.passes.note_decisions import NoteDecisions
from dyncompile.passes.omit_empty_shapes import OmitEmptyShapes
from dyncompile.passes.omit_trailing_inputs import OmitTrailingInputs
from dyncompile.targets.trt.check_branches import CheckBranches
from dyncompile.targets.trt.check_channels import CheckChannels
from dyncompile.targets.trt.check_inputs import CheckInputs
from dyncompile.targets.trt.check_loops import CheckLoops
from dyncompile.targets.trt.check_names import CheckNames
from dyncompile.targets.trt.check_operators import CheckOperators
from dyncompile.targets.trt.check_products import CheckProducts
from dyncompile.targets.trt.check_quantised import CheckQuantised
from dyncompile.targets.trt.check_sizes import CheckSizes
from dyncompile.targets.trt.check_types import CheckTypes
from dyncompile.targets.trt.check_varying import CheckVarying
from dyncompile.targets.trt.check_weights import CheckWeights

DEEPEST = 24  # branches inside of each other, as far as the parser follows

# Lowered files, ours or made elsewhere; types are inferred last, for half precision and checks.
LEGALISING: tuple[ir.passes.PassBase, ...] = (
    DetachFunctions(),
    DropInputDefaults(),
    NameUniquely(),
    InferTypes(),
    DropPixelPools(),
    DropViews(),
    FillAbsent(),
    OmitEmptyShapes(),
    OmitTrailingInputs(),
    RemoveUnusedNodesPass(),
    NoteDecisions(),
    BranchesInSequence(),
    RemoveUnusedNodesPass(),
    NameUniquely(),
    InferTypes(),
)

# What single chips need besides.
_FOR_CHIPS: dict[str, tuple[ir.passes.PassBase, ...]] = {
    "sm75": (
        InferTypes(),
        ConvolutionsFromProducts(),
        RemoveUnusedNodesPass(),
        NameUniquely(),
        InferTypes(),
        CheckProducts("sm75"),
    ),
}

# What no builder has to see. Types that are missing are inferred first; nothing else changes.
CHECKING: tuple[ir.passes.PassBase, ...] = (
    InferTypes(),
    CheckOperators(),
    CheckDepth(DEEPEST, "TensorRT's parser follows"),
    CheckInputs(),
    CheckNames(),
    CheckTypes(),
    CheckBranches(),
    CheckLoops(),
    CheckQuantised(),
    CheckWeights(),
    CheckSizes(),
    CheckChannels(),
    CheckVarying(),
)


def tailoring(chips: Iterable[str]) -> tuple[ir.passes.PassBase, ...]:
    """Return the passes that a legal graph needs besides for some chips, as ``sm75``."""
    return tuple(one for chip in chips for one in _FOR_CHIPS.get(chip, ()))
