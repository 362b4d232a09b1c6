"""From what a caller passes to what ONNX Runtime is fed, checked cheaply."""

from __future__ import annotations

__all__ = ["Arguments", "InputSpec", "knob_argument"]

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dyncompile.errors import InputError, KnobError
from dyncompile.knobs import Knob, Levels

Array = NDArray[Any]

_DTYPES = {
    "tensor(bool)": "bool",
    "tensor(double)": "float64",
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    **{f"tensor({sign}int{bits})": f"{sign}int{bits}" for sign in ("", "u") for bits in _BITS},
} if (_BITS := (8, 16, 32, 64)) else {}
