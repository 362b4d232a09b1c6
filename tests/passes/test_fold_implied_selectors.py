import json

import pytest

from dyncompile.dialect import FOLDED
from dyncompile.passes import FoldImpliedSelectors
from tests.support import assert_rewrites, assert_untouched, parse

HEAD = "main (bool[1] take, float[1,4] x) => (float[1,4] y)"
NESTED = (
    HEAD
    + """ {
    a = Exp (x)
    g = dyncompile.Gate <name = "inner"> (take, a, x)
    f = Relu (g)
    y = dyncompile.Gate <name = "outer"> (take, f, x)
}"""
)


def test_a_gate_inside_its_own_branch_is_the_side_taken() -> None:
    assert_rewrites(
        FoldImpliedSelectors(),
        before=NESTED,
        after=HEAD
        + """ {
            a = Exp (x)
            f = Relu (a)
            y = dyncompile.Gate <name = "outer"> (take, f, x)
        }""",
    )


def test_one_use_of_a_gate_may_be_implied_and_another_not() -> None:
    head = "main (bool[1] take, float[1,4] x) => (float[1,4] y, float[1,4] z)"
    assert_rewrites(
        FoldImpliedSelectors(),
        before=head
        + """ {
            a = Exp (x)
            g = dyncompile.Gate <name = "d"> (take, a, x)
            f = Relu (g)
            y = dyncompile.Gate <name = "d"> (take, f, x)
            z = Neg (g)
        }""",
        after=head
        + """ {
            a = Exp (x)
            g = dyncompile.Gate <name = "d"> (take, a, x)
            f = Relu (a)
            y = dyncompile.Gate <name = "d"> (take, f, x)
            z = Neg (g)
        }""",
    )


def test_a_switch_is_folded_where_its_number_is_known() -> None:
    head = "main (int64 level, float[1,4] x) => (float[1,4] y)"
    assert_rewrites(
        FoldImpliedSelectors(),
        before=head
        + """ {
            a = Exp (x) b = Neg (x) c = Sin (x)
            s = dyncompile.Switch3 <name = "s"> (level, a, b, c)
            f = Relu (s)
            y = dyncompile.Switch2 <name = "t"> (level, f, x)
        }""",
        after=head
        + """ {
            a = Exp (x)
            f = Relu (a)
            y = dyncompile.Switch2 <name = "t"> (level, f, x)
        }""",
    )


def test_the_name_that_vanishes_is_noted() -> None:
    model = parse(NESTED)
    FoldImpliedSelectors()(model)
    notes = model.graph.inputs[0].metadata_props
    assert json.loads(notes[FOLDED]) == {"inner": [0, 1]}


@pytest.mark.parametrize(
    "graph",
    [
        pytest.param(
            """main (bool[1] take, bool[1] other, float[1,4] x) => (float[1,4] y) {
                a = Exp (x)
                g = dyncompile.Gate <name = "inner"> (other, a, x)
                y = dyncompile.Gate <name = "outer"> (take, g, x)
            }""",
            id="another decision",
        ),
        pytest.param(
            """main (bool[1] take, float[1,4] x) => (float[1,4] y) {
                a = Exp (x)
                g = dyncompile.Gate <name = "one"> (take, a, x)
                f = Relu (g)
                h = Add (f, g)
                b = Sin (h)
                y = dyncompile.Gate <name = "two"> (take, b, h)
            }""",
            id="read under both options",
        ),
    ],
)
def test_leaves_alone(graph: str) -> None:
    assert_untouched(FoldImpliedSelectors(), graph)
