from __future__ import annotations

import math

import pytest

from tests.targets.trt.legal import assert_builds, assert_refused, checked, parse


def constant(name: str, *shape: int) -> str:
    numbers = ", ".join(["1"] * math.prod(shape))
    return f"float[{', '.join(map(str, shape))}] {name} = {{{numbers}}}"


CONSTANTS = ", ".join(
    [
        constant("w8", 4, 8, 1, 1),
        constant("w4", 4, 4, 1, 1),
        constant("m8", 8, 4),
        constant("m4", 4, 8),
        constant("v8", 8),
        "int64[1] zero = {0}, int64[1] four = {4}, int64[1] one = {1}",
        "int64[8] wide = {0, 0, 0, 0, 0, 4, 0, 0}",
    ]
)

# Eight channels on one side, four on the other.
CHOICE = """[choice] h = If (take) <
    then_branch = on () => (float[1,8,3,3] a) { a = Relu (x) },
    else_branch = off () => (float[1,4,3,3] b) { b = Slice (x, zero, four, one) }>"""
MATRICES = CHOICE.replace("[1,8,3,3]", "[1,8]").replace("[1,4,3,3]", "[1,4]")


def graph(body: str, shape: str = "1,8,3,3") -> str:
    return f"main (bool take, float[{shape}] x) => (float y) <{CONSTANTS}> {{ {body} }}"


SUM = "y = ReduceSum <keepdims = 0> (k)"


@pytest.mark.parametrize(
    ("body", "shape"),
    [
        pytest.param(f"{CHOICE} [n] k = Conv (h, w8) {SUM}", "1,8,3,3", id="Conv"),
        pytest.param(f"{CHOICE} r = Relu (h) [n] k = Conv (r, w8) {SUM}", "1,8,3,3", id="further"),
        pytest.param(
            f"{CHOICE} [n] k = ConvTranspose (h, w8) {SUM}".replace("w8", "w4"),
            "1,8,3,3",
            id="ConvTranspose",
        ),
        pytest.param(
            f"{CHOICE} [n] k = BatchNormalization (h, v8, v8, v8, v8) {SUM}", "1,8,3,3", id="norm"
        ),
        pytest.param(f"{MATRICES} [n] k = MatMul (h, m8) {SUM}", "1,8", id="MatMul"),
        pytest.param(f"{MATRICES} [n] k = Gemm (h, m8) {SUM}", "1,8", id="Gemm"),
        pytest.param(f"{MATRICES} [n] k = Gemm <transB = 1> (h, m4) {SUM}", "1,8", id="turned"),
    ],
)
def test_readers_of_one_side_only_are_refused(body: str, shape: str) -> None:
    assert_refused(parse(graph(body, shape)), "'n'", "channels", "'choice'", "_branch")


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(f"{CHOICE} k = Identity (h) {SUM}", id="summed up"),
        pytest.param(
            """h = If (take) <
                then_branch = on () => (float[1,4,3,3] a) { a = Conv (x, w8) },
                else_branch = off () => (float[1,4,3,3] b) {
                    c = Slice (x, zero, four, one) b = Conv (c, w4) }>
            k = Conv (h, w4) y = ReduceSum <keepdims = 0> (k)""",
            id="each its own weights",
        ),
        pytest.param(
            """h = If (take) <
                then_branch = on () => (float[1,8,3,3] a) { a = Relu (x) },
                else_branch = off () => (float[1,8,3,3] b) {
                    c = Slice (x, zero, four, one) b = Pad (c, wide) }>
            k = Conv (h, w8) y = ReduceSum <keepdims = 0> (k)""",
            id="padded",
        ),
        pytest.param(
            """h = If (take) <
                then_branch = on () => (float[1,8,3,3] a) { a = Relu (x) },
                else_branch = off () => (float[1,8,1,1] b) { b = GlobalMaxPool (x) }>
            k = Conv (h, w8) y = ReduceSum <keepdims = 0> (k)""",
            id="other sizes of images",
        ),
    ],
)
def test_neighbours_build(body: str) -> None:
    assert_builds(checked(parse(graph(body))))


def test_a_choice_that_a_branch_hands_on_is_looked_at() -> None:
    inner = CHOICE.replace("h = If", "i = If")
    body = f"""h = If (more) <
        then_branch = deep () => (float[1,8,3,3] i) {{ {inner} }},
        else_branch = flat () => (float[1,8,3,3] f) {{ f = Neg (x) }}>
    [n] k = Conv (h, w8) {SUM}"""
    model = parse(graph(body).replace("(bool take,", "(bool take, bool more,"))
    assert_refused(model, "'choice'", "different sizes")
