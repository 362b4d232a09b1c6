"""What the compiler has to know of a backend, as data."""

from __future__ import annotations

__all__ = ["Passes", "Target"]

from collections.abc import Callable
from dataclasses import dataclass

import onnx_ir as ir

from dyncompile.manifest import TargetName
from dyncompile.passes.specialise_levels import Lowering

Passes = tuple[ir.passes.PassBase, ...]


def _nothing(_budgets: Lowering) -> Passes:
    return ()


def _as_it_is(model: ir.Model) -> ir.Model:
    return model


@dataclass(frozen=True)
class Target:
    """A backend: what brings a network into its form, in order.

    Attributes:
        name: As in the manifest.
        lowerings: The ways to lower channel budgets that it has.
        lowering: The passes that bring a marked graph into its form, by the way chosen.
        legalising: Those that bring a file there that is lowered already, ours or another's;
            None where such files are refused.
        halving: Those that make a lowered graph float16; None where there are none.
        tailoring: What single devices need besides.
        surgery: Makes another model of what these leave.
        checking: Refuses what the backend cannot take; changes nothing but types.
        finishing: Those behind the manifest, which is made from what they leave out.
        keeps_markers: Whether markers stay in the graph, and get their meaning as functions.
        keeps_defaults: Whether inputs may have a default value and still be inputs.
    """

    name: TargetName
    lowerings: tuple[Lowering, ...]
    lowering: Callable[[Lowering], Passes] = _nothing
    legalising: Passes | None = None
    halving: Passes | None = None
    tailoring: Passes = ()
    surgery: Callable[[ir.Model], ir.Model] = _as_it_is
    checking: Passes = ()
    finishing: Passes = ()
    keeps_markers: bool = False
    keeps_defaults: bool = True
