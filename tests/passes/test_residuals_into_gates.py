import pytest

from dyncompile.passes import ResidualsIntoGates
from tests.support import assert_rewrites, assert_untouched

HEAD = "main (bool[1] take, float[1,4] x) => (float[1,4] y)"


@pytest.mark.parametrize(
    ("gate", "chosen", "add", "total"),
    [
        pytest.param("f, zero", '"y.on", x', "x, g", "x, f", id="zero if not taken"),
        pytest.param("zero, f", 'x, "y.on"', "x, g", "x, f", id="zero if taken"),
        pytest.param("f, zero", '"y.on", x', "g, x", "f, x", id="gate first"),
    ],
)
def test_adding_a_gated_branch_becomes_gating_the_sum(
    gate: str, chosen: str, add: str, total: str
) -> None:
    values = "<float[1,4] f, float[1,4] g, float[1,4] zero = {0, 0, 0, 0}>"
    assert_rewrites(
        ResidualsIntoGates(),
        before=f"""{HEAD} {values} {{
            f = Relu (x)
            g = dyncompile.Gate <name = "d"> (take, {gate})
            y = Add ({add})
        }}""",
        after=f"""{HEAD} {values[:-1]}, float[1,4] "y.on"> {{
            f = Relu (x)
            "y.on" = Add ({total})
            y = dyncompile.Gate <name = "d"> (take, {chosen})
        }}""".replace("float[1,4] g, ", ""),
    )


@pytest.mark.parametrize(
    "graph",
    [
        pytest.param(
            HEAD
            + """ <float[1,4] f, float[1,4] one = {1, 1, 1, 1}> {
                f = Relu (x)
                g = dyncompile.Gate <name = "d"> (take, f, one)
                y = Add (x, g)
            }""",
            id="the other side is not zero",
        ),
        pytest.param(
            """main (bool[1] take, float[1,4] x) => (float[1,4] y, float[1,4] g)
            <float[1,4] f, float[1,4] zero = {0, 0, 0, 0}> {
                f = Relu (x)
                g = dyncompile.Gate <name = "d"> (take, f, zero)
                y = Add (x, g)
            }""",
            id="the gate is used elsewhere",
        ),
        pytest.param(
            """main (bool[1] take, float[1,4] x, float[4] b) => (float[1,4] y)
            <float[1,4] f, float[1,4] zero = {0, 0, 0, 0}> {
                f = Relu (x)
                g = dyncompile.Gate <name = "d"> (take, f, zero)
                y = Add (b, g)
            }""",
            id="the other term is broadcast",
        ),
        pytest.param(
            """main (bool[1] take, float[?,4] x, float[?,4] z) => (float[?,4] y)
            <float[?,4] f, float[?,4] g, float[?,4] zero, int64[2] s> {
                f = Relu (z)
                s = Shape (z)
                zero = ConstantOfShape (s)
                g = dyncompile.Gate <name = "d"> (take, f, zero)
                y = Add (x, g)
            }""",
            id="the other term may be broadcast",
        ),
    ],
)
def test_leaves_alone(graph: str) -> None:
    assert_untouched(ResidualsIntoGates(), graph)
