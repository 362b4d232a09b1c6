from __future__ import annotations

import pytest

from dyncompile.passes.check_depth import CheckDepth
from dyncompile.targets.trt.passes import DEEPEST
from tests.targets.trt.legal import assert_builds, assert_refused, checked, parse, parser_accepts

CONSTANTS = (
    "float s = {0.1}, int8 z = {0}, int64[1] four = {4}, int64[1] n0 = {0}, int64[1] n2 = {2}"
)


def branches(then: str, otherwise: str, *, condition: str = "bool", result: str = "float") -> str:
    """Write an If; the first result of each branch is summed up to ``result``."""
    end = f"y = ReduceSum <keepdims = 0> ({'f' if result == 'int8' else 'h'})"
    dequantised = "f = DequantizeLinear (h, s, z)" if result == "int8" else ""
    return f"""main ({condition} take, float[1,4] x) => (float y) <{CONSTANTS}> {{
        [choice] h = If (take) <
            then_branch = on () => {then},
            else_branch = off () => {otherwise}>
        {dequantised} {end}
    }}"""


RELU = "(float[1,4] a) { a = Relu (x) }"
NEG = "(float[1,4] b) { b = Neg (x) }"
HALF = "(float16[1,4] b) { b = Cast <to = 10> (x) }"
ROW = "(float[4] b) { b = Reshape (x, four) }"
TWO = "(float[1,4] b, float[1,4] c) { b = Neg (x) c = Abs (x) }"
QUANTISED = "(int8[1,4] a) { r = Relu (x) a = QuantizeLinear (r, s, z) }"
QUANTISED_TOO = "(int8[1,4] b) { b = QuantizeLinear (x, s, z) }"


@pytest.mark.parametrize(
    ("graph", "words"),
    [
        pytest.param(branches(RELU, TWO), ["1 and 2 values"], id="number"),
        pytest.param(branches(RELU, HALF), ["float and float16"], id="type"),
        pytest.param(branches(RELU, ROW), ["different ranks"], id="rank"),
        pytest.param(
            branches(QUANTISED, QUANTISED_TOO, result="int8"), ["quantised to int8"], id="quantised"
        ),
        pytest.param(branches(RELU, NEG, condition="bool[2]"), ["one element"], id="two decisions"),
        pytest.param(branches(RELU, NEG, condition="bool[n]"), ["once per row"], id="any number"),
    ],
)
def test_branches_that_differ_are_refused(graph: str, words: list[str]) -> None:
    assert_refused(parse(graph), "choice", *words)


@pytest.mark.parametrize(
    "graph",
    [
        pytest.param(branches(RELU, NEG), id="same"),
        pytest.param(branches(RELU, NEG, condition="bool[1]"), id="a decision of one element"),
        pytest.param(
            branches(RELU, "(float[1,2] b) { b = Slice (x, n0, n2, four) }").replace(
                "four = {4}", "four = {1}"
            ),
            id="other sizes of one rank",
        ),
        pytest.param(
            branches(RELU, ROW)
            .replace("bool take, ", "")
            .replace("float s", "bool take = {1}, float s"),
            id="a constant condition",
        ),
    ],
)
def test_branches_that_agree_build(graph: str) -> None:
    assert_builds(checked(parse(graph)))


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        pytest.param("bool[1,4]", "Greater (x, s)", "Less (x, s)", id="bool"),
        pytest.param("int64[1,4]", "Cast <to = 7> (x)", "Shape (x)", id="int64"),
        pytest.param("float16[1,4]", "Cast <to = 10> (x)", "Cast <to = 10> (x)", id="float16"),
    ],
)
def test_other_types_than_float_may_cross(kind: str, one: str, other: str) -> None:
    other = "Cast <to = 7> (x)" if other == "Shape (x)" else other
    model = parse(f"""main (bool take, float[1,4] x) => ({kind} y) <float s = {{0.5}}> {{
        y = If (take) <
            then_branch = on () => ({kind} a) {{ a = {one} }},
            else_branch = off () => ({kind} b) {{ b = {other} }}>
    }}""")
    assert_builds(checked(model))


def test_what_is_quantised_outside_may_be_dequantised_inside() -> None:
    model = parse("""main (bool take, float[1,4] x) => (float[1,4] y)
        <float s = {0.1}, int8 z = {0}> {
        q = QuantizeLinear (x, s, z)
        y = If (take) <
            then_branch = on () => (float[1,4] a) { a = DequantizeLinear (q, s, z) },
            else_branch = off () => (float[1,4] b) { b = Relu (x) }>
    }""")
    assert_builds(checked(model))


def nested(depth: int) -> str:
    """Write Ifs inside of each other."""
    body = f"o{depth} = Relu (x)"
    for i in reversed(range(depth)):
        body = f"""c{i} = Greater (x, limit) d{i} = Squeeze (c{i}) o{i} = If (d{i}) <
            then_branch = on{i} () => (float[1] o{i + 1}) {{ {body} }},
            else_branch = off{i} () => (float[1] p{i}) {{ p{i} = Neg (x) }}>"""
    return f"main (float[1] x) => (float[1] o0) <float[1] limit = {{0}}> {{ {body} }}"


def test_the_parser_reads_as_deep_as_we_allow_and_no_deeper() -> None:
    deepest, deeper = parse(nested(DEEPEST)), parse(nested(DEEPEST + 1))
    assert parser_accepts(checked(deepest))
    assert not parser_accepts(deeper)
    assert not CheckDepth(DEEPEST)(deepest).modified
    assert_refused(deeper, "decision", "24 deep")
