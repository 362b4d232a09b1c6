"""The digits that come with scikit-learn, so that nothing is downloaded."""

from __future__ import annotations

__all__ = ["load_digits_images"]

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from dyncompile.data.images import Images
from dyncompile.data.splits import Splits, cut_in_proportion
from dyncompile.errors import InputError


def load_digits_images(
    seed: int = 0,
    *,
    side: int = 8,
    channels: int = 1,
    validation: int = 300,
    test: int = 500,
    scaling: tuple[float, float] = (0.5, 0.25),
) -> Splits[Images]:
    """Return the 1797 digits of scikit-learn, split with each digit in proportion.

    Args:
        seed: Of the split.
        side: Height and width; the digits are 8x8 and enlarged bilinearly.
        channels: How many there are, all the same.
        validation: Images of the validation part.
        test: Images of the test part; the rest is for training.
        scaling: ``mean`` and ``std`` of the images; ``(0, 1)`` leaves floats in 0..1.

    Raises:
        InputError: a number is out of range.
    """
    for name, value, least in (("side", side, 8), ("channels", channels, 1)):
        if value < least:
            raise InputError(
                f"digits with {name} {value} cannot be made.",
                where=name,
                remedy=f"Give at least {least}.",
            )
    pixels, labels = _enlarged_digits(side)
    every = Images(
        pixels.expand(-1, channels, -1, -1),
        labels,
        tuple("0123456789"),
        mean=scaling[0],
        std=scaling[1],
    )
    rest, held_out = cut_in_proportion(labels, test, seed, name="test")
    train, chosen = cut_in_proportion(labels[rest], validation, seed, name="validation")
    return Splits(every.pick(rest[train]), every.pick(rest[chosen]), every.pick(held_out))


def _enlarged_digits(side: int) -> tuple[Tensor, Tensor]:
    from sklearn.datasets import load_digits

    digits = load_digits()
    small = torch.tensor(digits.images, dtype=torch.float32)[:, None] * (255 / 16)
    large = F.interpolate(small, size=(side, side), mode="bilinear")
    return large.round().to(torch.uint8), torch.tensor(digits.target)
