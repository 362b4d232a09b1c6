"""What the command line describes: example inputs, and samples to verify with."""

from __future__ import annotations

__all__ = [
    "InputSpec",
    "draw_inputs",
    "parse_input",
    "read_samples",
    "sample_arrays",
    "split_samples",
]

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dyncompile.array_files import read_arrays
from dyncompile.errors import InputError, one_line

Array = NDArray[Any]

_MOST_ELEMENTS = 2**28
_DTYPES = (
    *("float16", "float32", "float64", "bool"),
    *("int8", "int16", "int32", "int64", "uint8"),
)

# --- inputs ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class InputSpec:
    """An example input to draw.

    Args:
        name: Parameter of ``forward``.
        dtype: Element type.
        shape: Sizes.
        span: Smallest and largest value, drawn uniformly; None is normal noise for floats,
            zeros (False) for others.
    """

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    span: tuple[float, float] | None = None

    def draw(self, rng: np.random.Generator) -> Array:
        """Return the next array."""
        is_float = self.dtype.kind == "f"
        if self.span is None:
            if is_float:
                return np.asarray(rng.normal(size=self.shape)).astype(self.dtype)
            return np.zeros(self.shape, self.dtype)
        low, high = self.span
        if low == high:
            return np.full(self.shape, low, self.dtype)
        if is_float:
            return np.asarray(rng.uniform(low, high, self.shape)).astype(self.dtype)
        drawn = rng.integers(int(low), int(high), self.shape, np.int64, endpoint=True)
        return np.asarray(drawn).astype(self.dtype)


_SPEC = re.compile(r"(?P<name>[^\W\d]\w*)=(?P<dtype>\w+)\[(?P<sizes>[\d\s,]*)\](:(?P<span>\S+))?")


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


def draw_inputs(specs: Iterable[InputSpec], seed: int = 0) -> dict[str, Tensor]:
    """Return an example of every input by name; the same for the same seed.

    Raises:
        InputError: an input is described twice.
    """
    rng = np.random.default_rng(seed)
    drawn: dict[str, Tensor] = {}
    for spec in specs:
        if spec.name in drawn:
            raise InputError(
                "it is described twice.",
                where=f"--input {spec.name}",
                remedy="Describe it once.",
            )
        drawn[spec.name] = torch.from_numpy(spec.draw(rng))
    return drawn


# --- samples --------------------------------------------------------------------------------


def read_samples(
    path: Path, example: Mapping[str, Array], *, any_size: bool = False
) -> list[dict[str, Array]]:
    """Read samples from an .npz with one array per input, or an .npy of the only input.

    See ``split_samples`` for their shapes.

    Raises:
        InputError: the file cannot be read, or does not fit the example inputs.
    """
    found = read_arrays(path)
    if not isinstance(found, dict):
        found = {next(iter(example)) if len(example) == 1 else "one array,": found}
    return split_samples(found, example, str(path), any_size=any_size)


def sample_arrays(sample: object, where: str) -> dict[str, Array]:
    """Return arrays or tensors by name as arrays.

    Raises:
        InputError: something else, or a tensor of a type NumPy does not have.
    """
    if not isinstance(sample, Mapping):
        raise InputError(
            f"it is {type(sample).__name__}.",
            where=where,
            remedy="Give arrays by name of input, one row per sample; or a list of inputs by name.",
        )
    arrays: dict[str, Array] = {}
    for name, value in sample.items():
        try:
            array = value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)
        except (TypeError, ValueError) as error:
            raise InputError(
                f"{one_line(error)}.",
                where=f"{where}, input {name!r}",
                remedy="Give an array, or a tensor of a type NumPy has.",
            ) from error
        arrays[name] = array
    return arrays


def split_samples(
    arrays: Mapping[str, Array],
    example: Mapping[str, Array],
    where: str,
    *,
    any_size: bool = False,
) -> list[dict[str, Array]]:
    """Take samples apart along their first axis.

    Args:
        arrays: By name of input, one row per sample. A row has the shape of the example, or
            that shape without its leading 1.
        example: Inputs by name.
        where: What errors name.
        any_size: Whether sizes may differ from the example, where they are dynamic.

    Raises:
        InputError: names, numbers of samples, types or shapes do not fit.
    """
    lengths = {array.shape[:1] for array in arrays.values()}
    if set(arrays) != set(example) or len(lengths) != 1 or not any(*lengths):
        raise InputError(
            f"it holds {', '.join(map(_spell, arrays.items())) or 'nothing'}; the inputs are"
            f" {', '.join(map(_spell, example.items())) or 'none'}.",
            where=where,
            remedy="Give one array per input, each with one row per sample.",
        )
    shaped = {}
    for name, like in example.items():
        array = arrays[name]
        if array.ndim == like.ndim and like.shape[:1] == (1,):
            array = array[:, None]
        fits = array.shape[1:] == like.shape or (any_size and array.ndim == like.ndim + 1)
        if not fits or not np.can_cast(array.dtype, like.dtype, "same_kind"):
            raise InputError(
                f"{_spell((name, arrays[name]))} are no samples of {_spell((name, like))}.",
                where=where,
                remedy="Give rows of this shape and type.",
            )
        shaped[name] = array.astype(like.dtype, copy=False)
    return [dict(zip(shaped, rows, strict=True)) for rows in zip(*shaped.values(), strict=True)]


def _spell(entry: tuple[str, Array]) -> str:
    name, array = entry
    return f"{name} {array.dtype}{list(array.shape)}".strip()
