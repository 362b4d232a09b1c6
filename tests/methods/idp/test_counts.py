"""How many channels a ratio keeps."""

from __future__ import annotations

from typing import Any

import pytest

from dyncompile.errors import InputError
from dyncompile.methods.idp.counts import (
    IncompleteLayer,
    check_ratios,
    count_at,
    explicit_counts,
)


@pytest.mark.parametrize(
    ("ratio", "channels", "multiple", "wanted"),
    [
        pytest.param(0.5, 64, 1, 32, id="half"),
        pytest.param(0.5, 9, 1, 4, id="rounded down"),
        pytest.param(0.1, 3, 1, 1, id="one at least"),
        pytest.param(0.29, 100, 1, 29, id="what floats lose is given back"),
        pytest.param(0.3, 64, 8, 24, id="rounded up to a multiple"),
        pytest.param(0.5, 64, 8, 32, id="a multiple stays"),
        pytest.param(0.9, 20, 8, 20, id="not more than there are"),
        pytest.param(1.0, 7, 1, 7, id="all"),
    ],
)
def test_a_ratio_keeps(ratio: float, channels: int, multiple: int, wanted: int) -> None:
    assert count_at(ratio, channels, multiple) == wanted


def test_a_flattened_map_is_cut_at_whole_channels() -> None:
    layer = IncompleteLayer("head", 10, 9, -1, (0.5, 1.0), (45, 90), 1)
    assert [layer.count(ratio) for ratio in (0.05, 0.25, 0.5, 1.0)] == [9, 18, 45, 90]


def test_between_counts_that_were_given_a_ratio_keeps_in_proportion() -> None:
    layer = IncompleteLayer("conv", 40, 1, 1, (0.5, 1.0), (30, 40), None)
    assert [layer.count(ratio) for ratio in (0.001, 0.25, 0.5, 0.75, 1.0)] == [1, 15, 30, 35, 40]


@pytest.mark.parametrize(
    "ratios",
    [
        pytest.param((), id="none"),
        pytest.param((0.5, 0.25), id="decreasing"),
        pytest.param((0.5, 0.5), id="twice"),
        pytest.param((0.0, 1.0), id="zero"),
        pytest.param((0.5, 1.5), id="above 1"),
        pytest.param((float("nan"),), id="nan"),
        pytest.param(("a",), id="word"),
        pytest.param(0.5, id="a number"),
    ],
)
def test_ratios_that_are_no_levels_are_refused(ratios: Any) -> None:  # noqa: ANN401
    with pytest.raises(InputError, match="above 0 and up to 1 that increase"):
        check_ratios(ratios)


@pytest.mark.parametrize(
    "counts",
    [
        pytest.param((4, 8), id="too few"),
        pytest.param((4, 2, 8), id="decreasing"),
        pytest.param((0, 2, 8), id="zero"),
        pytest.param((4, 8, 9), id="more than there are"),
        pytest.param((0.5, 0.7, 1.0), id="ratios"),
        pytest.param(4, id="a number"),
    ],
)
def test_counts_that_are_none_are_refused(counts: Any) -> None:  # noqa: ANN401
    with pytest.raises(InputError, match="numbers from 1 to 8, none below the one before"):
        explicit_counts("conv", counts, 3, 8)
