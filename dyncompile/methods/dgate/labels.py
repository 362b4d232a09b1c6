"""Labels, checked against the classes of a network."""

from __future__ import annotations

__all__ = ["class_numbers"]

from torch import Tensor

from dyncompile.errors import InputError


def class_numbers(labels: Tensor, classes: int) -> Tensor:
    """Return labels as numbers of classes, ``int64[N]``.

    Raises:
        InputError: they are of another type or shape, or one is no class.
    """
    if labels.ndim != 1 or labels.is_floating_point() or labels.is_complex():
        kind = f"{str(labels.dtype).removeprefix('torch.')}{list(labels.shape[1:])}"
        raise InputError(
            f"a label is {kind}, not a whole number.",
            where="labels",
            remedy=f"Give one number of a class from 0 to {classes - 1} per sample.",
        )
    numbers = labels.long()
    outside = numbers[(numbers < 0) | (numbers >= classes)]
    if len(outside):
        raise InputError(
            f"there is {int(outside[0])}, and the network has {classes} classes.",
            where="labels",
            remedy=f"Number the classes from 0 to {classes - 1}.",
        )
    return numbers
