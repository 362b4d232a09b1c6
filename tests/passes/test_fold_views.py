from __future__ import annotations

import pytest

from dyncompile.passes import FoldViews
from tests.support import assert_rewrites, assert_untouched, parse

W = "float[2,2] w = {1, 2, 3, 4}"


def graph(constants: str, body: str, inputs: str = "float[1,2] x") -> str:
    return f"main ({inputs}) => (float[M,N] y) <{constants}> {{ {body} }}"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            graph(f"{W}, int64[2] d = {{2, 2}}", "v = Reshape (w, d) y = MatMul (x, v)"),
            graph(f"{W}, int64[2] d = {{2, 2}}", "y = MatMul (x, w)"),
        ),
        (
            graph(
                "float[4] w = {1, 2, 3, 4}, int64[2] d = {2, -1}",
                "v = Reshape (w, d) y = MatMul (x, v)",
            ),
            graph(
                "float[4] w = {1, 2, 3, 4}, int64[2] d = {2, -1}, float[2,2] v = {1, 2, 3, 4}",
                "y = MatMul (x, v)",
            ),
        ),
        (
            graph(
                f"{W}, int64[1] a = {{0}}, int64[1] b = {{1}}, int64[1] c = {{1}}",
                "v = Slice (w, a, b, c) y = MatMul (x, v)",
            ),
            graph(
                f"{W}, int64[1] a = {{0}}, int64[1] b = {{1}}, int64[1] c = {{1}},"
                " float[2,1] v = {1, 3}",
                "y = MatMul (x, v)",
            ),
        ),
        (
            graph(
                f"{W}, int64[1] a = {{-1}}, int64[1] b = {{-9}}, int64[1] c = {{1}},"
                " int64[1] s = {-1}",
                "v = Slice (w, a, b, c, s) y = MatMul (x, v)",
            ),
            graph(
                f"{W}, int64[1] a = {{-1}}, int64[1] b = {{-9}}, int64[1] c = {{1}},"
                " int64[1] s = {-1}, float[2,2] v = {2, 1, 4, 3}",
                "y = MatMul (x, v)",
            ),
        ),
    ],
    ids=["the same shape", "another shape", "a slice", "a slice backwards"],
)
def test_views_of_weights_become_weights(before: str, after: str) -> None:
    assert_rewrites(FoldViews(), before, after)


@pytest.mark.parametrize(
    "text",
    [
        graph(
            "int64[2] d = {2, 2}",
            "v = Reshape (w, d) y = MatMul (x, v)",
            "float[1,2] x, float[4] w",
        ),
        graph(W, "v = Reshape (w, d) y = MatMul (x, v)", "float[1,2] x, int64[2] d"),
        graph(f"{W}, int64[2] d = {{2, 2}}", "y = Reshape (w, d)"),
        graph(
            f"{W}, int64[2] d = {{2, 2}}",
            "take = Constant <value = bool {1}> () y = If (take) <"
            "then_branch = on () => (float[M,N] p) { v = Reshape (w, d) p = MatMul (x, v) },"
            "else_branch = off () => (float[M,N] q) { q = Identity (x) }>",
        ),
    ],
    ids=["an input", "a computed shape", "an output", "in a branch"],
)
def test_other_views_stay(text: str) -> None:
    assert_untouched(FoldViews(), text)


def test_a_view_without_axes_stays_one() -> None:
    model = parse(graph("float[1] w = {3}, int64[0] d = {}", "v = Reshape (w, d) y = Mul (x, v)"))
    FoldViews()(model)
    folded = model.graph.initializers["v"].const_value
    assert folded is not None
    assert folded.numpy().shape == ()
