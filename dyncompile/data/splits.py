"""Three disjoint parts of one dataset."""

from __future__ import annotations

__all__ = ["Splits", "cut_in_proportion"]

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor
from torch.utils.data import Dataset

from dyncompile.errors import InputError

Part_co = TypeVar("Part_co", bound=Dataset[Any], covariant=True)


@dataclass(frozen=True)
class Splits(Generic[Part_co]):
    """What is trained on, what is chosen by, and what is measured on; no image is in two."""

    train: Part_co
    validation: Part_co
    test: Part_co


def cut_in_proportion(labels: Tensor, size: int, seed: int, *, name: str) -> tuple[Tensor, Tensor]:
    """Draw ``size`` images at random, each class in proportion.

    Args:
        labels: ``int64[N]``.
        size: How many to draw; 0 draws none.
        seed: From 0 to 2**32 - 1.
        name: What the part is called, for errors.

    Returns:
        The numbers of the other images and of the drawn ones, both ``int64``.

    Raises:
        InputError: not that many images are there, or too few for every class to be in both parts.
    """
    from sklearn.model_selection import train_test_split

    check_seed(seed)
    if size == 0:
        return torch.arange(len(labels)), torch.arange(0)
    counts = [count for count in labels.bincount().tolist() if count]
    classes, least = len(counts), min(counts, default=0)
    if not classes <= size <= len(labels) - classes or least < 2:
        raise InputError(
            f"{size:,} images cannot be cut out of {len(labels):,} so that each of {classes:,} "
            f"classes (the smallest has {least:,}) is in both parts.",
            where=name,
            remedy=f"Give a number from {classes:,} to {len(labels) - classes:,}, or 0 for none."
            if least >= 2 and len(labels) >= 2 * classes
            else "Give 0, or add images: at least two of each class.",
        )
    rest, drawn = train_test_split(
        torch.arange(len(labels)).numpy(),
        test_size=size,
        stratify=labels.numpy(),
        random_state=seed,
    )
    return torch.from_numpy(rest), torch.from_numpy(drawn)


def check_seed(seed: int) -> None:
    """Check that a seed is one for all generators that are used.

    Raises:
        InputError: it is not.
    """
    if not 0 <= seed < 2**32:
        raise InputError(
            f"{seed} is no seed.", where="seed", remedy="Give a whole number from 0 to 2**32 - 1."
        )
