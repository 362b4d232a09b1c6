from __future__ import annotations

import pytest

from tests.targets.trt.legal import assert_builds, assert_refused, checked, parse


@pytest.mark.parametrize(
    ("graph", "where", "words"),
    [
        pytest.param(
            "main (double[4] x) => (double[4] y) { y = Relu (x) }",
            "input 'x'",
            ["float64", "float32"],
            id="float64 in",
        ),
        pytest.param(
            "main (float[4] x) => (double[4] y) { [n] y = Cast <to = 11> (x) }",
            "Cast 'n'",
            ["float64"],
            id="float64 out",
        ),
        pytest.param(
            "main (float[4] x) => (float[4] y) <double[4] c = {1,2,3,4}> {"
            " [n] d = Exp (c) e = Cast <to = 1> (d) y = Add (x, e) }",
            "Exp 'n'",
            ["float64"],
            id="computes in float64",
        ),
        pytest.param(
            "main (int16[4] x) => (float[4] y) { y = Cast <to = 1> (x) }",
            "input 'x'",
            ["int16"],
            id="int16",
        ),
        pytest.param(
            "main (float[4] x) => (string[4] y) { [n] y = Cast <to = 8> (x) }",
            "Cast 'n'",
            ["string"],
            id="strings",
        ),
        pytest.param(
            "main (uint8[4] x) => (uint8[4] y) { [n] y = Add (x, x) }", "x", ["uint8"], id="uint8"
        ),
    ],
)
def test_other_types_are_refused(graph: str, where: str, words: list[str]) -> None:
    assert_refused(parse(graph), where, *words)


@pytest.mark.parametrize(
    "graph",
    [
        pytest.param(
            "main (float[4] x) => (float[4] y) <double[4] c = {1,2,3,4}> {"
            " e = Cast <to = 1> (c) y = Add (x, e) }",
            id="a float64 constant that is cast",
        ),
        pytest.param(
            "main (uint8[4] x) => (float[4] y) { y = Cast <to = 1> (x) }", id="an image of uint8"
        ),
        pytest.param(
            "main (float[4] x) => (float[4] y) { h = Cast <to = 16> (x) r = Relu (h)"
            " y = Cast <to = 1> (r) }",
            id="bfloat16",
        ),
    ],
)
def test_neighbours_build(graph: str) -> None:
    assert_builds(checked(parse(graph)))
