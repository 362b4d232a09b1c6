"""Measure the latency of a loaded network at its operating points, and keep it."""

from __future__ import annotations

__all__ = ["SECONDS", "Calibrator", "Points", "time_points"]

import datetime as dt
import gc
import math
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from dyncompile.errors import ArtifactError, InputError, KnobError
from dyncompile.knobs import Knob
from dyncompile.manifest import OperatingPoint
from dyncompile.runtime import latency_cache
from dyncompile.runtime.arguments import InputSpec
from dyncompile.runtime.calibration import Calibration, Conditions, Latency, full_point
from dyncompile.runtime.calibration_samples import Sample, Samples, draw_samples, given_samples
from dyncompile.timing import Clock

Call = Callable[..., object]
Points = Iterable[OperatingPoint]

SECONDS = 2.0
WARM_UP_CALLS = 3
LEAST_CALLS = 5


@dataclass
class Calibrator:
    """What is known of the latencies of one loaded network; safe to use from several threads.

    Attributes:
        inputs: Its data inputs.
        knobs: Its knobs.
        points: Where it is measured unless told otherwise.
        conditions: How it runs.
        digest: Return what names its file in the cache, or raise ArtifactError.

    What is called is given with each call, so that a network and its calibrator do not hold
    each other.
    """

    inputs: tuple[InputSpec, ...]
    knobs: Mapping[str, Knob]
    points: tuple[OperatingPoint, ...]
    conditions: Callable[[], Conditions]
    digest: Callable[[], str]
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)
    _known: Calibration | None = field(default=None, init=False)
    _is_complete: bool = field(default=False, init=False)
    _has_warned: bool = field(default=False, init=False)
    _digest: str | None = field(default=None, init=False)

    def calibrate(
        self, call: Call, samples: Samples | None, points: Points | None, seconds: float
    ) -> Calibration:
        """Measure and keep; see ``Net.calibrate``."""
        if isinstance(seconds, bool) or not (
            isinstance(seconds, (int, float)) and 0 < seconds < math.inf
        ):
            raise InputError(
                f"{seconds!r} is no time to spend.",
                where="seconds",
                remedy="Give a positive number of seconds.",
            )
        chosen = self._points(points)
        with self._lock:
            found = self._measured(call, chosen, samples, seconds)
            self._keep(found)
        return found

    def latencies(self, call: Call) -> Calibration:
        """Return what is known, the points of the artifact among it; see ``Net.latencies``."""
        if self._is_complete and self._known:  # does not wait for a calibration under way
            return self._known
        with self._lock:
            known = self._known
            if known is None:
                with suppress(ArtifactError):
                    known = latency_cache.kept(self._name(), self.conditions())
            missing = [p for p in self._points(None) if not (known and known.at(p))]
            if missing:
                known = self._keep(self._measured(call, missing, None, SECONDS))
            assert known is not None, "there is at least one point"
            self._known, self._is_complete = known, True
            return known

    def known(
        self, call: Call, points: Sequence[OperatingPoint], samples: Samples | None
    ) -> Calibration:
        """Return what is known, ``points`` among it: from data, if there are samples.

        Raises:
            InputError: a point has not been measured, and there are no samples.
        """
        with self._lock:
            known = self._known
            if missing := _missing(known, points, samples):
                with suppress(ArtifactError):
                    known = latency_cache.kept(self._name(), self.conditions()) or known
                missing = _missing(known, points, samples)
            if missing and samples is None:
                others = f" and {len(missing) - 1} more points" if len(missing) > 1 else ""
                raise InputError(
                    f"{_spelt(missing[0])}{others} not measured on this machine.",
                    where="latencies",
                    remedy="Give samples=, or measure them once with net.calibrate(samples).",
                )
            if missing:
                known = self._keep(self._measured(call, missing, samples, SECONDS))
            assert known is not None, "there is at least one point"
            return known

    def keep(self, latencies: Iterable[Latency]) -> Calibration:
        """Keep what was measured elsewhere; see ``Net.keep_latencies``."""
        found = self._calibration(
            replace(latency, point=full_point(self.knobs, latency.point)) for latency in latencies
        )
        with self._lock:
            return self._keep(found)

    def full_points(self, points: Points | None) -> list[OperatingPoint]:
        """Return the values of all knobs at the points asked for, or at those of the artifact.

        Raises:
            KnobError: no points, an unknown knob, or a value out of range.
        """
        wanted = (self.points or ({},)) if points is None else points
        is_list = isinstance(wanted, Iterable) and not isinstance(wanted, (Mapping, str))
        full: list[OperatingPoint] = []
        if is_list:
            full.extend(full_point(self.knobs, point) for point in wanted)
        if not full:
            raise KnobError(
                f"{type(points).__name__} without operating points.",
                where="points",
                remedy='Give a list of knobs by name, as in [{"level": 0}, {"level": 1}].',
            )
        return full

    def _points(self, points: Points | None) -> list[OperatingPoint]:
        full = self.full_points(points)
        return [point for n, point in enumerate(full) if point not in full[:n]]

    def _measured(
        self,
        call: Call,
        points: Sequence[OperatingPoint],
        samples: Samples | None,
        seconds: float,
    ) -> Calibration:
        is_drawn = samples is None
        feeds = (
            draw_samples(self.inputs) if samples is None else given_samples(self.inputs, samples)
        )
        try:
            ms = time_points(call, points, feeds, seconds=seconds)
        except InputError as error:
            if not is_drawn:
                raise
            raise InputError(
                f"drawn inputs do not do: {error.problem}",
                where=error.where,
                remedy="Give samples: net.calibrate(samples).",
            ) from error
        count = min(len(feeds), len(ms[0]))
        return self._calibration(
            Latency.of(point, taken, samples=count, drawn=is_drawn)
            for point, taken in zip(points, ms, strict=True)
        )

    def _name(self) -> str:
        if self._digest is None:
            self._digest = self.digest()
        return self._digest

    def _calibration(self, latencies: Iterable[Latency]) -> Calibration:
        today = dt.datetime.now(tz=dt.UTC).date().isoformat()
        defaults = full_point(self.knobs, {})
        return Calibration(self.conditions(), defaults, tuple(latencies), today)

    def _keep(self, found: Calibration) -> Calibration:
        known = self._known
        try:
            name = self._name()
            known = latency_cache.kept(name, found.conditions) or known
            self._known = known.merged(found) if known else found
            latency_cache.keep(name, self._known)
        except ArtifactError as error:
            self._known = known.merged(found) if known else found
            if not self._has_warned:
                self._has_warned = True
                warnings.warn(
                    f"latencies are kept for this process only: {error.where}: {error.problem}",
                    RuntimeWarning,
                    stacklevel=4,
                )
        return self._known


def _missing(
    known: Calibration | None, points: Sequence[OperatingPoint], samples: Samples | None
) -> list[OperatingPoint]:
    """Return the points to measure: the unknown, and with samples those known from noise."""

    def is_missing(point: OperatingPoint) -> bool:
        latency = known.at(point) if known else None
        return latency is None or (latency.drawn and samples is not None)

    return [p for n, p in enumerate(points) if p not in points[:n] and is_missing(p)]


def _spelt(point: OperatingPoint) -> str:
    return " ".join(f"{name}={value}" for name, value in point.items()) or "the network"


def time_points(
    call: Call,
    points: Sequence[OperatingPoint],
    samples: Sequence[Sample],
    *,
    seconds: float,
    clock: Clock = time.perf_counter_ns,
) -> list[NDArray[np.float64]]:
    """Time calls at operating points in turns, so that drift of the machine hits all alike.

    The samples come in drawn order, each at all points; the point that is first rotates. What
    is timed follows an untimed call at the same point with the sample before: it finds the
    caches as a stream of calls leaves them.

    Args:
        call: Runs the network on inputs and knobs by name.
        points: Values of the knobs.
        samples: Inputs by name.
        seconds: Time to spend on all together; at least five calls a point are timed.
        clock: Nanoseconds. Time on the wall counts whatever the machine does meanwhile.

    Returns:
        For each point, the milliseconds of its calls, ``float64[calls]``; the n-th call of
        every point has the same sample.
    """
    taken: list[list[float]] = [[] for _ in points]
    order = list(range(len(points)))
    rng = np.random.default_rng(0)
    previous = samples[0]
    for _ in range(WARM_UP_CALLS):
        for point in points:
            call(**previous, **point)
    deadline = clock() + seconds * 1e9
    with _no_collecting():
        while True:
            for number in rng.permutation(len(samples)):
                sample = samples[number]
                for place in order:
                    call(**previous, **points[place])
                    start = clock()
                    call(**sample, **points[place])
                    taken[place].append((clock() - start) / 1e6)
                previous = sample
                order.append(order.pop(0))
                if clock() >= deadline and len(taken[0]) >= LEAST_CALLS:
                    return [np.asarray(ms) for ms in taken]


@contextmanager
def _no_collecting() -> Iterator[None]:
    is_collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if is_collecting:
            gc.enable()
