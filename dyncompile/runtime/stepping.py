"""Which rung to run: down at once, up after a while."""

from __future__ import annotations

__all__ = ["MissTest", "Stepper"]

import math
from collections.abc import Sequence

from dyncompile.runtime.ladder import Rung

HOLD_S = 1.0
LONGEST_HOLD_S = 60.0
ODDS_RATIO = 4.0
CALLS_PER_FALSE_ALARM = 1e6


class MissTest:
    """Whether more calls miss the budget than the percentile allows.

    Page's cumulative sum (E. S. Page, "Continuous inspection schemes", Biometrika 41, 1954): of
    the share that may miss against four times its odds. Where just that share misses, it errs
    once in a million calls at most.

    Args:
        percentile: Of the calls that have to be in time.
    """

    def __init__(self, percentile: int) -> None:
        usual = 1 - percentile / 100
        odds = ODDS_RATIO * usual / (1 - usual)
        high = odds / (1 + odds)
        self._steps = (math.log((1 - high) / (1 - usual)), math.log(high / usual))
        self._sum = 0.0

    def add(self, *, is_missed: bool) -> None:
        """Count a call."""
        self._sum = max(0.0, self._sum + self._steps[is_missed])

    def reset(self) -> None:
        """Begin anew."""
        self._sum = 0.0

    @property
    def has_failed(self) -> bool:
        """Whether too many missed."""
        return self._sum >= math.log(CALLS_PER_FALSE_ALARM)


class Stepper:
    """The position on a ladder.

    It goes down when what runs does not fit under the estimated load, or when too many calls
    miss; as far as it has to, and at once. It goes up to what has had room, with a margin, for
    a second without break. That wait doubles, up to a minute, each time that what it led to
    could not be held for twice as long; a climb that lasts longer ends this.

    Args:
        rungs: At least one; from fastest to best.
        budget_ms: What a call may take.
        percentile: Of the calls that have to be in time.
    """

    def __init__(self, rungs: Sequence[Rung], budget_ms: float, percentile: int) -> None:
        self._rungs = rungs
        self._budget_ms = budget_ms
        self._misses = MissTest(percentile)
        self._at = self._best_that_fits(1.0, len(rungs))
        self._moved_s = -math.inf
        self._hold_s = HOLD_S
        self._is_on_trial = False
        self._next: tuple[int, float] | None = None

    @property
    def rung(self) -> Rung:
        """What is to run."""
        return self._rungs[self._at]

    def observe(self, rung: Rung, ms: float, *, started_s: float) -> None:
        """Count a call, if it ran where calls run now."""
        if rung is self.rung and started_s >= self._moved_s:
            self._misses.add(is_missed=ms > self._budget_ms)

    def move(self, estimate: float, now_s: float) -> None:
        """Step up or down as the load demands."""
        is_late = self.rung.expected_ms(estimate) > self._budget_ms
        if self._at and (is_late or self._misses.has_failed):
            self._learn(now_s)
            self._go(self._best_that_fits(estimate, self._at), now_s, is_climb=False)
            return
        roomy = self._best_with_room(estimate)
        if roomy is None:
            self._next = None
            return
        goal, since_s = self._next or (roomy, now_s)
        self._next = min(goal, roomy), since_s
        if now_s - since_s >= self._hold_s:
            self._go(self._next[0], now_s, is_climb=True)

    def _go(self, to: int, now_s: float, *, is_climb: bool) -> None:
        self._at, self._moved_s, self._is_on_trial, self._next = to, now_s, is_climb, None
        self._misses.reset()

    def _learn(self, now_s: float) -> None:
        """Wait longer next time if the climb before came to nothing."""
        if self._is_on_trial:
            was_held = now_s - self._moved_s >= 2 * self._hold_s
            self._hold_s = HOLD_S if was_held else min(2 * self._hold_s, LONGEST_HOLD_S)

    def _best_that_fits(self, estimate: float, below: int) -> int:
        """Return the best of the lowest rungs; the fastest if none of them fits."""
        for number in range(below - 1, 0, -1):
            if self._rungs[number].expected_ms(estimate) <= self._budget_ms:
                return number
        return 0

    def _best_with_room(self, estimate: float) -> int | None:
        """Return the best above the present one, if any has room."""
        for number in range(len(self._rungs) - 1, self._at, -1):
            if self._rungs[number].has_room(estimate, self._budget_ms):
                return number
        return None
