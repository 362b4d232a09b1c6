import pytest

from dyncompile.passes import ActivationsIntoGates
from tests.support import assert_rewrites, assert_untouched

HEAD = "main (bool[1] take, float[1,4] x) => (float[1,4] y)"


def test_an_activation_is_applied_on_either_side() -> None:
    assert_rewrites(
        ActivationsIntoGates(),
        before=HEAD
        + """ {
            s = Neg (x)
            g = dyncompile.Gate <name = "d"> (take, s, x)
            y = Relu (g)
        }""",
        after=HEAD
        + """ <float[1,4] "y.off", float[1,4] "y.on"> {
            s = Neg (x)
            "y.off" = Relu (x)
            "y.on" = Relu (s)
            y = dyncompile.Gate <name = "d"> (take, "y.on", "y.off")
        }""",
    )


def test_equal_sides_share_one_activation() -> None:
    assert_rewrites(
        ActivationsIntoGates(),
        before=HEAD
        + """ {
            s = Neg (x)
            g = dyncompile.Gate <name = "d"> (take, s, s)
            y = Relu (g)
        }""",
        after=HEAD
        + """ {
            s = Neg (x)
            "y.on" = Relu (s)
            y = dyncompile.Gate <name = "d"> (take, "y.on", "y.on")
        }""",
    )


@pytest.mark.parametrize(
    "graph",
    [
        pytest.param(
            """main (bool[1] take, float[1,4] x) => (float[1,4] y, float[1,4] g) {
                s = Neg (x)
                g = dyncompile.Gate <name = "d"> (take, s, x)
                y = Relu (g)
            }""",
            id="the gate is an output too",
        ),
        pytest.param(
            HEAD
            + """ {
                s = Neg (x)
                g = dyncompile.Gate <name = "d"> (take, s, x)
                y = Softmax (g)
            }""",
            id="not element by element",
        ),
    ],
)
def test_leaves_alone(graph: str) -> None:
    assert_untouched(ActivationsIntoGates(), graph)
