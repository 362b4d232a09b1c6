from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from dyncompile.timing import (
    LEAST_ROUNDS,
    Spread,
    Timings,
    clock_for,
    time_in_turns,
    time_streams,
)

CPU = "CPUExecutionProvider"


class FakeTime:
    """A clock that only calls move."""

    def __init__(self) -> None:
        self.now = 0
        self.calls: list[str] = []

    def __call__(self) -> int:
        return self.now

    def call(self, label: str, microseconds: Iterator[int]) -> Callable[[], None]:
        def run() -> None:
            self.calls.append(label)
            self.now += next(microseconds) * 1000

        return run


def steady(microseconds: int) -> Iterator[int]:
    while True:
        yield microseconds


def test_a_ratio_is_the_median_of_quotients_round_by_round() -> None:
    timings = Timings({"a": np.array([2.0, 20.0, 60.0]), "b": np.array([1.0, 10.0, 20.0])})
    assert timings.ratio("a", "b") == Spread(2.0, 2.0, 2.5)
    assert timings.us("a").median == 20


def test_every_call_has_its_turn_in_every_round() -> None:
    clock = FakeTime()
    calls = {name: clock.call(name, steady(us)) for name, us in (("slow", 9000), ("slower", 18000))}
    timings = time_in_turns(calls, seconds=0, clock=clock)
    assert timings.us("slow") == Spread(9000, 9000, 9000)
    assert timings.ratio("slower", "slow").median == 2
    assert {len(taken) for taken in timings.rounds.values()} == {LEAST_ROUNDS}
    timed = clock.calls[-2 * LEAST_ROUNDS :]
    first = [timed[2 * number] for number in range(LEAST_ROUNDS)]
    assert first == ["slow", "slower", "slow", "slower", "slow"], "the order rotates"


def test_a_turn_is_the_median_of_as_many_calls_as_fit() -> None:
    clock = FakeTime()
    timings = time_in_turns({"short": clock.call("short", steady(100))}, seconds=0, clock=clock)
    warm_up = len(clock.calls) - 40 * LEAST_ROUNDS
    assert 0 < warm_up < 10
    assert timings.us("short").median == 100


def spiky() -> Iterator[int]:
    number = 0
    while True:
        number += 1
        yield 50_000 if number % 7 == 0 else 100


def test_one_outlier_in_a_turn_does_not_count() -> None:
    clock = FakeTime()
    timings = time_in_turns({"a": clock.call("a", spiky())}, seconds=0, clock=clock)
    assert timings.us("a").high == 100


def test_streams_run_whole_behind_a_call_that_is_not_timed() -> None:
    clock = FakeTime()
    streams = {
        name: [clock.call(f"{name}{k}", steady(us * (k + 1))) for k in range(2)]
        for name, us in (("a", 10), ("b", 30))
    }
    taken = time_streams(streams, clock=clock)
    assert {name: us.tolist() for name, us in taken.items()} == {"a": [10, 20], "b": [30, 60]}
    assert clock.calls[:6] == ["a1", "a0", "a1", "b1", "b0", "b1"]
    assert clock.calls[6:9] == ["b1", "b0", "b1"], "the order rotates"


def test_one_outlier_in_a_stream_does_not_count() -> None:
    clock = FakeTime()
    taken = time_streams({"a": [clock.call("a", spiky())] * 3}, clock=clock)
    assert taken["a"].tolist() == [100, 100, 100]


@pytest.mark.parametrize("collecting", [True, False], ids=["collecting", "not collecting"])
def test_garbage_is_collected_afterwards_as_before(collecting: bool) -> None:
    seen = []
    (gc.enable if collecting else gc.disable)()
    try:
        time_in_turns({"a": lambda: seen.append(gc.isenabled())}, seconds=0)
        assert gc.isenabled() == collecting
    finally:
        gc.enable()
    assert not any(seen[-LEAST_ROUNDS:])


def test_measurements_of_several_openings_are_joined() -> None:
    parts = [Timings({"a": np.array([1.0]), "b": np.array([2.0])}) for _ in range(2)]
    joined = Timings.joined(parts)
    assert {name: taken.tolist() for name, taken in joined.rounds.items()} == {
        "a": [1.0, 1.0],
        "b": [2.0, 2.0],
    }


@pytest.mark.parametrize(
    ("threads", "providers", "clock"),
    [
        (1, [CPU], time.thread_time_ns),
        (2, [CPU], time.perf_counter_ns),
        (None, [CPU], time.perf_counter_ns),
        (1, ["CUDAExecutionProvider", CPU], time.perf_counter_ns),
    ],
    ids=["one thread", "two threads", "the runtime decides", "another device"],
)
def test_the_clock_counts_all_that_works(
    threads: int | None, providers: list[str], clock: Callable[[], int]
) -> None:
    assert clock_for(threads, providers) is clock
