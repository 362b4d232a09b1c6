"""Inputs as the command line describes them."""

from __future__ import annotations

__all__ = ["parse_input"]

import math
import re
from typing import Any

import numpy as np

from dyncompile.errors import InputError
from dyncompile.samples import InputSpec

_MOST_ELEMENTS = 2**28
_DTYPES = (
    *("float16", "float32", "float64", "bool"),
    *("int8", "int16", "int32", "int64", "uint8"),
)

_SPEC = re.compile(
    r"(?P<name>[^\W\d][^\s=]*|\d+)=(?P<dtype>\w+)\[(?P<sizes>[\d\s,]*)\](:(?P<span>\S+))?"
)


def parse_input(text: str) -> InputSpec:
    """Read ``x=float32[1,3,32,32]``; values may follow: ``:7``, or ``:0..999``, uniform.

    Raises:
        InputError: another form, an unknown type, or values the type does not hold.
    """
    found = _SPEC.fullmatch(text.strip())
    sizes = [size.strip() for size in found["sizes"].split(",")] if found else []
    if sizes == [""]:
        sizes = []
    if found is None or not all(size.isdecimal() and int(size) for size in sizes):
        raise InputError(
            f"{text!r} does not describe an input.",
            where="--input",
            remedy="Write NAME=TYPE[SIZES], as in x=float32[1,3,32,32].",
        )
    where = f"--input {found['name']}"
    if found["dtype"] not in _DTYPES:
        raise InputError(
            f"there is no type {found['dtype']!r}.",
            where=where,
            remedy=f"Give one of {', '.join(_DTYPES)}.",
        )
    shape = tuple(map(int, sizes))
    if math.prod(shape) > _MOST_ELEMENTS:
        raise InputError(
            f"{math.prod(shape)} elements are more than {_MOST_ELEMENTS}.",
            where=where,
            remedy="Give smaller sizes.",
        )
    dtype = np.dtype(found["dtype"])
    span = None if found["span"] is None else _span(found["span"], dtype, where)
    return InputSpec(found["name"], dtype, shape, span)


def _span(text: str, dtype: np.dtype[Any], where: str) -> tuple[float, float]:
    number: type[int | float] = float if dtype.kind == "f" else int
    first, dots, last = text.partition("..")
    try:
        low = number(first)
        high = number(last) if dots else low
        least, most = _limits(dtype) if dots or dtype.kind != "f" else (-math.inf, math.inf)
        is_held = least <= low <= high <= most
    except ValueError:
        is_held = False
    if not is_held:
        raise InputError(
            f"{text!r} are no values of {dtype}.",
            where=where,
            remedy="Write one value, or LOW..HIGH, as in tokens=int64[1,16]:0..999.",
        )
    return low, high


def _limits(dtype: np.dtype[Any]) -> tuple[float, float]:
    if dtype.kind == "b":
        return 0, 1
    limits = np.finfo(dtype) if dtype.kind == "f" else np.iinfo(dtype)
    return limits.min, limits.max
