from __future__ import annotations

import pytest

from tests.targets.trt.legal import assert_builds, assert_refused, checked, parse

CHOICE = """[choice] h = If (t) <
    then_branch = on () => (float[2] a) { a = Slice (x, zero, two, zero) },
    else_branch = off () => (float[4] b) { b = Relu (x) }>"""


def graph(body: str) -> str:
    return (
        "main (bool t, bool u, float[4] x) => (float y) <int64[1] zero = {0}, int64[1] two = {2}>"
        f" {{ {body} }}"
    )


def other(then: str) -> str:
    return f"""y = If (u) <
        then_branch = on2 () => (float c) {{ {then} }},
        else_branch = off2 () => (float d) {{ d = ReduceMax <keepdims = 0> (x) }}>"""


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(CHOICE + other("c = ReduceSum <keepdims = 0> (h)"), id="read in a branch"),
        pytest.param(other(CHOICE + " c = ReduceSum <keepdims = 0> (h)"), id="stands in one"),
        pytest.param(
            CHOICE + " q = ReduceSum <keepdims = 0> (h) " + other("c = Relu (q)"),
            id="what follows from it is read in one",
        ),
    ],
)
def test_sizes_that_vary_are_refused_where_branches_read_them(body: str) -> None:
    assert_refused(parse(graph(body)), "'choice'", "different sizes", "padded")


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(CHOICE + " y = ReduceSum <keepdims = 0> (h)", id="outside of branches"),
        pytest.param(
            CHOICE.replace(
                "float[2] a) { a = Slice (x, zero, two, zero)", "float[4] a) { a = Neg (x)"
            )
            + other("c = ReduceSum <keepdims = 0> (h)"),
            id="of one size",
        ),
    ],
)
def test_neighbours_build(body: str) -> None:
    assert_builds(checked(parse(graph(body))))
