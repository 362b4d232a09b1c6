"""From numpy to what the probe is asked, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def spelt(array: Array) -> dict[str, object]:
    """Return a tensor as the probe reads it."""
    array = np.ascontiguousarray(array).reshape(array.shape)
    return {"type": array.dtype.name, "shape": list(array.shape), "hex": array.tobytes().hex()}


def array_from(tensor: Mapping[str, Any]) -> Array:
    """Read a tensor of the probe."""
    content = np.frombuffer(bytes.fromhex(tensor["hex"]), np.dtype(tensor["type"]))
    return content.reshape(tensor["shape"])


def number(value: object) -> object:
    """Return a knob as JSON can say it."""
    if isinstance(value, (list, tuple)):
        return [number(one) for one in value]
    if isinstance(value, float) and not np.isfinite(value):
        return str(value)
    return value


def request(feeds: Mapping[str, Array], point: Mapping[str, object]) -> dict[str, object]:
    """Return inputs and knobs of a request."""
    return {
        "inputs": {name: spelt(array) for name, array in feeds.items()},
        "knobs": {name: number(value) for name, value in point.items()},
    }
