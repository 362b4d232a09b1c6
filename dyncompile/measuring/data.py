"""The samples that the artifact runs on, and what is known of them."""

from __future__ import annotations

__all__ = ["Data", "draw_data", "read_data"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dyncompile.array_files import read_arrays
from dyncompile.errors import InputError
from dyncompile.samples import InputSpec, split_samples

Array = NDArray[Any]
Sample = Mapping[str, Array]

CLASSES = "classes"


@dataclass(frozen=True)
class Data:
    """Samples, with or without labels.

    Attributes:
        samples: Inputs by name, without the knobs; at least one.
        labels: The class of each, ``int64[N]``; None if they are not known.
        classes: Names of the classes, in order of their number; empty if they have none.
        file: Name of the file they come from; None for drawn noise.
        notes: What was left out, one sentence each.
    """

    samples: tuple[Sample, ...]
    labels: NDArray[np.int64] | None = None
    classes: tuple[str, ...] = ()
    file: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def named_classes(self) -> tuple[str, ...]:
        """Names of the classes, numbers where they have none; empty without labels."""
        if self.labels is None:
            return ()
        return self.classes or tuple(map(str, range(int(self.labels.max()) + 1)))


def draw_data(inputs: Sequence[InputSpec], count: int, seed: int = 0) -> Data:
    """Draw samples: normal noise for floats, zeros for everything else."""
    rng = np.random.default_rng(seed)
    samples = [{spec.name: spec.draw(rng) for spec in inputs} for _ in range(count)]
    notes = (
        "No data: the samples are noise, and what follows from data may be decided otherwise.",
        "No labels: nothing is said about accuracy.",
    )
    return Data(tuple(samples), notes=notes)


def read_data(
    path: Path,
    inputs: Sequence[InputSpec],
    *,
    any_size: bool = False,
    labels: str | None = None,
    limit: int | None = None,
) -> Data:
    """Read samples from an .npz, or from an .npy of the only input.

    The .npz holds one array per input with one row per sample (see ``samples.split_samples``);
    the labels, ``int[N]``, under any other name; and, if wanted, the names of the classes as
    an array of strings ``classes``.

    Args:
        path: The file.
        inputs: What the network reads, apart from knobs.
        any_size: Whether sizes may differ from those of ``inputs``.
        labels: Name of the labels; None takes the only array of whole numbers left over.
        limit: How many samples to keep, evenly spread over the file; None keeps all.

    Raises:
        InputError: the file cannot be read, does not fit the network, or has no such labels.
    """
    found = read_arrays(path)
    where = str(path)
    if not isinstance(found, dict):
        found = {inputs[0].name if len(inputs) == 1 else "one array,": found}
    example = {spec.name: np.zeros(spec.shape, spec.dtype) for spec in inputs}
    own = {name: array for name, array in found.items() if name in example}
    rest = {name: array for name, array in found.items() if name not in example}
    if len(own) < len(example):
        own = found  # says what is missing
    samples = split_samples(own, example, where, any_size=any_size)
    classes = _classes(rest.pop(CLASSES, None), where)
    name = _name_of_labels(rest, labels, len(samples), where)
    notes = [
        f"{where}: the array {other!r} is neither an input nor labels, and not used."
        for other in rest
        if other != name
    ]
    numbers = None
    if name is None:
        notes.append("No labels: nothing is said about accuracy.")
    else:
        numbers = _checked(rest[name], name, len(samples), where)
        if classes and numbers.max() >= len(classes):
            raise _out_of_range(name, int(numbers.max()), len(classes), where)
    kept = range(len(samples))
    if limit is not None and limit < len(samples):
        kept = np.linspace(0, len(samples) - 1, limit).round().astype(int).tolist()
    return Data(
        tuple(samples[k] for k in kept),
        None if numbers is None else numbers[list(kept)],
        classes if numbers is not None else (),
        path.name,
        tuple(notes),
    )


def _classes(array: Array | None, where: str) -> tuple[str, ...]:
    if array is None:
        return ()
    if array.ndim != 1 or array.dtype.kind != "U":
        raise InputError(
            f"{CLASSES!r} is {array.dtype}{list(array.shape)}, and holds no names.",
            where=where,
            remedy="Give one string per class.",
        )
    return tuple(map(str, array))


def _name_of_labels(
    rest: Mapping[str, Array], wanted: str | None, count: int, where: str
) -> str | None:
    if wanted is not None:
        if wanted not in rest:
            raise InputError(
                f"there is no array {wanted!r} besides the inputs; it holds"
                f" {', '.join(rest) or 'none'}.",
                where=where,
                remedy="Name the labels as in the file.",
            )
        return wanted
    whole = [name for name, array in rest.items() if array.dtype.kind in "iu"]
    if len(whole) > 1:
        whole = [name for name in whole if rest[name].shape == (count,)] or whole
    if len(whole) > 1:
        raise InputError(
            f"{' and '.join(whole)} could be the labels.",
            where=where,
            remedy="Name them with --labels.",
        )
    return whole[0] if whole else None


def _checked(labels: Array, name: str, count: int, where: str) -> NDArray[np.int64]:
    if labels.dtype.kind not in "iu" or labels.shape != (count,):
        raise InputError(
            f"the labels {name!r} are {labels.dtype}{list(labels.shape)}, and there are"
            f" {count} samples.",
            where=where,
            remedy="Give one whole number per sample.",
        )
    for label in (int(labels.min()), int(labels.max())):
        if not 0 <= label <= np.iinfo(np.int64).max:
            raise _out_of_range(name, label, None, where)
    return labels.astype(np.int64)


def _out_of_range(name: str, label: int, count: int | None, where: str) -> InputError:
    there = "" if count is None else f"; there are {count}"
    return InputError(
        f"the labels {name!r} hold {label}, which is no class{there}.",
        where=where,
        remedy="Number the classes from 0.",
    )
