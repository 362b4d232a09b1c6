import itertools
import math
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pytest
from numpy.typing import NDArray

from dyncompile.errors import KnobError
from dyncompile.knobs import Knob, Levels, Threshold
from dyncompile.manifest import OperatingPoint
from dyncompile.runtime.budget import Budget, Pick
from dyncompile.runtime.calibration import Latency
from dyncompile.runtime.governor import Governor
from dyncompile.runtime.ladder import Rung
from dyncompile.runtime.load_estimate import CONFIRMING_CALLS
from dyncompile.runtime.stepping import HOLD_S, LONGEST_HOLD_S

KNOBS: dict[str, Knob] = {"level": Levels(range(4)), "t": Threshold(0.5, 0, 1)}  # type: ignore[arg-type]
LEVELS = range(4)
BUDGET = Budget(10)
NEVER = math.inf

Draw = Callable[[int, np.random.Generator], float]


def steady(level: int, rng: np.random.Generator) -> float:
    """Draw milliseconds: 1, 2, 4 and 8, and 3 % up or down."""
    return 2.0**level * (1 + 0.03 * rng.standard_normal())


def uneven(level: int, rng: np.random.Generator) -> float:
    """Draw milliseconds of a network that leaves early with four samples of five."""
    return 2.0**level * (0.3 if rng.random() < 0.8 else 3.8)


@dataclass
class Machine:
    """A network whose calls move a clock, as far as their level, their data and a load say."""

    draw: Draw = steady
    load: Callable[[float], float] = lambda _: 1.0
    now: int = 0
    levels: list[int] = field(default_factory=list)
    thresholds: list[object] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(1)

    def clock(self) -> int:
        return self.now

    def __call__(self, *, level: int, t: float) -> NDArray[np.float64]:
        self.levels.append(level)
        self.thresholds.append(t)
        self.now += round(1e6 * self.draw(level, self.rng) * self.load(self.now / 1e9))
        return np.array([level, t])

    @property
    def switches(self) -> list[tuple[int, int]]:
        return [(a, b) for a, b in itertools.pairwise(self.levels) if a != b]


def rungs_of(draw: Draw, points: list[Mapping[str, float]] | None = None) -> list[Rung]:
    rng = np.random.default_rng(2)
    rungs = []
    for given in [{"level": k} for k in LEVELS] if points is None else points:
        point: OperatingPoint = {"level": 3, "t": 0.5, **given}
        ms = np.array([draw(int(given["level"]), rng) for _ in range(500)])
        latency = Latency.of(point, ms, samples=500, drawn=False)
        rungs.append(Rung.of(latency, 95, latency.mean_ms))
    return rungs


def governed(machine: Machine, budget: Budget = BUDGET, *, draw: Draw | None = None) -> Governor:
    return Governor(machine, KNOBS, rungs_of(draw or machine.draw), budget, clock=machine.clock)


def serve(machine: Machine, governor: Governor, until_s: float) -> None:
    while machine.now < until_s * 1e9:
        governor()


def between(start_s: float, end_s: float, factor: float) -> Callable[[float], float]:
    return lambda now_s: factor if start_s <= now_s < end_s else 1.0


# --- what is picked --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("budget_ms", "level", "fits"),
    [
        pytest.param(NEVER, 3, True, id="no-limit"),
        pytest.param(9, 3, True, id="best"),
        pytest.param(8.1, 2, True, id="best-misses-by-percentile"),
        pytest.param(2.5, 1, True, id="between"),
        pytest.param(0.5, 0, False, id="nothing-fits"),
    ],
)
def test_the_best_point_that_fits_runs(budget_ms: float, level: int, fits: bool) -> None:
    machine = Machine()
    governor = governed(machine, Budget(budget_ms))
    assert (governor.picked.point, governor.picked.fits) == ({"level": level, "t": 0.5}, fits)
    outputs, pick = governor.run()
    np.testing.assert_array_equal(outputs, [level, 0.5])
    assert (pick.point["level"], pick.fits, pick.load) == (level, fits, 1.0)
    assert governor.picked is pick
    assert pick.expected_ms == pytest.approx(2**level, rel=0.1)


def test_a_pick_says_what_it_is() -> None:
    governor = governed(Machine())
    assert str(governor.picked) == "level=3 t=0.5: 8.36 ms (p95, load 1.00) of 10 ms"
    tight = governed(Machine(), Budget(0.5, 50)).picked
    assert str(tight) == "level=0 t=0.5: 1.05 ms (p50, load 1.00); nothing fits 0.5 ms"
    assert repr(governor).endswith(f" within 10 ms, at {governor.picked}>")


def test_points_are_in_order_without_those_that_another_beats() -> None:
    rungs = rungs_of(steady)
    slow = Rung.of(Latency({"level": 3, "t": 1.0}, 9, 9, 9, 1, 1, drawn=False), 95, quality=0)
    governor = Governor(Machine(), KNOBS, [slow, *reversed(rungs)], BUDGET)
    assert governor.points == tuple({"level": k, "t": 0.5} for k in LEVELS)


# --- load ------------------------------------------------------------------------------------


def test_it_goes_down_within_a_few_calls_and_up_when_the_load_is_gone() -> None:
    machine = Machine(load=between(5, 10, 3.0))
    governor = governed(machine)
    serve(machine, governor, 5)
    calm = len(machine.levels)
    assert set(machine.levels) == {3}
    serve(machine, governor, 9.9)
    assert machine.switches == [(3, 1)]
    assert machine.levels.index(1) <= calm + CONFIRMING_CALLS + 1
    assert governor.picked.load == pytest.approx(3, rel=0.1)
    assert governor.picked.fits
    serve(machine, governor, 10 + HOLD_S)
    assert governor.picked.point["level"] == 1
    serve(machine, governor, 30)
    assert machine.levels[-1] == 3
    assert len(machine.switches) <= 3


def test_where_nothing_fits_any_more_the_fastest_runs() -> None:
    machine = Machine(load=between(5, 10, 20.0))
    governor = governed(machine)
    serve(machine, governor, 9.5)
    pick = governor.picked
    assert (pick.point["level"], pick.fits) == (0, False)
    assert pick.load == pytest.approx(20, rel=0.1)
    serve(machine, governor, 20)
    assert governor.picked.point["level"] == 3
    assert governor.picked.fits


def test_a_little_load_that_misses_the_budget_counts() -> None:
    machine = Machine(load=between(5, 10, 1.08))
    governor = governed(machine, Budget(8.5))
    serve(machine, governor, 9.5)
    assert machine.switches == [(3, 2)]
    serve(machine, governor, 20)
    assert machine.switches == [(3, 2), (2, 3)]


def test_load_that_leaves_room_changes_nothing() -> None:
    machine = Machine(load=between(5, 10, 1.15))
    serve(machine, governed(machine, Budget(10)), 20)
    assert machine.switches == []


@pytest.mark.parametrize(
    ("draw", "budget_ms"),
    [
        pytest.param(steady, 8.5, id="steady"),
        pytest.param(
            lambda k, rng: 2**k * (1 + 0.2 * abs(rng.standard_normal())), 11.2, id="jitter"
        ),
        pytest.param(uneven, 30.5, id="exits"),
        pytest.param(lambda k, rng: 2**k * rng.exponential(), 25, id="exponential"),
    ],
)
def test_chance_alone_moves_nothing(draw: Draw, budget_ms: float) -> None:
    machine = Machine(draw)
    serve(machine, governed(machine, Budget(budget_ms)), 60)
    assert machine.levels[0] == 3
    assert machine.switches == []


@pytest.mark.parametrize("length", [1, 2, 3])
def test_outliers_move_nothing(length: int) -> None:
    machine = Machine()
    governor = governed(machine)
    machine.load = lambda _: 50.0 if len(machine.levels) % 40 <= length - 1 else 1.0
    serve(machine, governor, 60)
    assert machine.switches == []


@pytest.mark.parametrize(
    ("period_s", "most"),
    [
        pytest.param(0.2, 2, id="faster-than-it-climbs"),
        pytest.param(1.5, 4, id="as-fast"),
        pytest.param(4.0, 8, id="slower"),
        pytest.param(20.0, 12, id="once-per-change"),
    ],
)
def test_load_that_comes_and_goes_does_not_make_it_swing(period_s: float, most: int) -> None:
    machine = Machine(load=lambda now_s: 2.0 if now_s % period_s > period_s / 2 else 1.0)
    serve(machine, governed(machine), 120)
    assert 1 <= len(machine.switches) <= most


def test_a_point_that_takes_longer_than_measured_is_tried_ever_less_often() -> None:
    machine = Machine(lambda level, rng: steady(level, rng) * (1.6 if level == 3 else 1))
    governor = governed(machine, draw=steady)
    serve(machine, governor, 60)
    first = len(machine.switches)
    serve(machine, governor, 300)
    assert 2 <= first <= 14
    assert len(machine.switches) - first <= 2 * (240 / LONGEST_HOLD_S + 1)
    assert machine.levels.count(3) < 0.01 * len(machine.levels)


def test_a_network_that_decides_by_its_data_sees_load_too() -> None:
    machine = Machine(uneven, between(20, 60, 2.0))
    governor = governed(machine, Budget(40))
    serve(machine, governor, 59)
    assert {a for a, _ in machine.switches[:1]} == {3}
    assert machine.levels[-1] in {1, 2}
    serve(machine, governor, 120)
    assert machine.levels[-1] == 3
    assert len(machine.switches) <= 6


def test_load_is_forgotten_while_nothing_runs() -> None:
    machine = Machine(load=between(0, 2, 3.0))
    governor = governed(machine)
    serve(machine, governor, 2)
    assert governor.picked.point["level"] == 1
    assert governor.picked.load == pytest.approx(3, rel=0.1)
    machine.now += 300 * 10**9
    assert governor.run()[1].load == 1.0
    machine.now += int(HOLD_S * 1e9)
    assert governor.run()[1].point["level"] == 3


def test_calls_far_apart_see_load() -> None:
    machine = Machine(load=between(100, 200, 2.0))
    governor = governed(machine)
    while machine.now < 400e9:
        governor()
        machine.now += 5 * 10**9
    assert machine.switches == [(3, 2), (2, 3)]


def test_the_same_times_give_the_same_picks() -> None:
    picks: list[list[Pick]] = []
    for _ in range(2):
        machine = Machine(uneven, between(3, 8, 2.5))
        governor = governed(machine, Budget(40))
        picks.append([])
        while machine.now < 15e9:
            picks[-1].append(governor.run()[1])
    assert picks[0] == picks[1]
    assert len({pick.point["level"] for pick in picks[0]}) > 1


# --- knobs that the caller fixes -------------------------------------------------------------


def with_thresholds() -> tuple[Machine, Governor]:
    points: list[Mapping[str, float]] = [{"level": k, "t": t} for k in LEVELS for t in (0.5, 1.0)]
    machine = Machine()
    rungs = rungs_of(steady, points)
    return machine, Governor(machine, KNOBS, rungs, Budget(5), clock=machine.clock)


@pytest.mark.parametrize(
    ("fixed", "level", "fits"),
    [
        pytest.param({"t": 1.0}, 2, True, id="the-other-knob-is-chosen"),
        pytest.param({"t": np.float32(1)}, 2, True, id="another-type"),
        pytest.param({"level": 1}, 1, True, id="cheaper"),
        pytest.param({"level": 3}, 3, False, id="dearer-than-the-budget"),
        pytest.param({"level": 0, "t": 1}, 0, True, id="all"),
    ],
)
def test_fixed_knobs_leave_the_others_to_choose(
    fixed: dict[str, object], level: int, fits: bool
) -> None:
    machine, governor = with_thresholds()
    outputs, pick = governor.run(**fixed)
    np.testing.assert_array_equal(outputs, [level, fixed.get("t", pick.point["t"])])
    assert (pick.point["level"], pick.fits) == (level, fits)
    assert pick.expected_ms == pytest.approx(2**level, rel=0.1)
    assert machine.thresholds == [fixed.get("t", pick.point["t"])]
    assert governor.run()[1].point["level"] == 2


def test_a_fixed_value_that_was_not_measured_is_laid_over_the_pick() -> None:
    machine, governor = with_thresholds()
    machine.load = lambda _: 100.0
    for _ in range(50):
        _, pick = governor.run(t=0.25)
    assert (pick.point, pick.expected_ms, pick.fits) == ({"level": 2, "t": 0.25}, None, False)
    assert str(pick) == "level=2 t=0.25: not measured"
    assert governor.picked is pick
    assert governor.run()[1].point["level"] == 2


def test_calls_with_fixed_knobs_tell_of_the_load() -> None:
    machine, governor = with_thresholds()
    machine.load = lambda _: 3.0
    for _ in range(20):
        governor(level=3)
    assert governor.run()[1].load == pytest.approx(3, rel=0.1)
    assert governor.picked.point["level"] == 0


def test_a_fixed_value_out_of_range_is_refused() -> None:
    machine, governor = with_thresholds()
    with pytest.raises(KnobError, match="knob 'level': 9 is not a level"):
        governor(level=9)
    assert machine.levels == []
    assert governor.run()[1].fits


# --- threads ---------------------------------------------------------------------------------


def test_calls_that_fail_count_for_nothing() -> None:
    machine = Machine()
    governor = governed(machine)

    def fail(*_: object) -> float:
        raise ValueError

    machine.draw = fail
    for _ in range(20):
        with pytest.raises(ValueError):  # noqa: PT011 - the network's own error
            governor()
        machine.now += 10**9
    machine.draw = steady
    assert (governor.run()[1].load, machine.switches) == (1.0, [])


class Pair:
    """Two threads that call in step, where two calls at once take twice as long."""

    def __init__(self) -> None:
        self.now = 0
        self.rng = np.random.default_rng(3)
        self.running: list[int] = []
        self.step = threading.Barrier(2, self.advance)
        self.levels: list[list[int]] = [[], []]
        self.is_alone = False
        self.governor = Governor(self, KNOBS, rungs_of(steady), BUDGET, clock=lambda: self.now)

    def advance(self) -> None:
        if self.running:
            slowest = max(steady(level, self.rng) for level in sorted(self.running))
            self.now += round(1e6 * len(self.running) * slowest)
            self.running.clear()

    def __call__(self, *, level: int, t: float) -> NDArray[np.float64]:
        self.running.append(level)
        if self.is_alone:
            self.advance()
        else:
            self.step.wait(10)
        return np.array([level, t])

    def work(self, number: int, laps: int) -> None:
        for _ in range(laps):
            outputs = self.governor()
            self.levels[number].append(int(np.asarray(outputs)[0]))
            if not self.is_alone:
                self.step.wait(10)

    def serve(self, both: int, alone: int) -> list[list[int]]:
        workers = [threading.Thread(target=self.work, args=(n, both)) for n in range(2)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(60)
        self.is_alone = True
        self.work(0, alone)
        return self.levels


def test_what_threads_take_from_each_other_is_load() -> None:
    first, second = Pair().serve(both=300, alone=500)
    assert first[:300] == second
    assert set(first[10:300]) == {2}
    assert first[-1] == 3
    assert sum(a != b for a, b in itertools.pairwise(first)) == 2
    assert Pair().serve(both=300, alone=500) == [first, second]


def test_calls_that_were_slow_together_are_one_outlier() -> None:
    machine = Machine()
    governor: Governor
    depth = 0

    def call(*, level: int, t: float) -> NDArray[np.float64]:
        nonlocal depth
        depth += 1
        if depth < 20:
            other = threading.Thread(target=governor)
            other.start()
            other.join(10)
        else:
            machine.now += 10**9
        return np.array([level, t])

    governor = Governor(call, KNOBS, rungs_of(steady), BUDGET, clock=machine.clock)
    governor()
    assert depth == 20
    assert governor.run()[1].point["level"] == 3


def test_threads_at_will_all_get_what_was_picked_for_them() -> None:
    lock = threading.Lock()
    machine = Machine(load=between(0.5, 1, 4.0))

    def call(*, level: int, t: float) -> NDArray[np.float64]:
        with lock:
            return machine(level=level, t=t)

    governor = Governor(call, KNOBS, rungs_of(steady), BUDGET, clock=machine.clock)
    wrong: list[object] = []

    def work() -> None:
        for _ in range(500):
            outputs, pick = governor.run()
            if np.asarray(outputs)[0] != pick.point["level"]:
                wrong.append(pick)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert wrong == []
    assert len(machine.levels) == 2000
