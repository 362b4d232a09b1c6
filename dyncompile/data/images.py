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
    "labels": ("int64[N]", torch.int64, 1),
    "pixels": ("uint8[N, C, H, W]", torch.uint8, 4),
    "groups": ("int64[N]", torch.int64, 1),
    "difficulty": ("float32[N]", torch.float32, 1),
}


@dataclass(frozen=True, eq=False)
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
        InputError: a tensor has another type or length, a label no class, or ``mean`` or ``std``
            cannot be used.
    """

    pixels: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    groups: Tensor | None = None
    difficulty: Tensor | None = None
    mean: float | tuple[float, ...] = 0.5
    std: float | tuple[float, ...] = 0.25

    def __post_init__(self) -> None:
        labels, count = self.labels, len(self.labels)
        for name, (wanted, dtype, dims) in WANTED.items():
            found: object = getattr(self, name)
            if found is None and name in {"groups", "difficulty"}:
                continue
            kind = type(found).__name__
            if isinstance(found, Tensor):
                kind = f"{found.dtype}{list(found.shape)}"
                if (found.dtype, found.ndim, found.shape[:1]) == (dtype, dims, (count,)):
                    continue
            raise InputError(
                f"{kind} does not go with {count:,} labels.",
                where=name,
                remedy=f"Give {wanted}.",
            )
        self._check_scaling()
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
        # In place: of all images of a set, one copy is large enough.
        return self.pixels[chosen].float().div_(255).sub_(mean).div_(std)

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

    def _check_scaling(self) -> None:
        channels = self.pixels.shape[1]
        for name, value in (("mean", self.mean), ("std", self.std)):
            found = torch.tensor(value).flatten()
            fits = len(found) in {1, channels} and bool(found.isfinite().all())
            if fits and (name == "mean" or bool((found > 0).all())):
                continue
            raise InputError(
                f"{value!r} cannot scale images of {channels} channels.",
                where=name,
                remedy=f"Give one number, or one per channel{', all above 0' * (name == 'std')}.",
            )
