"""Example inputs as the command line describes them, and tensors as arrays."""

from __future__ import annotations

__all__ = ["draw_inputs", "parse_input", "sample_arrays"]

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dyncompile.errors import InputError, one_line
from dyncompile.input_specs import parse_input
from dyncompile.samples import InputSpec

Array = NDArray[Any]


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
