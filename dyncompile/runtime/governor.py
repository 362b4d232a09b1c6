"""Calls within a budget of time, at the best operating point that fits."""

from __future__ import annotations

__all__ = ["Governor", "Outputs"]

import math
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from dyncompile.knobs import Knob
from dyncompile.manifest import OperatingPoint
from dyncompile.runtime.budget import Budget, Pick
from dyncompile.runtime.calibration import full_point
from dyncompile.runtime.ladder import Rung, ladder
from dyncompile.runtime.load_estimate import LoadEstimate
from dyncompile.runtime.stepping import Stepper
from dyncompile.timing import Clock

Outputs = NDArray[Any] | tuple[NDArray[Any], ...]


class Governor:
    """A network that keeps within a budget of time; safe to call from several threads.

    ``Net.within`` makes it. All calls share one estimate of the load, so what threads take from
    each other is load too. Where it runs is decided as a call begins, by the calls that have
    ended. Nothing else but the clock is read, so the same times give the same picks.

    Args:
        call: Runs the network on inputs and knobs.
        knobs: Its knobs.
        rungs: What has been measured, in any order; at least one.
        budget: What a call may take.
        clock: Nanoseconds.

    Attributes:
        budget: What a call may take.
        points: What there is to choose from, from fastest to best, without what is both slower
            and no better than another.
    """

    def __init__(
        self,
        call: Callable[..., Outputs],
        knobs: Mapping[str, Knob],
        rungs: Sequence[Rung],
        budget: Budget,
        *,
        clock: Clock = time.perf_counter_ns,
    ) -> None:
        steps = ladder(rungs)
        self.budget = budget
        self.points: tuple[OperatingPoint, ...] = tuple(rung.point for rung in steps)
        self._call = call
        self._knobs = knobs
        self._clock = clock
        self._rungs = [(rung, self._encoded(rung.point, knobs)) for rung in rungs]
        self._lock = threading.Lock()
        self._load = LoadEstimate()
        self._stepper = Stepper(steps, budget.ms, budget.percentile)
        self._running = 0
        self._last_end_s = math.inf
        self._new_from_s = -math.inf
        self._picked = self._pick(self._stepper.rung, {})

    @property
    def picked(self) -> Pick:
        """What the call that began last runs at; before the first call, what it would."""
        return self._picked

    def __call__(self, /, *inputs: object, **named: object) -> Outputs:
        """Run the network where it fits; arguments, results and errors as for ``Net``.

        Knobs that are given are fixed. Among the points that agree with them, the best that is
        not slower than what would run without them is taken, else the fastest. If none agrees,
        they replace the values of what would run; what that takes is not known then, and the
        call tells nothing of the load.
        """
        return self.run(*inputs, **named)[0]

    def run(self, /, *inputs: object, **named: object) -> tuple[Outputs, Pick]:
        """Run the network as a call does; return its outputs, and what was picked for them."""
        fixed = {name: named[name] for name in self._knobs.keys() & named.keys()}
        agreeing = self._agreeing(fixed)
        with self._lock:
            rung, pick = self._begin(fixed, agreeing)
        start = self._clock()
        try:
            outputs = self._call(*inputs, **{**pick.point, **named})
        except BaseException:
            self._end(None, start)
            raise
        self._end(rung, start)
        return outputs, pick

    def __repr__(self) -> str:
        return f"<Governor of {self._call!r} within {self.budget}, at {self.picked}>"

    def _agreeing(self, fixed: Mapping[str, object]) -> tuple[Rung, ...] | None:
        """Return what agrees with the fixed knobs, from fastest to best; None for everything."""
        if not fixed:
            return None
        wanted = self._encoded(fixed, fixed).items()
        found = [rung for rung, values in self._rungs if wanted <= values.items()]
        return None if len(found) == len(self._rungs) else ladder(found)

    def _begin(
        self, fixed: Mapping[str, object], agreeing: Sequence[Rung] | None
    ) -> tuple[Rung | None, Pick]:
        now_s = self._clock() / 1e9
        if not self._running:
            self._load.rest(now_s - self._last_end_s)
        self._stepper.move(self._load.value, now_s)
        rung: Rung | None = self._stepper.rung
        if agreeing:
            limit = self._stepper.rung.ms
            rung = next((r for r in reversed(agreeing) if r.ms <= limit), agreeing[0])
        elif fixed and agreeing is not None:
            rung = None
        self._picked = self._pick(rung, fixed)
        self._running += 1
        return rung, self._picked

    def _end(self, rung: Rung | None, start: int) -> None:
        """Count a call; none that failed, or ran where nothing has been measured."""
        end = self._clock()
        start_s, end_s = start / 1e9, end / 1e9
        with self._lock:
            self._running -= 1
            self._last_end_s = end_s
            if rung is None:
                return
            ms = (end - start) / 1e6
            is_new = start_s >= self._new_from_s
            self._load.observe(rung, ms, is_new=is_new)
            if is_new:
                self._new_from_s = end_s
                self._stepper.observe(rung, ms, started_s=start_s)

    def _pick(self, rung: Rung | None, fixed: Mapping[str, object]) -> Pick:
        free, estimate = self._stepper.rung, self._load.value
        if rung is None:
            point = full_point(self._knobs, {**free.point, **fixed})
            return Pick(point, self.budget, None, free.load(estimate))
        return Pick(rung.point, self.budget, rung.expected_ms(estimate), rung.load(estimate))

    def _encoded(self, values: Mapping[str, object], names: Iterable[str]) -> dict[str, bytes]:
        return {name: self._knobs[name].array(name, values.get(name)).tobytes() for name in names}
