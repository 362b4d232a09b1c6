import math
from collections.abc import Sequence

import numpy as np
import pytest

from dyncompile.errors import InputError
from dyncompile.runtime.budget import Budget, Pick
from dyncompile.runtime.calibration import Latency
from dyncompile.runtime.ladder import LEAST_TOLERANCE, Rung, ladder
from dyncompile.runtime.load_estimate import CONFIRMING_CALLS, LEAST_TAIL, REST_S, LoadEstimate
from dyncompile.runtime.stepping import HOLD_S, LONGEST_HOLD_S, MissTest, Stepper


def rung(ms: float, quality: float | None = None, *, tail: float = 1.05) -> Rung:
    latency = Latency({"level": 0}, ms, ms, tail * ms, 100, 100, drawn=False)
    return Rung.of(latency, 50, ms if quality is None else quality)


# --- budgets ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ms", "percentile", "problem"),
    [
        pytest.param(0, 95, "milliseconds: 0 is no time", id="zero"),
        pytest.param(-1.0, 95, "milliseconds: -1.0 is no time", id="negative"),
        pytest.param(math.nan, 95, "milliseconds: nan is no time", id="nan"),
        pytest.param(True, 95, "milliseconds: True is no time", id="bool"),
        pytest.param("4", 95, "milliseconds: '4' is no time", id="text"),
        pytest.param(None, 95, "milliseconds: None is no time", id="none"),
        pytest.param(4, 99, "percentile: 99 is not measured. Give 50 or 95.", id="unknown"),
        pytest.param(4, 0.95, "percentile: 0.95 is not measured", id="share"),
        pytest.param(4, math.nan, "percentile: nan is not measured", id="nan-percentile"),
        pytest.param(4, [95], "percentile: [95] is not measured", id="list"),
        pytest.param(4, "p95", "percentile: 'p95' is not measured", id="name"),
    ],
)
def test_what_is_no_budget_is_refused(ms: float, percentile: int, problem: str) -> None:
    with pytest.raises(InputError) as caught:
        Budget(ms, percentile)
    assert str(caught.value).startswith(problem)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("ms", [4, 4.0, np.float32(4), np.int64(4)], ids=lambda ms: str(type(ms)))
def test_any_number_is_a_budget(ms: float) -> None:
    budget = Budget(ms, 95.0)  # type: ignore[arg-type]
    assert (budget, str(budget)) == (Budget(4.0), "4 ms")
    assert (type(budget.ms), type(budget.percentile)) == (float, int)
    assert Budget(math.inf).ms == math.inf


def test_a_pick_without_knobs_can_be_read() -> None:
    assert str(Pick({}, Budget(4), 1.234, 1.0)) == "no knobs: 1.23 ms (p95, load 1.00) of 4 ms"


# --- the ladder ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        pytest.param([(3, 3), (1, 1), (2, 2)], [(1, 1), (2, 2), (3, 3)], id="sorted"),
        pytest.param([(1, 1), (2, 3), (3, 2)], [(1, 1), (2, 3)], id="slower-and-worse"),
        pytest.param([(1, 1), (2, 1)], [(1, 1)], id="slower-and-no-better"),
        pytest.param([(1, 1), (1, 2)], [(1, 2)], id="as-fast-and-better"),
        pytest.param([(1, 1), (1, 1)], [(1, 1)], id="the-same-twice"),
        pytest.param([(1, 9), (2, 8), (3, 7)], [(1, 9)], id="the-fastest-is-best"),
        pytest.param([(2, -1)], [(2, -1)], id="one"),
    ],
)
def test_a_ladder_goes_from_fastest_to_best(
    given: list[tuple[float, float]], kept: list[tuple[float, float]]
) -> None:
    assert [(r.ms, r.quality) for r in ladder(rung(ms, q) for ms, q in given)] == kept


def test_the_percentile_is_what_counts() -> None:
    latency = Latency({}, median_ms=1, mean_ms=2, p95_ms=5, calls=9, samples=9, drawn=False)
    assert [Rung.of(latency, q, 0).ms for q in (50, 95)] == [1, 5]
    assert Rung.of(latency, 50, 0).tail == 2.5


def test_the_more_calls_differ_the_more_of_them_count() -> None:
    rungs = [rung(1, tail=tail) for tail in (1.0, 1.05, 1.2, 2, 5)]
    weights = [one.weight for one in rungs]
    assert weights == sorted(weights, reverse=True)
    assert weights[0] > 10 * weights[-1] > 0
    tolerances = [one.tolerance for one in rungs]
    assert tolerances == sorted(tolerances)
    assert tolerances[0] == LEAST_TOLERANCE < tolerances[-1]


def test_times_of_zero_are_no_error() -> None:
    one = Rung.of(Latency({}, 0, 0, 0, 1, 1, drawn=True), 95, 0)
    load = LoadEstimate()
    load.observe(one, 0.0, is_new=True)
    assert math.isfinite(load.value)


def test_load_within_tolerance_does_not_count() -> None:
    one = rung(2)
    assert [one.load(estimate) for estimate in (0.5, 1.05, 1.2)] == [1, 1, 1.2]
    assert one.expected_ms(1.5) == 3
    assert one.has_room(1.04, 2.0)
    assert not one.has_room(1.06, 2.0)
    assert one.has_room(1.5, 2 * 1.5 * (1 + LEAST_TOLERANCE) + 0.001)
    assert not one.has_room(1.5, 3.2)


# --- the estimate ----------------------------------------------------------------------------


def estimated(ratios: Sequence[float], one: Rung, *, is_new: bool = True) -> float:
    load = LoadEstimate()
    for ratio in ratios:
        load.observe(one, ratio * one.mean_ms, is_new=is_new)
    return load.value


@pytest.mark.parametrize("factor", [0.5, 1.0, 1.15, 3.0, 40.0])
def test_the_estimate_finds_the_load(factor: float) -> None:
    assert estimated([factor] * 40, rung(2)) == pytest.approx(factor, rel=0.03)


@pytest.mark.parametrize("tail", [1.0, 1.3, 4.0])
def test_one_outlier_moves_it_less_than_tolerance(tail: float) -> None:
    one = rung(2, tail=tail)
    limit = one.weight * (max(tail, LEAST_TAIL) - 1) + one.tolerance / 4
    assert 0 < estimated([1000], one) - 1 <= limit + 1e-9
    assert limit < one.tolerance


def test_four_in_a_row_are_believed_at_once() -> None:
    ratios = [1.0] * 5 + [10.0] * CONFIRMING_CALLS
    assert estimated(ratios[:-1], rung(2)) < 1.2
    assert estimated(ratios, rung(2)) == pytest.approx(10 / 1.05)
    assert estimated([*ratios[:-1], 1.0, 10.0], rung(2)) < 1.25


def test_outliers_at_the_same_time_count_once() -> None:
    one = rung(2)
    assert estimated([1000] * 100, one, is_new=False) == 1
    assert estimated([1.15] * 100, one, is_new=False) == pytest.approx(1.15)


def test_rest_brings_it_back() -> None:
    load = LoadEstimate()
    load.value = 3
    load.rest(REST_S)
    assert load.value == pytest.approx(1 + 2 / math.e)
    for seconds in (-1, -math.inf):
        load.rest(seconds)
        assert load.value == pytest.approx(1 + 2 / math.e)
    load.rest(1e6)
    assert load.value == 1


# --- misses ----------------------------------------------------------------------------------


def calls_until_failed(share: float, percentile: int, most: int) -> int | None:
    test, rng = MissTest(percentile), np.random.default_rng(0)
    for number, is_missed in enumerate((rng.random(most) < share).tolist(), 1):
        test.add(is_missed=is_missed)
        if test.has_failed:
            return number
    return None


@pytest.mark.parametrize(
    ("percentile", "share", "low", "high"),
    [
        pytest.param(95, 1.0, 5, 15, id="all"),
        pytest.param(95, 0.3, 15, 150, id="many"),
        pytest.param(50, 1.0, 15, 40, id="all-with-the-median"),
        pytest.param(50, 0.9, 20, 150, id="many-with-the-median"),
    ],
)
def test_more_misses_than_allowed_are_noticed(
    percentile: int, share: float, low: int, high: int
) -> None:
    assert low <= (calls_until_failed(share, percentile, 1000) or 0) <= high


@pytest.mark.parametrize(("percentile", "share"), [(95, 0.05), (50, 0.5)], ids=["p95", "median"])
def test_misses_that_are_allowed_are_allowed(percentile: int, share: float) -> None:
    assert calls_until_failed(share, percentile, 50_000) is None


def test_misses_are_forgotten_when_asked() -> None:
    test = MissTest(95)
    for _ in range(100):
        test.add(is_missed=True)
    assert test.has_failed
    test.reset()
    assert not test.has_failed


# --- steps -----------------------------------------------------------------------------------


def moves(stepper: Stepper, estimates: Sequence[tuple[float, float]]) -> list[float]:
    """Return the milliseconds of what runs after each pair of a time and an estimate."""
    found = []
    for now_s, estimate in estimates:
        stepper.move(estimate, now_s)
        found.append(stepper.rung.ms)
    return found


def steps(budget_ms: float = 10) -> Stepper:
    return Stepper([rung(2.0**k) for k in range(4)], budget_ms, 95)


def test_it_steps_down_as_far_as_it_has_to() -> None:
    assert moves(steps(), [(0, 1), (1, 1.24), (2, 1.3), (3, 6), (4, 100)]) == [8, 8, 4, 1, 1]


def test_it_steps_up_after_a_time_without_break() -> None:
    down = [(0, 6.0)]
    assert moves(steps(), [*down, (1, 1), (1 + 0.9 * HOLD_S, 1), (1 + HOLD_S, 1)]) == [1, 1, 1, 8]
    broken = [(1.0, 1.0), (1.5, 6.0), (2.0, 1.0), (2.4, 1.0), (3.0, 1.0)]
    assert moves(steps(), [*down, *broken]) == [1, 1, 1, 1, 1, 8]


def test_it_steps_up_to_what_had_room_all_the_time() -> None:
    assert moves(steps(), [(0, 6), (1, 1), (1.5, 2.0), (2, 1), (3, 1), (4, 1)]) == [
        1, 1, 1, 4, 4, 8,
    ]  # fmt: skip


def test_room_takes_a_margin() -> None:
    loaded = 10 / 8 / (1 + LEAST_TOLERANCE)
    assert moves(steps(), [(0, 2), (1, loaded + 0.01), (9, loaded + 0.01)]) == [4, 4, 4]
    assert moves(steps(), [(0, 2), (1, loaded - 0.01), (9, loaded - 0.01)]) == [4, 4, 8]


def test_climbs_that_fail_are_made_ever_later_until_one_holds() -> None:
    stepper = steps()
    stepper.move(2, now_s := 0.0)
    waits = []
    for _ in range(9):
        start = now_s
        while stepper.rung.ms == 4:
            now_s += 0.5
            stepper.move(1, now_s)
        waits.append(now_s - start - 0.5)
        stepper.move(2, now_s := now_s + 0.5)
    assert waits == [min(HOLD_S * 2**k, LONGEST_HOLD_S) for k in range(9)]
    moves(stepper, [(now_s := now_s + 1, 1), (now_s := now_s + LONGEST_HOLD_S, 1)])
    moves(stepper, [(now_s := now_s + 2 * LONGEST_HOLD_S, 2)])
    assert moves(stepper, [(now_s + 1, 1), (now_s + 1 + HOLD_S, 1)]) == [4, 8]


def test_misses_count_where_calls_run_now() -> None:
    rungs = [rung(2.0**k) for k in range(4)]
    for number, started_s, ms, expected in (
        (3, 0.0, 10.5, 4),
        (3, 0.0, 10.0, 8),
        (2, 0.0, 10.5, 8),
    ):
        stepper = Stepper(rungs, 10, 95)
        for _ in range(30):
            stepper.observe(rungs[number], ms, started_s=started_s)
        assert moves(stepper, [(1, 1)]) == [expected]
    stepper = Stepper(rungs, 10, 95)
    moves(stepper, [(0, 2), (1, 1), (3, 1)])
    for _ in range(30):
        stepper.observe(rungs[3], 10.5, started_s=2.0)
    assert moves(stepper, [(3.1, 1)]) == [8]


def test_on_the_lowest_rung_misses_change_nothing() -> None:
    stepper = steps(budget_ms=0.5)
    for _ in range(30):
        stepper.observe(stepper.rung, 1, started_s=0)
    assert moves(stepper, [(1, 1), (2, 3), (99, 1)]) == [1, 1, 1]
