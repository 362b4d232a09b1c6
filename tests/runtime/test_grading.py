from itertools import pairwise

import pytest

from dyncompile.knobs import Knob, Levels, Threshold
from dyncompile.manifest import Decision, OperatingPoint, Side
from dyncompile.runtime import Latency
from dyncompile.runtime.grading import grades_by_time

KNOBS: dict[str, Knob] = {"level": Levels((1, 2, 3)), "t": Threshold(0.5), "depth": Levels((1, 2))}


def on(knob: str, *macs: int) -> Decision:
    return Decision(f"on {knob}", "switch", (knob,), (), tuple(Side(n, 0) for n in macs))


def latency(point: OperatingPoint, ms: float) -> Latency:
    full = {"level": 0, "t": 0.5, "depth": 0, **point}
    return Latency(full, ms, ms, ms, 9, 9, drawn=False)


def order(points: list[tuple[OperatingPoint, float]], *decisions: Decision) -> list[int]:
    """Return the numbers of the points from worst to best."""
    grades = grades_by_time([latency(*each) for each in points], KNOBS, decisions)
    ranked = sorted(range(len(points)), key=grades.__getitem__)
    assert all(grades[low] < grades[high] for low, high in pairwise(ranked))
    return ranked


def levels(*ms: float) -> list[tuple[OperatingPoint, float]]:
    return [({"level": level}, each) for level, each in enumerate(ms)]


@pytest.mark.parametrize(
    ("points", "decisions", "wanted"),
    [
        pytest.param(levels(2, 3, 1), [], [2, 0, 1], id="by time"),
        pytest.param(levels(1, 3, 2), [on("level", 1, 4, 9)], [0, 1, 2], id="by work"),
        pytest.param(levels(3, 2, 1), [on("level", 1, 4, 9)], [0, 1, 2], id="all the other way"),
        pytest.param(levels(1, 2, 3), [on("level", 9, 4, 1)], [2, 1, 0], id="levels that fall"),
        pytest.param(levels(2, 3, 1), [on("level", 5, 5, 5)], [2, 0, 1], id="work alike"),
        pytest.param(levels(1, 3, 2), [on("x", 1, 4, 9)], [0, 2, 1], id="on data"),
        pytest.param(levels(1, 3, 2), [on("level", 1, 4)], [0, 2, 1], id="clamped"),
        pytest.param(
            levels(1, 3, 2), [on("level", 1, 1, 1), on("level", 0, 1, 2)], [0, 1, 2], id="together"
        ),
        pytest.param(
            [({"level": 0, "t": 0.9}, 4), ({"level": 1, "t": 0.1}, 1), ({"level": 1, "t": 0.9}, 3)],
            [on("level", 1, 4, 9)],
            [1, 0, 2],
            id="a threshold besides",
        ),
        pytest.param(
            [
                ({"level": 0, "depth": 1}, 5),
                ({"level": 1, "depth": 0}, 1),
                ({"level": 1, "depth": 1}, 3),
            ],
            [on("level", 1, 4, 9), on("depth", 2, 8)],
            [1, 0, 2],
            id="two levels",
        ),
    ],
)
def test_what_takes_longer_is_better_but_a_level_with_more_work_always(
    points: list[tuple[OperatingPoint, float]], decisions: list[Decision], wanted: list[int]
) -> None:
    assert order(points, *decisions) == wanted


def test_one_point_twice_is_graded_alike() -> None:
    low, high = grades_by_time([latency({"level": 1}, 2)] * 2, KNOBS, [on("level", 1, 4, 9)])
    assert low == high == 2
