import math

import pytest

from dyncompile.methods.binomial import upper_limit


def at_most(count: int, total: int, share: float) -> float:
    return sum(
        math.comb(total, k) * share**k * (1 - share) ** (total - k) for k in range(count + 1)
    )


@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.999], ids=str)
@pytest.mark.parametrize(
    ("count", "total"),
    [
        pytest.param(0, 1, id="none-of-one"),
        pytest.param(0, 40, id="none"),
        pytest.param(1, 40, id="one"),
        pytest.param(17, 40, id="some"),
        pytest.param(39, 40, id="all-but-one"),
        pytest.param(3, 1000, id="few-of-many"),
    ],
)
def test_so_few_are_seen_at_the_limit_with_the_probability_left(
    count: int, total: int, confidence: float
) -> None:
    share = upper_limit(count, total, confidence)
    assert at_most(count, total, share) == pytest.approx(1 - confidence, rel=1e-8)


def test_the_rule_of_three() -> None:
    assert upper_limit(0, 300, 0.95) == pytest.approx(1 - 0.05 ** (1 / 300), rel=1e-9)


def test_nothing_is_excluded_where_all_are_seen() -> None:
    assert upper_limit(7, 7, 0.95) == 1


def test_counts_need_not_be_whole() -> None:
    limits = [upper_limit(count, 50.5, 0.95) for count in (1, 1.5, 2)]
    assert limits == sorted(limits)
    assert upper_limit(1.5, 60.5, 0.95) < limits[1]


def test_large_counts_are_as_the_normal_distribution_has_them() -> None:
    expected = 0.1 + 1.6449 * math.sqrt(0.09 / 1e6)
    assert upper_limit(1e5, 1e6, 0.95) == pytest.approx(expected, rel=1e-4)
