import pytest

from dyncompile.passes import OrientGates
from tests.support import assert_rewrites, assert_untouched

HEAD = "main (bool[1] take, float[1,4] x) => (float[1,4] y, float[1,4] z)"


def test_a_gate_on_the_opposite_swaps_its_sides() -> None:
    assert_rewrites(
        OrientGates(),
        before=HEAD
        + """ {
            f = Relu (x)
            no = Not (take)
            y = dyncompile.Gate <name = "d"> (take, f, x)
            z = dyncompile.Gate <name = "e"> (no, f, x)
        }""",
        after=HEAD
        + """ {
            f = Relu (x)
            no = Not (take)
            y = dyncompile.Gate <name = "d"> (take, f, x)
            z = dyncompile.Gate <name = "e"> (take, x, f)
        }""",
    )


def test_a_change_of_shape_is_looked_through() -> None:
    values = "<bool[1,1] wide, bool[1] flat, int64[1] one = {1}, float[1,4] f>"
    head = "main (bool[1] take, float[1,4] x) => (float[1,4] y)"
    assert_rewrites(
        OrientGates(),
        before=f"""{head} {values} {{
            f = Relu (x)
            flat = Reshape (take, one)
            y = dyncompile.Gate <name = "d"> (flat, f, x)
        }}""",
        after=f"""{head} {values} {{
            f = Relu (x)
            flat = Reshape (take, one)
            y = dyncompile.Gate <name = "d"> (take, f, x)
        }}""",
    )


@pytest.mark.parametrize(
    "graph",
    [
        pytest.param(
            """main (bool[1] take, float[1,4] x) => (float[1,4] y) {
                f = Relu (x)
                no = Not (take)
                y = dyncompile.Gate <name = "d"> (no, f, x)
            }""",
            id="no gate decides on the thing itself",
        ),
        pytest.param(
            """main (bool[2] take, float[2,4] x) => (float[2,4] y)
            <bool[2] flat, int64[1] two = {2}> {
                f = Relu (x)
                flat = Reshape (take, two)
                y = dyncompile.Gate <name = "d"> (flat, f, x)
            }""",
            id="more than one decision",
        ),
    ],
)
def test_leaves_alone(graph: str) -> None:
    assert_untouched(OrientGates(), graph)
