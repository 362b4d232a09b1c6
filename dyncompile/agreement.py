"""When two networks agree: how far apart numbers are, and how far they may be.

Why 1e-4 and, for float16, 1e-2: see ``verify``.
"""

from __future__ import annotations

__all__ = ["TOLERANCE", "difference", "tolerance_of"]

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

TOLERANCE = 1e-4
_TOLERANCES = {"float16": 1e-2}  # of types in which 1e-4 is less than their own errors


def tolerance_of(dtype: str) -> float:
    """Return what two results of a type may differ by."""
    return _TOLERANCES.get(dtype, TOLERANCE)


def difference(got: Array, want: Array) -> float:
    """Return the largest difference relative to ``max(1, largest element)``.

    Both have one shape. Infinite if NaN and infinities do not stand at the same places.
    """
    got, want = got.astype(np.float64), want.astype(np.float64)
    is_finite = np.isfinite(want)
    if not np.array_equal(got[~is_finite], want[~is_finite], equal_nan=True):
        return math.inf
    if not is_finite.any():
        return 0.0
    largest = np.abs(got[is_finite] - want[is_finite]).max()
    return float(largest / max(1.0, np.abs(want[is_finite]).max()))
