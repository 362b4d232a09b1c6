"""Operating points in order of what they take, for the governor to climb."""

from __future__ import annotations

__all__ = ["PERCENTILES", "Rung", "ladder"]

import math
from collections.abc import Iterable
from dataclasses import dataclass

from dyncompile.manifest import OperatingPoint
from dyncompile.runtime.calibration import Latency

PERCENTILES = {50: "median_ms", 95: "p95_ms"}

LEAST_TOLERANCE = 0.1
_LEAST_MS = 1e-6
_QUANTILE_95 = 1.645  # of the normal distribution
_WANTED_NOISE = 0.02
_WEIGHTS = (0.01, 0.25)


@dataclass(frozen=True)
class Rung:
    """An operating point and what a call takes there.

    Attributes:
        point: The values of all knobs.
        ms: What counts against the budget: that percentile of the calls, as measured.
        mean_ms: Their mean.
        tail: Their 95th percentile over the mean, at least 1.
        quality: Higher is better.
        weight: Of one call in the estimate of the load. Where calls differ much by their data,
            many have to be averaged.
        tolerance: Load up to here cannot be told from chance, as a share.
    """

    point: OperatingPoint
    ms: float
    mean_ms: float
    tail: float
    quality: float
    weight: float
    tolerance: float

    @classmethod
    def of(cls, latency: Latency, percentile: int, quality: float) -> Rung:
        """Read what was measured."""
        mean_ms = max(latency.mean_ms, _LEAST_MS)
        tail = max(latency.p95_ms / mean_ms, 1.0)
        deviation = (tail - 1) / _QUANTILE_95
        weight = _weight(deviation)
        noise = deviation * math.sqrt(weight / (2 - weight))
        tolerance = max(LEAST_TOLERANCE, 5 * noise)
        ms: float = getattr(latency, PERCENTILES[percentile])
        return cls(latency.point, ms, mean_ms, tail, quality, weight, tolerance)

    @property
    def outlier(self) -> float:
        """How many times the mean a call counts as at most: it moves a quarter of tolerance."""
        return 1 + self.tolerance / (4 * self.weight)

    def load(self, estimate: float) -> float:
        """Return the load that counts here: 1 where the estimate may be one by chance."""
        return estimate if estimate > 1 + self.tolerance else 1.0

    def expected_ms(self, estimate: float) -> float:
        """Return what a call takes under load, at the percentile that counts."""
        return self.ms * self.load(estimate)

    def has_room(self, estimate: float, budget_ms: float) -> bool:
        """Return whether it would fit under somewhat more load than there is."""
        is_idle = estimate <= 1 + self.tolerance / 2
        return self.ms * (1.0 if is_idle else estimate * (1 + self.tolerance)) <= budget_ms


def ladder(rungs: Iterable[Rung]) -> tuple[Rung, ...]:
    """Return the rungs from fastest to best, without those that another beats in both."""
    kept: list[Rung] = []
    for rung in sorted(rungs, key=lambda rung: (rung.ms, -rung.quality)):
        if not kept or rung.quality > kept[-1].quality:
            kept.append(rung)
    return tuple(kept)


def _weight(deviation: float) -> float:
    """Return the weight with which an average of such calls has the noise that is wanted.

    The variance of an exponentially weighted mean is ``weight / (2 - weight)`` of that of one.
    """
    low, high = _WEIGHTS
    if deviation <= 0:
        return high
    ratio = _WANTED_NOISE / deviation
    share = ratio * ratio  # a power is rounded otherwise, and not everywhere alike
    return min(max(2 * share / (1 + share), low), high)
