import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dyncompile.errors import InputError
from dyncompile.methods.paired import least_right, most_lost, needed_for, paired_difference

Bools = NDArray[np.bool_]


def flags(both: int, lost: int, won: int, neither: int) -> tuple[Bools, Bools]:
    right = np.repeat([True, True, False, False], [both, lost, won, neither])
    other = np.repeat([True, False, True, False], [both, lost, won, neither])
    return right, other


def draw(
    rng: np.random.Generator, groups: int, size: int, lost: float, won: float, same: float
) -> tuple[Bools, Bools, NDArray[np.int64]]:
    """Draw two classifiers; a share ``same`` of the groups has one outcome in all its images."""
    p = [lost, 1 - lost - won, won]
    single = rng.choice([1, 0, -1], p=p, size=(groups, size))
    shared = rng.choice([1, 0, -1], p=p, size=(groups, 1))
    difference = np.where(rng.random((groups, 1)) < same, shared, single).ravel()
    tie = rng.random(groups * size) < 0.8
    return (
        np.where(difference == 0, tie, difference > 0),
        np.where(difference == 0, tie, difference < 0),
        np.repeat(np.arange(groups), size),
    )


# --- differences ------------------------------------------------------------------------------


def test_the_interval_is_that_of_agresti_and_min() -> None:
    found = paired_difference(*flags(80, 9, 4, 7))
    lost, won, count = 9.5 / 102, 4.5 / 102, 102
    centre = lost - won
    half = 1.959964 * math.sqrt((lost + won - centre**2) / count)
    assert found.mean == pytest.approx(0.05)
    assert (found.low, found.high) == pytest.approx((centre - half, centre + half), rel=1e-6)


def test_the_interval_has_a_width_where_the_two_never_differ() -> None:
    found = paired_difference(*flags(30, 0, 0, 8))
    half = 1.959964 * math.sqrt(1 / 40 / 40)
    assert found.mean == 0
    assert (found.low, found.high) == pytest.approx((-half, half), rel=1e-6)


def test_groups_wholly_alike_count_once() -> None:
    right, other = flags(80, 9, 4, 7)
    alone = paired_difference(right, other)
    grouped = paired_difference(right.repeat(6), other.repeat(6), np.arange(100).repeat(6))
    assert grouped.mean == pytest.approx(alone.mean)
    assert (grouped.low, grouped.high) == pytest.approx((alone.low, alone.high))


def test_groups_of_one_change_nothing() -> None:
    right, other = flags(80, 9, 4, 7)
    names = [f"image {number}" for number in range(100)]
    assert paired_difference(right, other, names) == paired_difference(right, other)
    assert most_lost(right, other, names) == most_lost(right, other)


def test_the_interval_stays_within_what_is_possible() -> None:
    found = paired_difference([True], [False])
    assert -1 <= found.low < found.high == 1


@pytest.mark.parametrize(
    ("groups", "size", "lost", "won", "same"),
    [
        pytest.param(1000, 1, 0.04, 0.02, 0, id="pairs"),
        pytest.param(250, 4, 0.06, 0.03, 0.5, id="groups-half-alike"),
        pytest.param(250, 4, 0.06, 0.03, 1, id="groups-wholly-alike"),
    ],
)
def test_the_limits_hold_as_often_as_they_say(
    groups: int, size: int, lost: float, won: float, same: float
) -> None:
    rng = np.random.default_rng(0)
    difference, accuracy = lost - won, (1 - lost - won) * 0.8 + won
    hits = []
    for _ in range(800):
        right, other, members = draw(rng, groups, size, lost, won, same)
        found = paired_difference(right, other, members)
        hits.append(
            (
                found.low <= difference <= found.high,
                most_lost(right, other, members) >= difference,
                least_right(other, members) <= accuracy,
            )
        )
    two_sided, drop, floor = np.mean(hits, axis=0)
    assert 0.93 <= two_sided <= 0.97
    assert 0.93 <= drop <= 0.98
    assert 0.93 <= floor <= 0.98


def test_without_groups_alike_images_promise_too_much() -> None:
    rng = np.random.default_rng(0)
    hits = []
    for _ in range(300):
        right, other, _ = draw(rng, 250, 4, 0.06, 0.03, 1)
        found = paired_difference(right, other)
        hits.append(found.low <= 0.03 <= found.high)
    assert np.mean(hits) < 0.8


# --- limits -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lost", "expected"),
    [  # the exact limits of Clopper and Pearson for lost of 100, from their tables
        pytest.param(0, 0.029513, id="nothing-lost"),
        pytest.param(1, 0.046560, id="one-lost"),
        pytest.param(5, 0.102253, id="five-lost"),
    ],
)
def test_where_nothing_is_won_the_limit_is_exact(lost: int, expected: float) -> None:
    assert most_lost(*flags(90 - lost, lost, 0, 10)) == pytest.approx(expected, abs=2e-6)


def test_what_is_won_lowers_the_limit_and_what_is_lost_raises_it() -> None:
    won = [most_lost(*flags(900, 20, won, 80 - won)) for won in range(0, 40, 5)]
    lost = [most_lost(*flags(900 - lost, lost, 10, 90)) for lost in range(0, 40, 5)]
    assert won == sorted(won, reverse=True)
    assert lost == sorted(lost)


def test_the_limit_of_groups_without_losses_counts_groups() -> None:
    right, other = flags(300, 0, 0, 100)
    assert most_lost(right, other, np.arange(400) // 4) == pytest.approx(1 - 0.05**0.01)
    assert least_right(np.ones(400, bool), np.arange(400) // 4) == pytest.approx(0.05**0.01)


def test_the_limit_is_above_the_drop_and_grows_with_confidence() -> None:
    pair = flags(850, 40, 20, 90)
    limits = [most_lost(*pair, confidence=share) for share in (0.5, 0.8, 0.95, 0.99)]
    assert limits == sorted(limits)
    assert 0.02 < limits[0] < limits[-1] < 0.06


@pytest.mark.parametrize(
    ("drop", "confidence", "count"),
    [
        pytest.param(0.05, 0.95, 59, id="five-points"),
        pytest.param(0.01, 0.95, 299, id="one-point"),
        pytest.param(0.01, 0.99, 459, id="surer"),
    ],
)
def test_so_many_are_needed_and_no_fewer(drop: float, confidence: float, count: int) -> None:
    assert needed_for(drop, confidence) == count
    enough, too_few = (np.ones(n, bool) for n in (count, count - 1))
    assert most_lost(enough, enough, confidence=confidence) <= drop
    assert most_lost(too_few, too_few, confidence=confidence) > drop


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        pytest.param(([], []), "right: its shape is [0]", id="empty"),
        pytest.param(([True], [True, False]), "other: its shape is [2]", id="lengths"),
        pytest.param(([True], [True], [1, 2]), "groups: its shape is [2]", id="groups"),
        pytest.param(([True], [True], None, 1.0), "confidence: 1.0", id="confidence"),
    ],
)
def test_what_does_not_fit_is_refused(arguments: Any, problem: str) -> None:  # noqa: ANN401
    for function in (paired_difference, most_lost):
        with pytest.raises(InputError) as caught:
            function(*arguments)
        assert str(caught.value).startswith(problem)
