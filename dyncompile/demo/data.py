"""The images: the digits that come with scikit-learn, so that nothing is downloaded."""

from __future__ import annotations

__all__ = ["SIDE", "Digits", "Split", "distort", "load_images"]

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

SIDE = 20


@dataclass(frozen=True)
class Split:
    """Images ``float32[N, 1, 20, 20]`` in 0..1 and their labels ``int64[N]``."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def head(self, count: int) -> Split:
        """Return the first ``count`` images."""
        return Split(self.images[:count], self.labels[:count])


@dataclass(frozen=True)
class Digits:
    """Three disjoint splits, each with every digit in proportion."""

    train: Split
    validation: Split
    test: Split


def load_images(seed: int, *, validation: int = 400, test: int = 500) -> Digits:
    """Return the 1797 digits of scikit-learn, enlarged from 8x8 to 20x20 and split."""
    digits = load_digits()
    small = torch.tensor(digits.images, dtype=torch.float32)[:, None] / 16
    images = F.interpolate(small, size=(SIDE, SIDE), mode="bilinear")
    labels = torch.tensor(digits.target)

    def divide(of: NDArray[np.int64], size: int) -> list[NDArray[np.int64]]:
        parts: list[NDArray[np.int64]] = train_test_split(
            of, test_size=size, stratify=digits.target[of], random_state=seed
        )
        return parts

    rest, held_out = divide(np.arange(len(labels)), test)
    parts = (*divide(rest, validation), held_out)
    return Digits(*(Split(images[part], labels[part]) for part in parts))


def distort(images: Tensor) -> Tensor:
    """Turn by up to 0.2 rad, shift by up to 1.5 pixels and scale by up to 10 %, at random."""
    turn, across, down, scale = torch.rand(4, len(images)) * 2 - 1
    scale = 1 + 0.1 * scale
    cos, sin = scale * (0.2 * turn).cos(), scale * (0.2 * turn).sin()
    matrix = torch.stack([cos, -sin, 0.15 * across, sin, cos, 0.15 * down], 1)
    grid = F.affine_grid(matrix.reshape(-1, 2, 3), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, align_corners=False)
