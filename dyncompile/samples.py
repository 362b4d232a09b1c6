"""Samples of the inputs of a network: from arrays, from files, or drawn."""

from __future__ import annotations

__all__ = ["InputSpec", "data_inputs", "read_samples", "split_samples"]

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dyncompile.array_files import read_arrays
from dyncompile.errors import ArtifactError, InputError

if TYPE_CHECKING:
    import onnx_ir as ir

Array = NDArray[Any]


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


def data_inputs(
    model: ir.Model, knobs: Collection[str], where: str
) -> tuple[list[InputSpec], bool]:
    """Return the inputs of a graph that are not knobs, and whether any of their sizes is free.

    Args:
        model: A lowered or marked graph; free sizes are 1.
        knobs: Inputs to leave out.
        where: What errors name.

    Raises:
        ArtifactError: an input has no type.
    """
    specs, is_dynamic = [], False
    for value in model.graph.inputs:
        if value.name in knobs or value.is_initializer():  # one with a default is not fed
            continue
        if value.name is None or value.dtype is None or value.shape is None:
            raise ArtifactError(
                f"the input {value.name!r} has no type.",
                where=where,
                remedy="Export the network again.",
            )
        is_dynamic |= not value.shape.is_static()
        shape = tuple(size if isinstance(size, int) else 1 for size in value.shape)
        specs.append(InputSpec(value.name, value.dtype.numpy(), shape))
    return specs, is_dynamic


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
