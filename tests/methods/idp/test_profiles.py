"""Profiles, against their formulas written out."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from dyncompile.errors import InputError
from dyncompile.methods.idp.profiles import PROFILES, coefficients


@pytest.mark.parametrize(
    ("profile", "wanted"),
    [
        pytest.param("all-one", [1, 1, 1, 1, 1], id="all-one"),
        pytest.param("harmonic", [1, 1 / 2, 1 / 3, 1 / 4, 1 / 5], id="harmonic"),
        pytest.param("linear", [1, 0.8, 0.6, 0.4, 0.2], id="linear"),
        pytest.param("exponential", [math.exp(-i) for i in range(5)], id="exponential"),
        pytest.param("half-exponential", [1, 1, 1, math.exp(-1), math.exp(-2)], id="half"),
        pytest.param((1, 0.5), [1, 1, 1, 0.5, 0.5], id="plateaus"),
        pytest.param(lambda n: np.linspace(2, 1, n), [2, 1.75, 1.5, 1.25, 1], id="function"),
    ],
)
def test_a_profile_is_its_formula(profile: Any, wanted: list[float]) -> None:  # noqa: ANN401
    np.testing.assert_allclose(coefficients(profile, 5), wanted, rtol=1e-6)


@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize("channels", [1, 2, 513], ids=str)
def test_no_profile_rises_or_ends_below_0(name: str, channels: int) -> None:
    found = coefficients(name, channels)
    assert found.shape == (channels,)
    assert found[0] == 1
    assert (np.diff(found) <= 0).all()
    assert found[-1] >= 0


def test_plateaus_are_as_long_as_each_other_and_there_may_be_more_than_channels() -> None:
    found = coefficients((1, 0.75, 0.5, 0.25), 12)
    assert found.tolist() == [1] * 3 + [0.75] * 3 + [0.5] * 3 + [0.25] * 3
    assert coefficients((4, 3, 2, 1), 2).tolist() == [4, 2]


def test_what_float32_products_would_lose_is_0() -> None:
    found = coefficients("exponential", 200)
    assert found[60] > 0
    assert found[100] == 0


@pytest.mark.parametrize(
    ("profile", "said"),
    [
        pytest.param("linera", "there is no profile of this name", id="unknown"),
        pytest.param((), "this is no profile", id="empty"),
        pytest.param(("a",), "this is no profile", id="words"),
        pytest.param(3, "this is no profile", id="number"),
        pytest.param((0.5, 1), "never rise", id="rising"),
        pytest.param((1, -1), "never rise", id="negative"),
        pytest.param((0, 0), "never rise", id="zero"),
        pytest.param((1, math.nan), "never rise", id="nan"),
        pytest.param(lambda n: [1] * (n - 1), "not as many numbers", id="too few"),
    ],
)
def test_what_is_no_profile_is_refused_in_a_line(profile: Any, said: str) -> None:  # noqa: ANN401
    with pytest.raises(InputError, match=said) as error:
        coefficients(profile, 4)
    assert "\n" not in str(error.value)
