"""Time calls in turns, so that drift of the machine hits all of them alike."""

from __future__ import annotations

__all__ = [
    "Call",
    "Clock",
    "Spread",
    "Timings",
    "clock_for",
    "time_in_turns",
    "time_streams",
]

import gc
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

WARM_UP_CALLS = 3
TURN_SECONDS = 4e-3
LEAST_ROUNDS = 5

Call = Callable[[], object]
Clock = Callable[[], int]


@dataclass(frozen=True)
class Spread:
    """The middle half of many measurements.

    Attributes:
        median: Half of them are below.
        low: A quarter of them are below.
        high: A quarter of them are above.
    """

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, measured: Sequence[float] | NDArray[np.float64]) -> Spread:
        """Summarise measurements; there is at least one."""
        low, median, high = np.percentile(measured, [25, 50, 75]).tolist()
        return cls(median, low, high)


@dataclass(frozen=True)
class Timings:
    """What calls took, round by round.

    Attributes:
        rounds: Label to microseconds per call, ``float64[rounds]``: the median of the turn
            that the call had in each round.
    """

    rounds: Mapping[str, NDArray[np.float64]]

    @classmethod
    def joined(cls, parts: Iterable[Timings]) -> Timings:
        """Put measurements of the same labels behind each other."""
        found = list(parts)
        labels = found[0].rounds
        return cls({k: np.concatenate([part.rounds[k] for part in found]) for k in labels})

    def us(self, label: str) -> Spread:
        """Return the microseconds a call took."""
        return Spread.of(self.rounds[label])

    def ratio(self, label: str, reference: str) -> Spread:
        """Return the time of one call over that of another, from quotients round by round.

        Both ran within milliseconds of each other, so what slows the machine for longer than
        that slows both.
        """
        return Spread.of(self.rounds[label] / self.rounds[reference])


def clock_for(threads: int | None, providers: Sequence[str]) -> Clock:
    """Return the clock that fits a session.

    With one thread on the CPU the calling thread does all the work, and its own time is the
    latency on an idle machine, and nearly the same on one that others share. Otherwise only the
    time on the wall counts everything.
    """
    alone = threads == 1 and all(name == "CPUExecutionProvider" for name in providers)
    return time.thread_time_ns if alone else time.perf_counter_ns


def time_in_turns(
    calls: Mapping[str, Call],
    *,
    seconds: float,
    clock: Clock = time.thread_time_ns,
) -> Timings:
    """Time calls against each other.

    In a round each has a turn of one call, or of as many as fit in some milliseconds, so that
    most calls find the caches as the one before left them, like those of an application; the
    order rotates. At least five rounds are made.

    Args:
        calls: Label to call.
        seconds: Time to spend on all of them together.
        clock: Nanoseconds; see ``clock_for``.
    """
    repeats = {label: _calls_per_turn(call, clock) for label, call in calls.items()}
    rounds: dict[str, list[float]] = {label: [] for label in calls}
    order = list(calls)
    deadline = time.perf_counter() + seconds
    with _no_collecting():
        while time.perf_counter() < deadline or len(rounds[order[0]]) < LEAST_ROUNDS:
            for label in order:
                rounds[label].append(_turn(calls[label], repeats[label], clock))
            order.append(order.pop(0))
    return Timings({label: np.asarray(taken) for label, taken in rounds.items()})


def time_streams(
    streams: Mapping[str, Sequence[Call]], *, clock: Clock = time.thread_time_ns
) -> dict[str, NDArray[np.float64]]:
    """Time streams of calls against each other, as of applications that work off inputs.

    In a round each stream has a turn: all its calls, one after the other, behind one that is
    not timed, so that each finds the caches as the stream leaves them. The order rotates.

    Args:
        streams: Label to calls, of each the same number.
        clock: Nanoseconds; see ``clock_for``.

    Returns:
        Label to microseconds, ``float64[calls]``, the median of five rounds.
    """
    taken: dict[str, list[list[int]]] = {label: [] for label in streams}
    order = list(streams)
    with _no_collecting():
        for _ in range(LEAST_ROUNDS):
            for label in order:
                streams[label][-1]()
                taken[label].append([_timed(call, clock) for call in streams[label]])
            order.append(order.pop(0))
    return {label: np.median(rounds, axis=0) / 1e3 for label, rounds in taken.items()}


@contextmanager
def _no_collecting() -> Iterator[None]:
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def _calls_per_turn(call: Call, clock: Clock) -> int:
    _turn(call, WARM_UP_CALLS, clock)
    return max(1, int(TURN_SECONDS * 1e6 / max(_turn(call, WARM_UP_CALLS, clock), 1e-3)))


def _turn(call: Call, repeats: int, clock: Clock) -> float:
    """Return the median of so many calls in microseconds."""
    return statistics.median(_timed(call, clock) for _ in range(repeats)) / 1e3


def _timed(call: Call, clock: Clock) -> int:
    start = clock()
    call()
    return clock() - start
