from __future__ import annotations

import pytest

from tests.targets.trt.legal import assert_builds, assert_refused, checked, parse

STACK = "{" + ", ".join(["0.5"] * 48) + "}"
CONSTANTS = f"bool go = {{1}}, float[3,4,4] w = {STACK}, int64[1] zero = {{0}}, int64 one = {{1}}"


def loop(body: str, kind: str = "float[1,4]", result: str = "float[1,4]") -> str:
    return f"""main (int64 n, float[1,4] x) => (float[1,4] y) <{CONSTANTS}> {{
        [rounds] y = Loop (n, go, x) <body = round (int64 i, bool c, {kind} h)
            => (bool on, {result} next) {{ on = Identity (c) {body} }}>
    }}"""


CUT = """j = Add (i, one) u = Unsqueeze (i, zero) v = Unsqueeze (j, zero)
    [cut] s = Slice (w, u, v, zero) m = Squeeze (s, zero) next = MatMul (h, m)"""


@pytest.mark.parametrize(
    ("graph", "node", "words"),
    [
        pytest.param(
            loop("next = Concat <axis = 1> (h, h)", result="float[1,8]"),
            "rounds",
            ["shape"],
            id="it grows",
        ),
        pytest.param(
            loop("next = Cast <to = 10> (h)", result="float16[1,4]"),
            "rounds",
            ["float to float16"],
            id="another type",
        ),
        pytest.param(loop(CUT), "cut", ["Gather"], id="a slice per round"),
    ],
)
def test_loops_that_change_are_refused(graph: str, node: str, words: list[str]) -> None:
    assert_refused(parse(graph), node, *words)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("next = Relu (h)", id="one shape"),
        pytest.param("m = Gather (w, i) next = MatMul (h, m)", id="a weight per round"),
        pytest.param(
            "s = Slice (w, zero, last, zero) m = Squeeze (s, zero) next = MatMul (h, m)",
            id="the same slice in every round",
        ),
    ],
)
def test_loops_that_keep_what_they_carry_build(body: str) -> None:
    graph = loop(body).replace("int64 one", "int64[1] last = {1}, int64 one")
    assert_builds(checked(parse(graph)))
