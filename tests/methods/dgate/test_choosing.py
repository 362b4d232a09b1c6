from __future__ import annotations

import numpy as np
import pytest

from dyncompile.errors import InputError
from dyncompile.methods.dgate.choosing import Measured, choose, halves
from dyncompile.methods.dgate.targets import Target
from dyncompile.methods.dgate.thresholds import frontier
from dyncompile.methods.paired import least_right, most_lost

COSTS = np.array([0.2, 0.5, 1.0])
DRAWS = 40


def draw(samples: int, seed: int, size: int = 1) -> Measured:
    """Draw what two gates say; samples of a group are equally hard."""
    rng = np.random.default_rng(seed)
    hard = rng.random(samples // size).repeat(size)
    right = [rng.random(samples) > hard**2 * share for share in (0.55, 0.35, 0.1)]
    sureness = [1 - hard + 0.25 * one + rng.normal(0, 0.2, samples) for one in right[:2]]
    groups = None if size == 1 else np.arange(samples // size).repeat(size)
    return Measured(np.stack(sureness, 1).astype(np.float32), np.stack(right, 1), COSTS, groups)


EVERYTHING = draw(200_000, 10**6)


def cut(data: Measured, seed: int = 0) -> tuple[Measured, Measured]:
    searching, measuring = halves(len(data.right), data.groups, seed)
    return data.pick(searching), data.pick(measuring)


def true_accuracy(thresholds: np.ndarray[tuple[int], np.dtype[np.float32]] | None) -> float:
    if thresholds is None:
        return float(EVERYTHING.right[:, -1].mean())
    return EVERYTHING.outcome(thresholds).accuracy


# --- the promise ------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [pytest.param(1, id="single"), pytest.param(5, id="groups")])
def test_the_drop_is_exceeded_in_one_of_twenty_draws_at_most(size: int) -> None:
    allowed, lost, cheaper = 0.03, [], []
    for seed in range(DRAWS):
        search, measure = cut(draw(1200, seed, size), seed)
        (chosen,) = choose(search, measure, [Target("drop", allowed)], prices=16)
        lost.append(true_accuracy(None) - true_accuracy(chosen.thresholds))
        cheaper.append(EVERYTHING.outcome(chosen.thresholds).cost < 0.8)
    assert np.mean(np.array(lost) > allowed) <= 0.08  # 5 %, and what 40 draws may add
    assert np.mean(cheaper) > 0.9


def test_the_floor_is_missed_in_one_of_twenty_draws_at_most() -> None:
    floor, reached = 0.93, []
    for seed in range(DRAWS):
        (chosen,) = choose(*cut(draw(1600, seed), seed), [Target("accuracy", floor)], prices=16)
        reached.append(true_accuracy(chosen.thresholds))
    assert np.mean(np.array(reached) < floor) <= 0.08
    assert min(reached) < true_accuracy(None)


def test_a_choice_on_the_data_that_searched_exceeds_it_far_more_often() -> None:
    allowed, lost = 0.03, []
    for seed in range(DRAWS):
        data = draw(1200, seed)
        found = frontier(data.sureness, data.right, data.costs, prices=16)
        within = np.flatnonzero(found.accuracy >= data.right[:, -1].mean() - allowed)
        lost.append(true_accuracy(None) - true_accuracy(found.thresholds[within[0]]))
    assert np.mean(np.array(lost) > allowed) > 0.3


# --- what is chosen ---------------------------------------------------------------------------


def test_the_limits_are_kept_on_the_half_that_measures() -> None:
    search, measure = cut(draw(4000, 0))
    targets = [Target("drop", 0.02), Target("accuracy", 0.92), Target("macs", 0.5)]
    drop, floor, macs = choose(search, measure, targets)
    dense = measure.right[:, -1]
    assert [each.targets for each in (drop, floor, macs)] == [(one,) for one in targets]
    assert most_lost(dense, measure.outcome(drop.thresholds).right) <= 0.02
    assert least_right(measure.outcome(floor.thresholds).right) >= 0.92
    assert max(half.outcome(macs.thresholds).cost for half in (search, measure)) <= 0.5


def test_a_vector_behind_one_that_fails_is_not_taken() -> None:
    search, measure = cut(draw(4000, 0))
    found = frontier(search.sureness, search.right, search.costs)
    (chosen,) = choose(search, measure, [Target("drop", 0.02)])
    limits = [
        most_lost(measure.right[:, -1], measure.outcome(thresholds).right)
        for thresholds in found.thresholds
    ]
    number = int((found.thresholds == chosen.thresholds).all(1).argmax())
    assert all(limit <= 0.02 for limit in limits[number:-1])
    assert limits[number - 1] > 0.02


def test_less_may_be_lost_costs_more() -> None:
    halves_of_data = cut(draw(8000, 0))
    targets = [Target("drop", amount) for amount in (0.01, 0.02, 0.04, 0.2)]
    chosen = choose(*halves_of_data, targets)
    costs = [halves_of_data[1].outcome(each.thresholds).cost for each in chosen]
    assert costs == sorted(costs, reverse=True)
    assert len(costs) == len(targets)


def test_targets_that_lead_to_the_same_exits_share_a_vector() -> None:
    targets = [Target("drop", 0.9), Target("accuracy", 0.01), Target("macs", 0.2)]
    (chosen,) = choose(*cut(draw(400, 0)), targets)
    assert chosen.targets == tuple(targets)
    assert (EVERYTHING.outcome(chosen.thresholds).exits == 0).all()


def test_where_every_exit_loses_too_much_the_dense_network_is_left() -> None:
    data = draw(2000, 0)
    data.right[:, :2] = False
    data.right[:, 2] = True
    (chosen,) = choose(*cut(data), [Target("drop", 0.005)])
    assert np.isposinf(chosen.thresholds).all()


def test_all_macs_buy_the_most_accurate() -> None:
    search, measure = cut(draw(2000, 0))
    found = frontier(search.sureness, search.right, search.costs)
    (chosen,) = choose(search, measure, [Target("macs", 1.0)])
    assert search.outcome(chosen.thresholds).accuracy == found.accuracy.max()


# --- halves -----------------------------------------------------------------------------------


def test_halves_are_disjoint_seeded_and_equal() -> None:
    one, other = halves(1001, None, 3)
    assert sorted([*one, *other]) == list(range(1001))
    assert (len(one), len(other)) == (500, 501)
    assert (halves(1001, None, 3)[0] == one).all()
    assert not np.array_equal(halves(1001, None, 4)[0], one)


def test_groups_are_not_cut() -> None:
    groups = np.random.default_rng(0).integers(0, 40, 500)
    one, other = halves(500, groups, 0)
    assert not set(groups[one]) & set(groups[other])
    assert len(set(groups[one])) == len(set(groups[other])) == 20


# --- what cannot be met -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "size", "parts"),
    [
        pytest.param(
            Target("drop", 0.002),
            1,
            ["drop=0.002: 200 samples that measure", "Give 2994 samples or more"],
            id="too-few-samples",
        ),
        pytest.param(
            Target("drop", 0.05),
            5,
            ["drop=0.05: 40 groups that measure", "Give 118 groups or more"],
            id="too-few-groups",
        ),
        pytest.param(
            Target("accuracy", 0.99),
            1,
            ["accuracy=0.99: 200 samples that measure", "Give 598 samples or more"],
            id="too-few-for-a-floor",
        ),
        pytest.param(
            Target("macs", 0.19),
            1,
            ["macs=0.19: the first exit alone takes more", "Ask for macs=0.2000 or more"],
            id="below-the-first-exit",
        ),
    ],
)
def test_what_cannot_be_shown_is_refused(target: Target, size: int, parts: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        choose(*cut(draw(400, 0, size)), [target])
    message = str(caught.value)
    assert all(part in message for part in parts), message
    assert "\n" not in message


def test_samples_without_a_score_count_in_the_smallest_macs() -> None:
    data = draw(400, 0)
    data.sureness[::4] = np.nan
    with pytest.raises(InputError, match=r"macs=0\.3: .* Ask for macs=0\.[45]\d{3}") as caught:
        choose(*cut(data), [Target("macs", 0.3)])
    smallest = float(str(caught.value).split("macs=")[2].split()[0])
    search, measure = cut(data)
    (chosen,) = choose(search, measure, [Target("macs", smallest)])
    assert (
        max(half.outcome(chosen.thresholds).cost for half in (search, measure)) <= smallest + 1e-9
    )


def test_so_many_samples_are_enough_where_nothing_is_lost() -> None:
    data = draw(598, 0)
    data.right[:] = True
    (chosen,) = choose(*cut(data), [Target("drop", 0.01)])
    assert (chosen.thresholds[0] == -np.inf).all()


def test_a_floor_too_high_names_the_nearest_that_can_be_asked() -> None:
    search, measure = cut(draw(4000, 0))
    with pytest.raises(InputError) as caught:
        choose(search, measure, [Target("accuracy", 0.98)])
    dense = measure.right[:, -1]
    nearest = f"{np.floor(least_right(dense) * 1e4) / 1e4:.4f}"
    assert f"the dense network has {dense.mean():.4f}" in str(caught.value)
    assert f"Ask for accuracy={nearest} or less" in str(caught.value)
    assert choose(search, measure, [Target("accuracy", float(nearest))])
