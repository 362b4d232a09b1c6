from __future__ import annotations

import math
from typing import Any

import pytest

from dyncompile.errors import InputError
from dyncompile.training import Recipe


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        pytest.param("epochs", 0, "Give a whole number of at least 1.", id="no-epochs"),
        pytest.param("epochs", 1.5, "whole number", id="half-an-epoch"),
        pytest.param("lr", 0, "Give a number above 0.", id="no-rate"),
        pytest.param("lr", math.nan, "Give a number above 0.", id="rate-is-nan"),
        pytest.param("lr", math.inf, "Give a number above 0.", id="rate-is-infinite"),
        pytest.param("lr", "0.1", "Give a number above 0.", id="rate-in-words"),
        pytest.param("batch_size", 0, "at least 1", id="empty-batch"),
        pytest.param("optimizer", "adam", "Give 'sgd' or 'adamw'.", id="unknown-optimizer"),
        pytest.param("weight_decay", -1, "Give 0 or more.", id="negative-decay"),
        pytest.param("weight_decay", None, "Give 0 or more.", id="no-decay"),
        pytest.param("seed", -1, "from 0 to 2**32 - 1", id="negative-seed"),
        pytest.param("seed", 2**32, "from 0 to 2**32 - 1", id="large-seed"),
        pytest.param("precision", "float16", "Give 'float32' or 'bfloat16'.", id="precision"),
        pytest.param("workers", -1, "at least 0", id="negative-workers"),
    ],
)
def test_settings_out_of_range_are_refused(name: str, value: object, words: str) -> None:
    settings: dict[str, Any] = {"epochs": 1, "lr": 0.1, name: value}
    with pytest.raises(InputError) as caught:
        Recipe(**settings)
    assert str(caught.value).startswith(f"Recipe, {name}: {value!r} cannot be used.")
    assert words in str(caught.value)


def test_the_largest_seed_is_one() -> None:
    assert Recipe(epochs=1, lr=0.1, seed=2**32 - 1).seed == 4294967295
