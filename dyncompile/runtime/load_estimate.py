"""How much longer calls take now than they were measured to take."""

from __future__ import annotations

__all__ = ["LoadEstimate"]

import math
import statistics

from dyncompile.runtime.ladder import Rung

CONFIRMING_CALLS = 4
LEAST_TAIL = 1.2
REST_S = 30.0


class LoadEstimate:
    """The exponentially weighted mean of observed over measured times.

    Single outliers move it little, because no call counts as longer than ``Rung.outlier``. Four
    in a row that take longer than 95 % of their kind should are no outliers: they say at once
    what the load is. That happens by chance too, once in 160,000 calls, and then moves little.

    Attributes:
        value: 1 is as measured, 2 is twice as long; below 1, calls are faster.
    """

    def __init__(self) -> None:
        self.value = 1.0
        self._beyond: list[float] = []

    def observe(self, rung: Rung, ms: float, *, is_new: bool) -> None:
        """Count a call.

        Args:
            rung: Where it ran.
            ms: What it took.
            is_new: Whether it began after the call before that was new had ended. One that
                did not may be slow for the same reason, so does not count as an outlier of its own.
        """
        ratio = ms / rung.mean_ms
        usual = max(self.value, 1.0) * max(rung.tail, LEAST_TAIL)
        if ratio <= usual:
            self._beyond.clear()
        else:
            if not is_new:
                return
            self._beyond.append(ratio)
            if len(self._beyond) >= CONFIRMING_CALLS:
                self.value = max(self.value, statistics.median(self._beyond) / rung.tail)
                self._beyond.clear()
                return
            ratio = min(ratio, max(usual, self.value * rung.outlier))
        self.value += rung.weight * (ratio - self.value)

    def rest(self, seconds: float) -> None:
        """Count time in which nothing ran: what was known grows old."""
        self.value = 1 + (self.value - 1) * math.exp(-max(seconds, 0.0) / REST_S)
