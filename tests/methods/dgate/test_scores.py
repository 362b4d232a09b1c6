"""Scores against their definitions, and which side of a threshold lets a sample out."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
import torch
from torch import Tensor

from dyncompile.errors import InputError
from dyncompile.methods.dgate.scores import SCORES, score_from_name
from tests.methods.dgate.networks import score_by_hand

NAMES = ("margin", "distance", "softmax", "entropy", "patience")
every_score = pytest.mark.parametrize("name", NAMES)


def drawn(seed: int = 0) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Draw logits of two classes or more, weights, and logits of three gates before."""
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(3, 6, generator=generator)
    logits, *earlier = 4 * torch.randn(4, 50, 3, generator=generator)
    return logits, weight, earlier


def test_these_are_the_scores() -> None:
    assert tuple(SCORES) == NAMES


@every_score
def test_a_score_is_what_its_definition_says(name: str) -> None:
    logits, weight, earlier = drawn()
    got = SCORES[name](logits, weight, earlier)
    rows = zip(logits.numpy(), *(each.numpy() for each in earlier), strict=True)
    wanted = [score_by_hand(name, row, weight.numpy(), before) for row, *before in rows]
    assert got.shape == (50,)
    np.testing.assert_allclose(got.numpy(), wanted, rtol=1e-5, atol=1e-6)
    assert len(set(got.tolist())) > 2, "the samples tell scores apart"
    assert SCORES[name].low <= min(wanted)
    assert max(wanted) <= SCORES[name].high


@every_score
def test_half_precision_scores_are_compared_in_single_precision(name: str) -> None:
    logits, weight, earlier = drawn()
    logits, weight, earlier = logits.half(), weight.half(), [each.half() for each in earlier]
    got = SCORES[name](logits, weight, earlier)
    assert got.dtype == torch.float32
    wanted = SCORES[name](logits.float(), weight.float(), [each.float() for each in earlier])
    assert torch.equal(got, wanted)


def test_half_precision_neither_underflows_nor_overflows() -> None:
    small = torch.full((2, 4), 1e-4).half()
    assert SCORES["distance"](torch.ones(1, 2).half(), small).item() == pytest.approx(5e3, rel=0.01)
    far = torch.tensor([[6e4, -6e4]]).half()
    assert SCORES["entropy"](far, small).tolist() == [0]


def test_patience_counts_the_gates_directly_before() -> None:
    a, b = torch.tensor([[2.0, 1.0]]), torch.tensor([[1.0, 2.0]])
    patience, weight = SCORES["patience"], torch.ones(2, 1)
    counts = [
        patience(a, weight, []),
        patience(a, weight, [a]),
        patience(a, weight, [b]),
        patience(a, weight, [a, a, a]),
        patience(a, weight, [a, b, a]),
        patience(a, weight, [a, a, b]),
    ]
    assert [int(count) for count in counts] == [0, 1, 0, 3, 1, 0]


def test_distance_does_not_change_when_the_weights_of_a_class_are_scaled() -> None:
    logits, weight, _ = drawn()
    scale = torch.tensor([0.01, 1.0, 300.0])
    scaled = SCORES["distance"](logits * scale, weight * scale[:, None])
    torch.testing.assert_close(scaled, SCORES["distance"](logits, weight))
    margin = SCORES["margin"](logits * scale, weight * scale[:, None])
    assert not torch.allclose(margin, SCORES["margin"](logits, weight))


def test_a_gate_without_weights_has_no_distance_but_no_nan_either() -> None:
    assert SCORES["distance"](torch.zeros(1, 2), torch.zeros(2, 3)).tolist() == [0]


def test_entropy_of_a_sure_gate_is_zero_and_not_nan() -> None:
    sure = torch.tensor([[1e4, 0.0, -1e4]])
    assert SCORES["entropy"](sure, torch.ones(3, 1)).tolist() == [0]
    assert SCORES["entropy"](torch.zeros(1, 3), torch.ones(3, 1)).item() == pytest.approx(
        math.log(3)
    )


@every_score
def test_nan_never_fires(name: str) -> None:
    score, nothing = SCORES[name], torch.full((2, 3), torch.nan)
    values = score(nothing, torch.ones(3, 4), [torch.zeros(2, 3)])
    assert values.isnan().all()
    for threshold in (-math.inf, 0.0, math.inf):
        assert not score.fires(values, threshold).any()


@every_score
def test_always_and_never_are_what_they_say(name: str) -> None:
    score = SCORES[name]
    values = score(*drawn())
    assert score.fires(values, score.always).all()
    assert not score.fires(values, score.never).any()


@every_score
def test_a_gate_fires_on_the_sure_side_of_its_threshold_and_on_it(name: str) -> None:
    score = SCORES[name]
    below = name == "entropy"
    values = torch.tensor([0.0, 1.0, 2.0])
    assert score.fires(values, 1.0).tolist() == [below, True, not below]


@every_score
def test_the_stricter_of_two_thresholds_is_the_one_fewer_pass(name: str) -> None:
    score = SCORES[name]
    values = score(*drawn())
    one, other = values[0], values[1]
    both = score.fires(values, one) & score.fires(values, other)
    assert torch.equal(score.fires(values, score.stricter(one, other)), both)


@every_score
def test_sureness_orders_scores_and_thresholds_alike_and_turns_back(name: str) -> None:
    score = SCORES[name]
    values = score(*drawn())
    threshold = float(values.median())
    passed = score.sureness(values) >= score.sureness(threshold)
    assert torch.equal(passed, score.fires(values, threshold))
    assert torch.equal(score.sureness(score.sureness(values)), values)
    assert score.sureness(score.always) == -math.inf


@every_score
def test_a_score_can_be_pickled(name: str) -> None:
    assert pickle.loads(pickle.dumps(SCORES[name])) == SCORES[name]


def test_an_unknown_score_is_answered_with_those_there_are() -> None:
    with pytest.raises(InputError, match=r"score 'sure': .*margin, distance, softmax, entropy"):
        score_from_name("sure")
