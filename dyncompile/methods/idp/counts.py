"""How many input channels each layer keeps, level by level; no torch."""

from __future__ import annotations

__all__ = ["IncompleteLayer", "check_ratios", "count_at", "explicit_counts"]

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from dyncompile.errors import InputError

NUDGE = 1e-9  # 0.29 of 100 channels are 29, also where 0.29 * 100 is a little less


@dataclass(frozen=True)
class IncompleteLayer:
    """A layer that reads only the first of its input channels.

    Attributes:
        name: Of the module in the backbone.
        channels: Of its input.
        features: Of each channel: a linear layer on a flattened map has one for each pixel.
        axis: Where the channels are in its input.
        ratios: Of the levels.
        counts: Features kept at each level, whole channels.
        multiple: Channels are rounded up to a multiple of it; None where the counts were given.
    """

    name: str
    channels: int
    features: int
    axis: int
    ratios: tuple[float, ...]
    counts: tuple[int, ...]
    multiple: int | None

    def count(self, ratio: float) -> int:
        """Return how many features are kept at any ratio; between counts given, in proportion."""
        if self.multiple is not None:
            return count_at(ratio, self.channels, self.multiple) * self.features
        between = np.interp(ratio, (0.0, *self.ratios), (0, *self.counts))
        return max(1, int(between + NUDGE))


def count_at(ratio: float, channels: int, multiple: int = 1) -> int:
    """Return ``floor(ratio * channels)``, at least 1, rounded up to a multiple, at most all."""
    count = max(1, int(ratio * channels + NUDGE))
    return min(channels, -(-count // multiple) * multiple)


def check_ratios(ratios: object) -> tuple[float, ...]:
    """Return the ratios of the levels.

    Raises:
        InputError: they do not increase, or one is not in (0, 1].
    """
    try:
        found = tuple(float(ratio) for ratio in ratios)  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        found = ()
    rising = all(low < high for low, high in pairwise(found))
    if not (found and rising and found[0] > 0 and found[-1] <= 1):
        raise InputError(
            f"{ratios!r} are not the ratios of levels.",
            where="ratios",
            remedy="Give numbers above 0 and up to 1 that increase, such as (0.25, 0.5, 0.75, 1).",
        )
    return found


def explicit_counts(name: str, counts: Sequence[int], levels: int, size: int) -> tuple[int, ...]:
    """Return the counts that a caller gave for a layer.

    Args:
        name: Of the layer.
        counts: What is kept at each level.
        levels: How many there are.
        size: What there is to keep.

    Raises:
        InputError: they are not one per level, decrease, or lie outside of 1 to ``size``.
    """
    try:
        kept = tuple(operator.index(count) for count in counts)
    except TypeError:
        kept = ()
    if len(kept) != levels or sorted(kept) != list(kept) or not 1 <= kept[0] <= kept[-1] <= size:
        raise InputError(
            f"{counts!r} do not say how many of {size} channels each of {levels} levels keeps.",
            where=f"counts {name!r}",
            remedy=f"Give {levels} numbers from 1 to {size}, none below the one before.",
        )
    return kept
