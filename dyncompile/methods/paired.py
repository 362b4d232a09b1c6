"""Two classifiers on the same images: what their accuracies differ by, and how surely.

Images may come in groups, such as pictures made from one; those of a group depend on each other,
and intervals are as wide as that makes them. They need some dozens of groups to be true.
"""

from __future__ import annotations

__all__ = ["Difference", "least_right", "most_lost", "needed_for", "paired_difference"]

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dyncompile.errors import InputError
from dyncompile.methods.binomial import upper_limit

Flags = NDArray[np.bool_] | Sequence[bool]


@dataclass(frozen=True)
class Difference:
    """A difference of two accuracies, and the interval around it."""

    mean: float
    low: float
    high: float


def paired_difference(
    right: Flags, other: Flags, groups: ArrayLike | None = None, confidence: float = 0.95
) -> Difference:
    """Return by how much the accuracy of one classifier is above that of another.

    The interval is that of Agresti and Min (Statistics in Medicine 24, 2005): Wald's for matched
    pairs, with half an observation added to each of the four outcomes a pair can have, so that it
    has a width where the two never differ. With groups, the variance is that of the sums over
    each (Liang and Zeger, 1986), and what is added is half a group of the mean size, each of
    its images with the same outcome; groups of one image give back the formula for pairs.

    Args:
        right: Where the one is right, ``bool[N]``.
        other: Where the other is, on the same images.
        groups: What each image belongs to, ``[N]``; without, every image is its own.
        confidence: Of the interval, two-sided.

    Raises:
        InputError: no images, other lengths, or a confidence not between 0 and 1.
    """
    difference, members = _differences(right, other, groups, confidence)
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    count, sizes = len(difference), np.bincount(members)
    added = count / len(sizes)
    mean = difference.sum() / (count + 2 * added)
    residuals = np.bincount(members, difference) - sizes * mean
    added_squares = ((1 - mean) ** 2 + (1 + mean) ** 2 + 2 * mean**2) / 2 * added**2
    half = z * math.sqrt(residuals @ residuals + added_squares) / (count + 2 * added)
    low, high = max(mean - half, -1.0), min(mean + half, 1.0)
    return Difference(float(difference.mean()), float(low), float(high))


def most_lost(
    right: Flags, other: Flags, groups: ArrayLike | None = None, confidence: float = 0.95
) -> float:
    """Return the upper limit of how far the accuracy of ``other`` is below that of ``right``.

    One-sided. Where only ``right`` is right an image is lost, where only ``other`` is, one is
    won. The limits of both shares, Clopper's and Pearson's (1934), are put together as Zou and
    Donner do (Statistics in Medicine 27, 2008), with the covariance of two outcomes of one draw.
    Where nothing is won this is the exact limit of the share lost: not zero where nothing is
    lost, where Wald's limits promise too much.

    With groups, images count for less by the design effect (Korn and Graubard, Survey
    Methodology 24, 1998): the variance of a share by groups, over that of independent images.
    Half a group of the mean size, wholly lost, is added to both, and it is never less than 1.
    So where nothing is lost, the limit is that of as many images as there are groups.

    Args and errors are those of ``paired_difference``.
    """
    difference, members = _differences(right, other, groups, confidence)
    lost, lost_at_most = _share_and_limit(difference > 0, members, confidence)
    won, not_won_at_most = _share_and_limit(difference >= 0, members, confidence)
    won, won_at_least = 1 - won, 1 - not_won_at_most
    up, down = lost_at_most - lost, max(won - won_at_least, 0.0)
    odds = lost * won / max((1 - lost) * (1 - won), 1e-300)
    square = up**2 + down**2 + 2 * min(math.sqrt(odds), 1.0) * up * down
    return min(lost - won + math.sqrt(square), 1.0)


def least_right(right: Flags, groups: ArrayLike | None = None, confidence: float = 0.95) -> float:
    """Return the lower limit of an accuracy, one-sided.

    The limit of Clopper and Pearson (1934), with groups as in ``most_lost``.

    Args and errors are those of ``paired_difference``.
    """
    nothing = np.zeros(len(right), bool)
    difference, members = _differences(right, nothing, groups, confidence)
    return 1 - _share_and_limit(difference == 0, members, confidence)[1]


def needed_for(drop: float, confidence: float = 0.95) -> int:
    """Return how many independent images, or groups, prove a drop if nothing is lost.

    The smallest N with ``(1 - drop) ** N <= 1 - confidence``: at N, ``most_lost`` is at most
    ``drop`` where nothing is lost or won.
    """
    return math.ceil(math.log(1 - confidence) / math.log1p(-drop))


def _share_and_limit(
    flags: NDArray[np.bool_], members: NDArray[np.int64], confidence: float
) -> tuple[float, float]:
    """Return the share of the flags, and its upper limit."""
    count, sizes = len(flags), np.bincount(members)
    share, added = float(flags.mean()), count / len(sizes)
    residuals = np.bincount(members, flags) - sizes * share
    by_groups = residuals @ residuals + added**2 / 2
    effect = max(float(by_groups) / (count * share * (1 - share) + added / 2), 1.0)
    return share, upper_limit(share * count / effect, count / effect, confidence)


def _differences(
    right: Flags, other: Flags, groups: ArrayLike | None, confidence: float
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return one's flags less the other's, and the number of each image's group."""
    flags = [np.asarray(given) for given in (right, other)]
    members: NDArray[Any] = np.arange(len(flags[0])) if groups is None else np.asarray(groups)
    for name, array in (("right", flags[0]), ("other", flags[1]), ("groups", members)):
        if array.shape != (len(flags[0]),) or not array.size:
            raise InputError(
                f"its shape is {list(array.shape)}, and there are {len(flags[0])} images.",
                where=name,
                remedy="Give one flat array of each, with one entry per image.",
            )
    if not 0 < confidence < 1:
        raise InputError(
            f"{confidence!r} is no confidence.",
            where="confidence",
            remedy="Give a number between 0 and 1, such as 0.95.",
        )
    if groups is not None:
        members = np.unique(members, return_inverse=True)[1]
    difference = flags[0].astype(np.float64) - flags[1].astype(np.float64)
    return difference, members.astype(np.int64)
