"""Compile trained dynamic networks to ONNX and TensorRT artifacts that skip the work.

The names below load their part of the package on first use, so that ``load`` needs neither
torch nor onnx.
"""

from __future__ import annotations

__all__ = [
    "ArtifactError",
    "DyncompileError",
    "GraphError",
    "InputError",
    "KnobError",
    "Levels",
    "MarkerError",
    "Net",
    "TargetError",
    "Threshold",
    "VerificationError",
    "bench",
    "build",
    "channel_budget",
    "early_exit",
    "export",
    "follow",
    "gate",
    "level_value",
    "load",
    "optimize",
    "per_level",
    "switch",
]

import importlib
from typing import TYPE_CHECKING

from dyncompile.errors import (
    ArtifactError,
    DyncompileError,
    GraphError,
    InputError,
    KnobError,
    MarkerError,
    TargetError,
    VerificationError,
)
from dyncompile.knobs import Levels, Threshold

if TYPE_CHECKING:
    from dyncompile.engines.building import build
    from dyncompile.exporting import export
    from dyncompile.markers import (
        channel_budget,
        early_exit,
        follow,
        gate,
        level_value,
        per_level,
        switch,
    )
    from dyncompile.measuring.bench import bench
    from dyncompile.optimizing.optimize import optimize
    from dyncompile.runtime import Net, load

_HOMES = {
    "bench": "dyncompile.measuring.bench",
    "build": "dyncompile.engines.building",
    "export": "dyncompile.exporting",
    "optimize": "dyncompile.optimizing.optimize",
    "load": "dyncompile.runtime",
    "Net": "dyncompile.runtime",
    **dict.fromkeys(
        (
            *("channel_budget", "early_exit", "follow", "gate", "level_value"),
            *("per_level", "switch"),
        ),
        "dyncompile.markers",
    ),
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'dyncompile' has no attribute {name!r}")
    value: object = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
