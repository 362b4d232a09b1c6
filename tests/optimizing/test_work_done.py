from collections import Counter

import pytest

from dyncompile.optimizing.work_done import adds_work, operators_along
from tests.lowered import nested, switched


@pytest.mark.parametrize(
    ("path", "own"),
    [
        pytest.param({"outer": 1, "inner": 0, "exit": 1}, {"Identity", "Abs"}, id="leaving"),
        pytest.param({"outer": 0, "inner": 0, "exit": 0, "deep": 1}, {"Exp"}, id="going on"),
        pytest.param({"outer": 0, "inner": 0, "exit": 0}, {"Exp", "Tanh"}, id="not chosen: both"),
    ],
)
def test_counts_what_a_path_runs(path: dict[str, int], own: set[str]) -> None:
    found = operators_along(nested().graph, path)
    assert own <= set(found)
    assert not (set(found) & {"Abs", "Exp", "Tanh", "Relu", "Neg"}) - own
    assert found["If"] >= 3


@pytest.mark.parametrize(
    ("level", "op_type"), [(0, "Abs"), (1, "Neg"), (2, "Exp")], ids=["low", "middle", "high"]
)
def test_follows_a_switch(level: int, op_type: str) -> None:
    found = operators_along(switched().graph, {"level": level})
    assert set(found) & {"Abs", "Neg", "Exp"} == {op_type}


def test_copies_and_views_are_no_work() -> None:
    before = Counter(["MatMul", "Relu"])
    assert not adds_work(before, Counter(["MatMul", "Identity", "Reshape"]))
    assert adds_work(before, Counter(["MatMul", "MatMul"]))
    assert adds_work(before, Counter(["Gather"]))
