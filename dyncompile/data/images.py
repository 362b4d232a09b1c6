"""Images in memory with their labels, as a dataset that hands out whole batches."""

from __future__ import annotations

__all__ = ["Images"]

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.utils.data import Dataset

from dyncompile.errors import InputError

WANTED = {
    "pixels": "uint8[N, C, H, W]",
    "labels": "int64[N]",
    "groups": "int64[N]",
    "difficulty": "float32[N]",
}


@dataclass(frozen=True)
class Images(Dataset[tuple[Tensor, Tensor]]):
    """Images and labels; iterating gives what a network takes.

    An element is ``(float32[C, H, W], int64[])``, the pixels less ``mean``, over ``std``.

    Attributes:
        pixels: ``uint8[N, C, H, W]``.
        labels: ``int64[N]``.
        classes: Names of the classes, in order of their number.
        groups: ``int64[N]``, what each image was made from: images of one group are not
            independent. None where every image is its own.
        difficulty: ``float32[N]`` from 0 to 1, for images that were made harder on purpose.
        mean: Taken off each pixel, where 255 counts as 1; one number, or one per channel.
        std: Each pixel is divided by it then; one number, or one per channel.

    Raises:
        InputError: a tensor has another type or length, or a label no class.
    """

    pixels: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    groups: Tensor | None = None
    difficulty: Tensor | None = None
    mean: float | tuple[float, ...] = 0.5
    std: float | tuple[float, ...] = 0.25

    def __post_init__(self) -> None:
        pixels, labels, count = self.pixels, self.labels, len(self.labels)
        for name, found, fits in (
            ("pixels", pixels, pixels.dtype == torch.uint8 and pixels.ndim == 4),
            ("labels", labels, labels.dtype == torch.int64 and labels.ndim == 1),
            ("groups", self.groups, True),
            ("difficulty", self.difficulty, True),
        ):
            if found is not None and not (fits and len(found) == count):
                raise InputError(
                    f"{found.dtype}{list(found.shape)} does not go with {count:,} labels.",
                    where=name,
                    remedy=f"Give {WANTED[name]}.",
                )
        if count and not 0 <= int(labels.min()) <= int(labels.max()) < len(self.classes):
            raise InputError(
                f"labels from {labels.min()} to {labels.max()} do not fit {len(self.classes)} "
                "classes.",
                where="labels",
                remedy="Number the classes from 0 on, and name each.",
            )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.floats([index])[0], self.labels[index]

    def __getitems__(self, indices: list[int]) -> list[tuple[Tensor, Tensor]]:
        """Return the elements of a batch, made at once; ``DataLoader`` asks for it."""
        return list(zip(self.floats(indices), self.labels[torch.tensor(indices)], strict=True))

    def floats(self, indices: Sequence[int] | slice = slice(None)) -> Tensor:
        """Return images as a network takes them, ``float32[n, C, H, W]``."""
        chosen = indices if isinstance(indices, slice) else torch.tensor(indices, dtype=torch.int64)
        mean, std = (torch.tensor(each).reshape(-1, 1, 1) for each in (self.mean, self.std))
        return (self.pixels[chosen].float() / 255 - mean) / std

    def pick(self, indices: Tensor) -> Images:
        """Return the images of these numbers, ``int64[n]``."""
        return replace(
            self,
            pixels=self.pixels[indices],
            labels=self.labels[indices],
            groups=None if self.groups is None else self.groups[indices],
            difficulty=None if self.difficulty is None else self.difficulty[indices],
        )

    def head(self, count: int) -> Images:
        """Return the first ``count`` images."""
        return self.pick(torch.arange(min(count, len(self))))
