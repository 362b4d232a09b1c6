from __future__ import annotations

import pytest

from tests.targets.trt.legal import assert_builds, assert_refused, checked, parse

KERNEL = "{" + ", ".join(["0.5"] * 16) + "}"
STACK = "{" + ", ".join(["0.5"] * 32) + "}"
CONSTANTS = (
    f"float[4,4,1,1] w = {KERNEL}, float[2,4,4,1,1] stack = {STACK}, int64[1] zero = {{0}},"
    " int64[1] one = {1}, int64[1] two = {2}"
)
IMAGE = "float[1,4,3,3]"


def graph(body: str, *inputs: str) -> str:
    listed = ", ".join([f"{IMAGE} x", *inputs])
    return f"main ({listed}) => (float[1,m,3,3] y) <{CONSTANTS}> {{ {body} }}"


@pytest.mark.parametrize(
    ("body", "inputs"),
    [
        pytest.param(
            "v = Slice (w, zero, k, zero) [n] y = Conv (x, v)", ["int64[1] k"], id="fewer filters"
        ),
        pytest.param(
            "v = Slice (w, zero, k, one) u = Slice (x, zero, k, one) [n] y = Conv (u, v)",
            ["int64[1] k"],
            id="fewer channels",
        ),
        pytest.param("[n] y = Conv (x, v)", ["float[f,4,1,1] v"], id="an input of any size"),
        pytest.param(
            """v = If (t) <
                then_branch = on () => (float[4,4,1,1] a) { a = Identity (w) },
                else_branch = off () => (float[2,4,1,1] b) { b = Slice (w, zero, two, zero) }>
            [n] y = Conv (x, v)""",
            ["bool t"],
            id="a choice",
        ),
    ],
)
def test_kernels_that_change_are_refused(body: str, inputs: list[str]) -> None:
    assert_refused(parse(graph(body, *inputs)), "'n'", "channels", "--budgets switch")


@pytest.mark.parametrize(
    ("body", "inputs"),
    [
        pytest.param("v = Slice (w, zero, two, zero) y = Conv (x, v)", [], id="cut for good"),
        pytest.param("v = Gather (stack, k) y = Conv (x, v)", ["int64 k"], id="one of a stack"),
        pytest.param("y = Conv (x, v)", ["float[4,4,1,1] v"], id="an input"),
        pytest.param(
            """v = If (t) <
                then_branch = on () => (float[4,4,1,1] a) { a = Identity (w) },
                else_branch = off () => (float[4,4,1,1] b) { b = Neg (w) }>
            y = Conv (x, v)""",
            ["bool t"],
            id="a choice of one shape",
        ),
    ],
)
def test_kernels_of_one_shape_build(body: str, inputs: list[str]) -> None:
    assert_builds(checked(parse(graph(body, *inputs))))


def test_products_of_matrices_may_be_cut() -> None:
    model = parse(
        f"main (float[1,4] x, int64[1] k) => (float[1,m] y) <float[4,4] w = {KERNEL},"
        " int64[1] zero = {0}, int64[1] one = {1}>"
        " { v = Slice (w, zero, k, one) y = MatMul (x, v) }"
    )
    assert_builds(checked(model))
