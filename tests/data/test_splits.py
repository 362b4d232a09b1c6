from __future__ import annotations

import re

import pytest
import torch

from dyncompile.data.splits import cut_in_proportion
from dyncompile.errors import InputError

LABELS = torch.tensor([0] * 60 + [1] * 30 + [2] * 10)


def test_every_class_is_in_proportion() -> None:
    rest, drawn = cut_in_proportion(LABELS, 20, 0, name="test")
    assert LABELS[drawn].bincount().tolist() == [12, 6, 2]
    assert sorted([*rest.tolist(), *drawn.tolist()]) == list(range(100))


def test_a_seed_gives_the_same_cut() -> None:
    first, again, other = (
        cut_in_proportion(LABELS, 20, seed, name="test")[1] for seed in (3, 3, 4)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_nothing_is_drawn_of_zero() -> None:
    rest, drawn = cut_in_proportion(LABELS, 0, 0, name="test")
    assert torch.equal(rest, torch.arange(100))
    assert len(drawn) == 0


@pytest.mark.parametrize(
    ("labels", "size", "seed", "message"),
    [
        pytest.param(LABELS, 100, 0, "test: 100 images cannot .* from 3 to 97", id="all of them"),
        pytest.param(LABELS, 2, 0, "test: 2 images cannot .* from 3 to 97", id="too few"),
        pytest.param(LABELS, -1, 0, "test: -1 images cannot", id="negative"),
        pytest.param(LABELS[:61], 20, 0, "has 1.* at least two of each", id="a lone image"),
        pytest.param(LABELS[:0], 5, 0, "out of 0 .* add images", id="no images"),
        pytest.param(LABELS, 20, -1, "seed: -1 is no seed", id="negative seed"),
        pytest.param(LABELS, 20, 2**32, "seed: 4294967296 is no seed", id="large seed"),
    ],
)
def test_what_cannot_be_cut_is_refused(
    labels: torch.Tensor, size: int, seed: int, message: str
) -> None:
    with pytest.raises(InputError) as refused:
        cut_in_proportion(labels, size, seed, name="test")
    assert re.search(message, str(refused.value))
    assert "\n" not in str(refused.value)
