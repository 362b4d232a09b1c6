"""From what the gates say of held-out data to levels of effort; no torch."""

from __future__ import annotations

__all__ = ["Chosen", "Measured", "choose", "halves"]

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dyncompile.errors import InputError
from dyncompile.methods.dgate.targets import Target, check_enough
from dyncompile.methods.dgate.thresholds import PRICES, Frontier, Outcome, frontier, outcome
from dyncompile.methods.paired import least_right, most_lost
from dyncompile.progress import Progress

Indices = NDArray[np.int64]

ROUNDING = 1e-12


@dataclass(frozen=True)
class Measured:
    """What gates say of samples; see ``scoring.Said``.

    Attributes:
        sureness: ``float32[N, K]``.
        right: ``bool[N, K + 1]``.
        costs: ``float64[K + 1]``, growing, the last is 1.
        groups: ``[N]``; None if each sample is its own.
    """

    sureness: NDArray[np.float32]
    right: NDArray[np.bool_]
    costs: NDArray[np.float64]
    groups: NDArray[Any] | None = None

    def pick(self, indices: Indices) -> Measured:
        """Return what they say of some of the samples."""
        groups = None if self.groups is None else self.groups[indices]
        return Measured(self.sureness[indices], self.right[indices], self.costs, groups)

    def outcome(self, thresholds: NDArray[np.float32]) -> Outcome:
        """Return what thresholds make of the samples."""
        return outcome(self.sureness, self.right, self.costs, thresholds)

    @property
    def group_count(self) -> int | None:
        """How many groups there are."""
        return None if self.groups is None else len(np.unique(self.groups))


@dataclass(frozen=True)
class Chosen:
    """A threshold vector, float32[K], and the targets it answers to."""

    thresholds: NDArray[np.float32]
    targets: tuple[Target, ...]


def halves(count: int, groups: NDArray[Any] | None, seed: int) -> tuple[Indices, Indices]:
    """Cut samples in two at random, groups whole.

    Returns:
        The numbers of those that search, and of those that measure, each ascending; of an odd
        number of groups, those that measure have one more.
    """
    members = np.arange(count) if groups is None else np.unique(groups, return_inverse=True)[1]
    total = int(members.max()) + 1
    searches = np.zeros(total, bool)
    searches[np.random.default_rng(seed).permutation(total)[: total // 2]] = True
    return np.flatnonzero(searches[members]), np.flatnonzero(~searches[members])


def choose(
    search: Measured,
    measure: Measured,
    targets: Sequence[Target],
    *,
    confidence: float = 0.95,
    prices: int = PRICES,
    progress: Progress | None = None,
) -> list[Chosen]:
    """Choose a threshold vector for each target.

    The vectors come from ``frontier`` on the searching half. On the measuring half they are
    walked from the dense network to the cheapest, as long as the limit of each is within what
    the target allows, and the last of them is taken. The order does not depend on the half
    that measures, so a limit of 95 % for each keeps the promise in 95 % of the calibrations,
    however many are walked (fixed-sequence testing: Angelopoulos et al., "Learn then Test",
    2021). Each target has this confidence for itself. For ``macs`` it is the most accurate on
    the searching half that stays under on both.

    Returns:
        One vector per way the measuring half takes, in the order of the targets; those at the
        first exit and at the end among them only if a target asks for it.

    Raises:
        InputError: a target cannot be met, or not be shown by so few samples.
    """
    for target in targets:
        if target.kind == "macs":
            _check_macs(target, search, measure)
        else:
            check_enough(target, confidence, len(measure.right), measure.group_count)
    walk = _Walk(measure, confidence)
    for target in targets:
        if target.kind == "accuracy":
            walk.check_floor(target)
    found = frontier(search.sureness, search.right, search.costs, prices=prices, progress=progress)
    ways: dict[bytes, Chosen] = {}
    for target in targets:
        if target.kind == "macs":
            thresholds = _under(target.amount, found, measure)
        else:
            thresholds = walk.last_within(target, found)
        way = measure.outcome(thresholds).exits.tobytes()
        known = ways.get(way, Chosen(thresholds, ()))
        ways[way] = Chosen(known.thresholds, (*known.targets, target))
    return list(ways.values())


class _Walk:
    """Limits on the half that measures, each computed once."""

    def __init__(self, measure: Measured, confidence: float) -> None:
        self._measure = measure
        self._confidence = confidence
        self._dense = measure.right[:, -1]
        self._outcomes: dict[int, Outcome] = {}

    def check_floor(self, target: Target) -> None:
        """Refuse a floor that even the dense network cannot be shown to keep."""
        limit = least_right(self._dense, self._measure.groups, self._confidence)
        if limit + ROUNDING < target.amount:
            nearest = math.floor(limit * 1e4) / 1e4
            raise InputError(
                f"the dense network has {self._dense.mean():.4f} on the {len(self._dense)} samples"
                f" that measure, and at least {nearest:.4f} with {100 * self._confidence:g} %"
                " confidence.",
                where=target.where,
                remedy=f"Ask for accuracy={nearest:.4f} or less, or give more held-out data.",
            )

    def last_within(self, target: Target, found: Frontier) -> NDArray[np.float32]:
        last = len(found.thresholds) - 1
        chosen = last
        for number in range(last - 1, -1, -1):
            if number not in self._outcomes:
                self._outcomes[number] = self._measure.outcome(found.thresholds[number])
            if not self._keeps(target, self._outcomes[number].right):
                break
            chosen = number
        return _row(found, chosen)

    def _keeps(self, target: Target, right: NDArray[np.bool_]) -> bool:
        groups = self._measure.groups
        if target.kind == "drop":
            limit = most_lost(self._dense, right, groups, self._confidence)
            return limit <= target.amount + ROUNDING
        return least_right(right, groups, self._confidence) + ROUNDING >= target.amount


def _under(share: float, found: Frontier, measure: Measured) -> NDArray[np.float32]:
    allowed = share + ROUNDING
    costs = [measure.outcome(thresholds).cost for thresholds in found.thresholds]
    stays = (found.cost <= allowed) & (np.array(costs) <= allowed)
    if not stays.any():  # the cheapest lets a few samples through on the measuring half
        return np.full(measure.sureness.shape[1], -np.inf, np.float32)
    return _row(found, int(np.argmax(np.where(stays, found.accuracy, -1.0))))


def _row(found: Frontier, number: int) -> NDArray[np.float32]:
    vector: NDArray[np.float32] = found.thresholds[number]
    return vector


def _check_macs(target: Target, *data: Measured) -> None:
    """Refuse less than level 0 takes; samples whose score is NaN go on even there."""
    always = np.full(data[0].sureness.shape[1], -np.inf, np.float32)
    least = max(half.outcome(always).cost for half in data)
    if target.amount + ROUNDING < least:
        smallest = math.ceil((least - ROUNDING) * 1e4) / 1e4
        raise InputError(
            "the first exit alone takes more of the dense network's MACs.",
            where=target.where,
            remedy=f"Ask for macs={smallest:.4f} or more, or attach a gate nearer to the input.",
        )
