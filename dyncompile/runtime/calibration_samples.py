"""Inputs to calibrate with: the user's samples, or noise."""

from __future__ import annotations

__all__ = ["Sample", "Samples", "draw_samples", "given_samples"]

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dyncompile.errors import InputError, one_line
from dyncompile.runtime.arguments import InputSpec
from dyncompile.samples import InputSpec as Drawable
from dyncompile.samples import split_samples

Sample = Mapping[str, NDArray[Any]]
Samples = Mapping[str, object] | Sequence[Mapping[str, object]]

DRAWN_SAMPLES = 8


def draw_samples(inputs: Sequence[InputSpec]) -> list[Sample]:
    """Return seeded samples: normal noise for floats, zeros for others; free sizes are 1.

    Raises:
        InputError: numpy has no type for an input.
    """
    rng = np.random.default_rng(0)
    specs = [_drawable(spec) for spec in inputs]
    return [{spec.name: spec.draw(rng) for spec in specs} for _ in range(DRAWN_SAMPLES)]


def given_samples(inputs: tuple[InputSpec, ...], samples: Samples) -> list[Sample]:
    """Return the user's samples one by one, checked.

    Args:
        inputs: Data inputs of the network.
        samples: Arrays by name of input, one row per sample, where a row has the shape of the
            input or that shape without its leading 1; or a list of inputs by name.

    Raises:
        InputError: names, types or shapes do not fit, or there are none.
    """
    if isinstance(samples, Mapping):
        specs = [_drawable(spec) for spec in inputs]
        example = {spec.name: np.empty(spec.shape, spec.dtype) for spec in specs}
        given = _arrays(samples, "samples")
        found: Sequence[Mapping[str, Any]] = split_samples(given, example, "samples", any_size=True)
    else:
        found = _listed(samples, [spec.name for spec in inputs])
    return [{spec.name: spec.argument(sample[spec.name]) for spec in inputs} for sample in found]


def _listed(samples: object, names: Sequence[str]) -> list[Mapping[str, object]]:
    found = list(samples) if isinstance(samples, (list, tuple)) else []
    if not found or not all(isinstance(sample, Mapping) for sample in found):
        raise InputError(
            f"{type(samples).__name__} without inputs by name.",
            where="samples",
            remedy="Give arrays by name of input, one row per sample; or a list of inputs by name.",
        )
    for number, sample in enumerate(found):
        if set(sample) != set(names):
            raise InputError(
                f"it holds {', '.join(map(str, sample)) or 'nothing'}; the inputs are"
                f" {', '.join(names) or 'none'}.",
                where=f"sample {number}",
                remedy="Give every input, and knobs as points.",
            )
    return found


def _arrays(samples: Mapping[str, object], where: str) -> dict[str, NDArray[Any]]:
    arrays = {}
    for name, value in samples.items():
        try:
            arrays[name] = np.asarray(value)
        except (TypeError, ValueError, RuntimeError) as error:
            raise InputError(
                f"{one_line(error)}.",
                where=f"{where}, input {name!r}",
                remedy="Give an array.",
            ) from error
    return arrays


def _drawable(spec: InputSpec) -> Drawable:
    if spec.dtype is None:
        raise InputError(
            "numpy has no type for it, so nothing is drawn.",
            where=f"input {spec.name!r}",
            remedy="Give samples as a list of inputs by name.",
        )
    shape = tuple(size if isinstance(size, int) else 1 for size in spec.shape)
    return Drawable(spec.name, spec.dtype, shape)
