"""The targets there are."""

from __future__ import annotations

__all__ = ["target_named"]

from dyncompile.errors import InputError
from dyncompile.targets import ort
from dyncompile.targets.target import Target

_NAMES = ("onnx", "marked", "tensorrt")


def target_named(name: str) -> Target:
    """Return a target.

    Raises:
        InputError: there is none of this name.
    """
    match name:
        case "onnx":
            return Target(
                "onnx",
                lowerings=("auto", "switch", "slice"),
                lowering=ort.passes,
                finishing=ort.FINISHING,
            )
        case "marked":  # what becomes of budgets is chosen when it is compiled
            return Target(
                "marked", lowerings=("auto", "switch", "slice", "chain"), keeps_markers=True
            )
        case "tensorrt":
            return _tensorrt()
    raise InputError(
        f"there is no target {name!r}.", where="target", remedy=f"Give one of {', '.join(_NAMES)}."
    )


def _tensorrt() -> Target:
    from dyncompile.passes.half_precision import HalfPrecision
    from dyncompile.targets.trt.lowering import lowering
    from dyncompile.targets.trt.passes import CHECKING, LEGALISING
    from dyncompile.targets.trt.surgery import localise

    return Target(
        "tensorrt",
        lowerings=("auto", "switch", "chain"),
        lowering=lowering,
        legalising=LEGALISING,
        halving=(HalfPrecision(),),
        surgery=localise,
        checking=CHECKING,
        finishing=ort.FINISHING,
        keeps_defaults=False,
    )
