"""What to feed files made elsewhere: drawn inputs, or samples."""

from __future__ import annotations

__all__ = ["draw_feeds", "feeds_for", "specs_for"]

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from dyncompile.errors import InputError
from dyncompile.samples import InputSpec, split_samples

Array = NDArray[Any]
Sample = Mapping[str, Array]
Samples = Sample | Sequence[Sample]


def feeds_for(
    model: ir.Model, samples: Samples | None, inputs: Sequence[InputSpec], where: str
) -> list[dict[str, Array]]:
    """Return inputs by name: the samples given, checked, or drawn ones.

    Args:
        model: The file.
        samples: One array per input with one more leading axis, or a list of inputs; None draws.
        inputs: How to draw inputs whose type or shape the file does not fix.
        where: What errors name.

    Raises:
        InputError: samples or descriptions do not fit, or an input cannot be drawn.
    """
    if samples is None:
        return draw_feeds(specs_for(model, inputs, where))
    if isinstance(samples, Mapping):
        example = {
            spec.name: np.zeros(spec.shape, spec.dtype) for spec in specs_for(model, inputs, where)
        }
        samples = split_samples(samples, example, "samples", any_size=True)
    needed = {str(value.name) for value in model.graph.inputs if not value.is_initializer()}
    known = {str(value.name) for value in model.graph.inputs}
    for number, sample in enumerate(samples):
        if not needed <= set(sample) <= known:
            raise InputError(
                f"it holds {', '.join(sorted(sample)) or 'nothing'}; the file takes"
                f" {', '.join(sorted(needed)) or 'nothing'}.",
                where=f"sample {number}",
                remedy="Give one array per input.",
            )
    if not samples:
        raise InputError("there are none.", where="samples", remedy="Give at least one.")
    return [{name: np.asarray(array) for name, array in sample.items()} for sample in samples]


def specs_for(
    model: ir.Model, inputs: Sequence[InputSpec], where: str, *, without: Collection[str] = ()
) -> list[InputSpec]:
    """Return how to draw each input that has no default value.

    Args:
        model: The file.
        inputs: How to draw inputs whose type or shape the file does not fix.
        where: What errors name.
        without: Inputs that are not drawn.

    Raises:
        InputError: a description is of no input, or an input cannot be drawn.
    """
    given = {spec.name: spec for spec in inputs}
    unknown = set(given) - {value.name for value in model.graph.inputs}
    if unknown:
        names = ", ".join(str(value.name) for value in model.graph.inputs)
        raise InputError(
            f"it has no input {min(unknown)!r}.",
            where=where,
            remedy=f"Its inputs are {names or 'none'}.",
        )
    return [
        given.get(str(value.name)) or _spec(value, where)
        for value in model.graph.inputs
        if value.name in given or not (value.is_initializer() or value.name in without)
    ]


def _spec(value: ir.Value, where: str) -> InputSpec:
    is_tensor = isinstance(value.type, ir.TensorType) and value.dtype != ir.DataType.STRING
    if not is_tensor or value.dtype is None or value.shape is None or not _can_be_fed(value.dtype):
        raise InputError(
            f"the input {value.name!r} cannot be drawn: it is no tensor of numbers that NumPy has,"
            " or its rank is not known.",
            where=where,
            remedy="Describe it (--input 'x=float32[1,3]'), give --samples, or skip the"
            " comparison: --no-verify.",
        )
    shape = tuple(size if isinstance(size, int) else 1 for size in value.shape)
    return InputSpec(str(value.name), value.dtype.numpy(), shape)


def _can_be_fed(dtype: ir.DataType) -> bool:
    """Whether ONNX Runtime takes arrays of a type: of those only that NumPy itself has."""
    return dtype != ir.DataType.UNDEFINED and dtype.numpy().isbuiltin == 1


def draw_feeds(specs: Sequence[InputSpec], count: int = 6, seed: int = 0) -> list[dict[str, Array]]:
    """Return seeded inputs: normal noise for floats, whole numbers for others.

    Those of the first input are 0 and 1, which every file takes that counts, selects or decides;
    those of each later one go twice as far: 0 to 3, 0 to 7.
    """
    rng = np.random.default_rng(seed)
    return [
        {spec.name: _drawn(spec, rng, 2 << number) for spec in specs} for number in range(count)
    ]


def _drawn(spec: InputSpec, rng: np.random.Generator, end: int) -> Array:
    if spec.span is not None or spec.dtype.kind == "f":
        return spec.draw(rng)
    return rng.integers(0, 2 if spec.dtype.kind == "b" else end, spec.shape).astype(spec.dtype)
