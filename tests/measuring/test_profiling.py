from __future__ import annotations

import pytest

from dyncompile.measuring.findings import ALWAYS
from dyncompile.measuring.profiling import attribute, usual_runs


def node(name: str, operator: str, start: int, us: int) -> dict[str, object]:
    return {
        "cat": "Node",
        "name": f"{name}_kernel_time",
        "ts": start,
        "dur": us,
        "args": {"op_name": operator},
    }


def graph(start: int, us: int) -> dict[str, object]:
    return {"cat": "Session", "name": "SequentialExecutor::Execute", "ts": start, "dur": us}


# stem; If(outer) { conv; If(inner) { deep } ; relu }; head: in the order in which they end
RUN = [
    node("stem", "Conv", 0, 5),
    node("conv_nchwc", "Conv", 7, 10),
    node("deep", "Gemm", 20, 4),
    graph(19, 6),
    node("inner.if", "If", 18, 8),
    node("relu", "Relu", 26, 1),
    graph(7, 21),
    node("outer.if", "If", 6, 23),
    node("head", "Gemm", 30, 3),
    graph(0, 34),
]
IFS = {"outer.if": "outer", "inner.if": "inner"}


def test_nodes_belong_to_the_innermost_if_around_them() -> None:
    parts = attribute([RUN], IFS, [{"outer": 1, "inner": 0}])
    assert {(part.decision, part.option): dict(part.operators) for part in parts} == {
        (ALWAYS, 0): {"Conv": 5, "Gemm": 3, "If": 2},
        ("outer", 1): {"Conv": 10, "If": 2, "Relu": 1},
        ("inner", 0): {"Gemm": 4},
    }
    assert [part.us for part in parts] == [13, 10, 4]


def test_an_if_without_a_decision_belongs_to_what_is_around_it() -> None:
    parts = attribute([RUN], IFS, [{"outer": 0}])
    assert {(part.decision, part.option): part.us for part in parts} == {
        (ALWAYS, 0): 10,
        ("outer", 0): 17,
    }


def test_calls_that_skip_a_part_count_too() -> None:
    short = [node("stem", "Conv", 0, 5), graph(0, 6)]
    parts = attribute([RUN, short], IFS, [{"outer": 1, "inner": 0}, {}])
    assert {part.decision: part.us for part in parts} == {
        ALWAYS: pytest.approx(7.5),
        "outer": pytest.approx(6.5),
        "inner": pytest.approx(2),
    }


def test_a_call_that_the_machine_stopped_does_not_count() -> None:
    stopped = [node("stem", "Conv", 0, 50_000), graph(0, 50_001)]
    short = [node("stem", "Conv", 0, 5), graph(0, 6)]
    other = [node("stem", "Conv", 0, 7), graph(0, 9)]
    passes = [stopped, other, short, stopped, short, other]
    assert usual_runs(passes, 2) == [short, other]
