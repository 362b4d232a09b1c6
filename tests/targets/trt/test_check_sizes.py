from __future__ import annotations

import pytest

from tests.targets.trt.legal import assert_builds, assert_refused, checked, parse

CONSTANTS = (
    "int64[1] zero = {0}, int64[1] one = {1}, int64[1] two = {2}, int64[3] table = {1,2,4},"
    " int64 origin = {0}, int64 step = {1}, float[1] half = {0.5}, float limit = {0}"
)


def graph(body: str, inputs: str = "float[4] x", result: str = "float[m]") -> str:
    return f"main ({inputs}) => ({result} y) <{CONSTANTS}> {{ {body} }}"


COUNT = "s = ReduceSum <keepdims = 0> (x) c = Cast <to = 7> (s) k = Reshape (c, one)"


@pytest.mark.parametrize(
    "call",
    [
        pytest.param("[n] y = Slice (x, zero, k, zero)", id="Slice"),
        pytest.param("[n] y, i = TopK (x, k)", id="TopK"),
        pytest.param("l = Concat <axis = 0> (k, two) [n] y = Reshape (x, l)", id="Reshape"),
        pytest.param("[n] y = Expand (half, k)", id="Expand"),
        pytest.param("[n] y = Tile (x, k)", id="Tile"),
        pytest.param("[n] y = ConstantOfShape (k)", id="ConstantOfShape"),
        pytest.param("[n] r = Range (origin, c, step) y = Cast <to = 1> (r)", id="Range"),
    ],
)
def test_sizes_from_activations_are_refused(call: str) -> None:
    assert_refused(parse(graph(f"{COUNT} {call}")), "'n'", "values of the input 'x'")


@pytest.mark.parametrize(
    ("body", "inputs", "words"),
    [
        pytest.param(
            "e = Cast <to = 7> (k) [n] y = Slice (x, zero, e, zero)",
            "float[4] x, float[1] k",
            ["input 'k'", "integer inputs"],
            id="a ratio",
        ),
        pytest.param(
            "[n] y = Resize (m, , k)",
            "float[1,1,4,4] m, float[4] k",
            ["input 'k'"],
            id="scales that are fed",
        ),
        pytest.param(
            """e = If (t) <
                then_branch = on () => (int64[1] a) { a = Identity (one) },
                else_branch = off () => (int64[1] b) { b = Identity (two) }>
            [n] y = Slice (x, zero, e, zero)""",
            "bool t, float[4] x",
            ["depends on the If"],
            id="a choice",
        ),
        pytest.param(
            "e = Where (t, one, two) [n] y = Slice (x, zero, e, zero)",
            "bool[1] t, float[4] x",
            ["input 't'"],
            id="a choice by bool",
        ),
        pytest.param(
            """y = If (t) <
                then_branch = on () => (float[p] a) { [n] a = Slice (x, zero, k, zero) },
                else_branch = off () => (float[4] b) { b = Relu (x) }>""",
            "bool t, float[4] x, int64[1] k",
            ["in a branch", "--budgets switch"],
            id="an integer in a branch, which crashes the builder",
        ),
        pytest.param(
            "[n] y = ReduceSum (x, k)",
            "float[4] x, int64[1] k",
            ["'k'", "no constant"],
            id="axes that are fed",
        ),
        pytest.param(
            "[n] o = OneHot (i, k, d) y = Identity (o)".replace("d)", "x)"),
            "int64[4] i, int64[1] k, float[2] x",
            ["no constant"],
            id="a depth that is fed",
        ),
    ],
)
def test_other_sizes_are_refused(body: str, inputs: str, words: list[str]) -> None:
    assert_refused(parse(graph(body, inputs)), "'n'", *words)


@pytest.mark.parametrize(
    ("body", "inputs"),
    [
        pytest.param("y = Slice (x, zero, k, zero)", "float[4] x, int64[1] k", id="Slice"),
        pytest.param("y, i = TopK (x, k)", "float[4] x, int64[1] k", id="TopK"),
        pytest.param("y = Tile (x, k)", "float[4] x, int64[1] k", id="Tile"),
        pytest.param(
            "b = Less (k, l) e = Where (b, k, l) y = Slice (x, zero, e, zero)",
            "float[4] x, int64[1] k, int64[1] l",
            id="a choice by integers",
        ),
        pytest.param(
            "s = Shape (x) f = Cast <to = 1> (s) g = Mul (f, half) e = Cast <to = 7> (g)"
            " y = Slice (x, zero, e, zero)",
            "float[p] x",
            id="a part of what there is",
        ),
        pytest.param(
            """h = If (t) <
                then_branch = on () => (float[2] a) { a = Slice (x, zero, two, zero) },
                else_branch = off () => (float[4] b) { b = Relu (x) }>
            s = Shape (h) y = Expand (half, s)""",
            "bool t, float[4] x",
            id="the shape of what was chosen",
        ),
        pytest.param(
            """y = If (t) <
                then_branch = on () => (float[p] a) { s = Shape (x) a = Expand (half, s) },
                else_branch = off () => (float[p] b) { b = Relu (x) }>""",
            "bool t, float[p] x",
            id="shapes in a branch",
        ),
    ],
)
def test_sizes_from_shapes_and_integers_build(body: str, inputs: str) -> None:
    assert_builds(checked(parse(graph(body, inputs))))
