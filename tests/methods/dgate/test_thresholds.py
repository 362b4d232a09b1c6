from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from dyncompile.methods.dgate.thresholds import Frontier, Outcome, frontier, outcome

Floats = NDArray[np.float64]
SCALES = {"continuous": None, "few-values": 1, "neighbours-in-float32": 25}


@dataclass(frozen=True)
class Problem:
    sureness: NDArray[np.float32]
    right: NDArray[np.bool_]
    costs: Floats

    @property
    def arguments(self) -> tuple[Any, Any, Any]:
        return self.sureness, self.right, self.costs

    def outcome(self, thresholds: Any) -> Outcome:  # noqa: ANN401
        return outcome(*self.arguments, thresholds)

    def frontier(self, prices: int = 32) -> Frontier:
        return frontier(*self.arguments, prices=prices)

    def candidates(self, gate: int) -> list[float]:
        """Return a threshold for each set of samples that can leave together."""
        scores = self.sureness[:, gate]
        return [math.inf, *np.unique(scores[np.isfinite(scores)]).tolist(), -math.inf]

    def reachable(self) -> Floats:
        """Return accuracy and cost of all threshold vectors, ``float64[V, 2]``."""
        vectors = itertools.product(*map(self.candidates, range(self.sureness.shape[1])))
        found = [self.outcome(vector) for vector in vectors]
        return np.array([(each.accuracy, each.cost) for each in found])


def problem(seed: int, samples: int, gates: int, scores: str = "continuous") -> Problem:
    """Draw easy and hard samples; later exits are right more often, and surer."""
    rng = np.random.default_rng(seed)
    hard = rng.random((samples, 1))
    right = rng.random((samples, gates + 1)) > hard * np.linspace(0.9, 0.1, gates + 1)
    sureness = 1 - hard + 0.3 * right[:, :gates] + rng.normal(0, 0.3, (samples, gates))
    bits = SCALES[scores]
    if bits == 1:
        sureness = np.round(sureness * 2) / 2
    elif bits:
        sureness = 1 + np.round(sureness * 8) * 2.0**-23
    costs = np.cumsum(rng.random(gates + 1) + 0.1)
    return Problem(sureness.astype(np.float32), right, costs / costs[-1])


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    """Draw anything: scores that say nothing, ties, NaN, infinities below."""
    samples, gates = draw(st.integers(1, 8)), draw(st.integers(1, 3))
    score = st.one_of(
        st.integers(-2, 2).map(float),
        st.floats(-4, 4, width=32),
        st.sampled_from([-math.inf, math.nan]),
    )
    table = st.lists(score, min_size=samples * gates, max_size=samples * gates)
    flags = st.lists(st.booleans(), min_size=samples * (gates + 1), max_size=samples * (gates + 1))
    steps = draw(st.lists(st.integers(1, 9), min_size=gates + 1, max_size=gates + 1))
    return Problem(
        np.array(draw(table), np.float32).reshape(samples, gates),
        np.array(draw(flags)).reshape(samples, gates + 1),
        np.cumsum(steps) / sum(steps),
    )


# --- outcome ----------------------------------------------------------------------------------


@given(problems(), st.lists(st.sampled_from([-math.inf, -1, 0, 0.5, math.inf]), min_size=3))
def test_samples_leave_at_the_first_gate_they_pass(drawn: Problem, thresholds: Any) -> None:  # noqa: ANN401
    gates = drawn.sureness.shape[1]
    found = drawn.outcome(thresholds[:gates])
    for sample, scores in enumerate(drawn.sureness.tolist()):
        place = gates
        for gate in reversed(range(gates)):
            if scores[gate] >= thresholds[gate]:
                place = gate
        assert found.exits[sample] == place
        assert found.right[sample] == drawn.right[sample, place]
    assert found.cost == pytest.approx(drawn.costs[found.exits].mean())
    assert found.accuracy == pytest.approx(found.right.mean())
    assert sum(found.leaving(gates + 1)) == pytest.approx(1)


def test_scores_and_thresholds_are_compared_in_float32() -> None:
    score = np.float32(0.1)
    above = float(np.nextafter(score, np.float32(1))) - 1e-10
    found = outcome([[float(score)], [0.3]], [[True, False]] * 2, [0.5, 1.0], [above])
    assert found.exits.tolist() == [1, 0]
    assert outcome([[float(score)]], [[True, False]], [0.5, 1], [0.1]).exits.tolist() == [0]


# --- frontier ---------------------------------------------------------------------------------


@given(problems())
@settings(deadline=None, max_examples=30)
def test_it_goes_from_the_cheapest_to_the_dense_network(drawn: Problem) -> None:
    found = drawn.frontier()
    assert found.thresholds.dtype == np.float32
    assert np.isposinf(found.thresholds[-1]).all()
    assert (np.diff(found.cost) >= 0).all()
    assert (np.diff(found.accuracy[:-1]) > 0).all()
    assert found.cost[0] == pytest.approx(drawn.reachable()[:, 1].min())


@given(problems())
@settings(deadline=None, max_examples=30)
def test_each_vector_does_what_it_is_said_to(drawn: Problem) -> None:
    found = drawn.frontier()
    for thresholds, accuracy, cost in zip(
        found.thresholds, found.accuracy, found.cost, strict=True
    ):
        again = drawn.outcome(thresholds)
        assert (again.accuracy, again.cost) == pytest.approx((accuracy, cost))


def shortfall(drawn: Problem, found: Frontier) -> float:
    """Return how much more accurate any vector is than the frontier, at any price, at most."""
    accuracy, cost = drawn.reachable().T
    return max(
        float((accuracy - price * cost).max() - (found.accuracy - price * found.cost).max())
        for price in np.geomspace(0.01, 20, 40)
    )


@pytest.mark.parametrize("scores", SCALES)
def test_with_one_gate_no_vector_is_better_at_any_price(scores: str) -> None:
    for seed in range(5):
        drawn = problem(seed, 60, 1, scores)
        found = drawn.frontier(400)
        below = np.geomspace(0.01, 20, 40)
        assert shortfall(drawn, found) < 0.06 * below.min() + 1e-9


@pytest.mark.parametrize("scores", SCALES)
@pytest.mark.parametrize(
    ("samples", "gates"), [pytest.param(40, 2, id="2-gates"), pytest.param(14, 3, id="3-gates")]
)
def test_with_several_gates_hardly_any_vector_is_better(
    samples: int, gates: int, scores: str
) -> None:
    gaps = []
    for seed in range(4):
        drawn = problem(seed, samples, gates, scores)
        gaps.append(shortfall(drawn, drawn.frontier()) * samples)
    assert max(gaps) < 1.5
    assert np.median(gaps) < 0.1


@given(problems())
@settings(deadline=None, max_examples=30, derandomize=True)
def test_whatever_the_scores_say_little_is_missed(drawn: Problem) -> None:
    assert shortfall(drawn, drawn.frontier()) * len(drawn.right) < 2


def test_thresholds_lie_midway_between_scores() -> None:
    drawn = Problem(
        np.array([[4], [3], [1], [0]], np.float32),
        np.array([[True, True], [True, True], [False, True], [False, True]]),
        np.array([0.2, 1.0]),
    )
    assert drawn.frontier().thresholds.ravel().tolist() == [-math.inf, 0.5, 2, math.inf]


def test_neighbours_in_float32_are_told_apart() -> None:
    low = np.float32(1)
    high = np.nextafter(low, np.float32(2))
    drawn = Problem(
        np.array([[high], [low]], np.float32),
        np.array([[True, True], [False, True]]),
        np.array([0.2, 1.0]),
    )
    assert drawn.frontier().thresholds.ravel().tolist() == [-math.inf, high, math.inf]


def test_samples_without_a_score_stay() -> None:
    drawn = Problem(
        np.array([[math.nan], [1], [-math.inf]], np.float32),
        np.array([[True, True]] * 3),
        np.array([0.2, 1.0]),
    )
    cheapest = drawn.frontier().thresholds[0]
    assert drawn.outcome(cheapest).exits.tolist() == [1, 0, 0]


def test_equal_scores_leave_together() -> None:
    drawn = problem(0, 200, 3, "few-values")
    found = drawn.frontier()
    scores = set(drawn.sureness.ravel().tolist())
    assert not scores & set(found.thresholds.ravel().tolist())


def test_neighbours_are_not_far_apart_in_cost_where_cost_buys_accuracy() -> None:
    for seed in range(3):
        found = problem(seed, 2000, 2).frontier(8)
        rising = found.accuracy < found.accuracy.max() - 0.02
        assert np.diff(found.cost[rising]).max() < 0.03


def test_it_tells_how_far_it_is() -> None:
    told: list[tuple[str, int, int]] = []
    drawn = problem(0, 20, 2)
    frontier(*drawn.arguments, prices=4, progress=lambda *step: told.append(step))
    assert told == [("thresholds", done, 16) for done in range(1, 17)]
