import pytest

from dyncompile.passes import SplitDecisions
from tests.support import assert_rewrites, assert_untouched

HEAD = "main (bool[4] take, float[1,4] x) => (float[1,4] y, float[1,4] z)"
INDICES = "int64 first = {0}, int64 last = {-1}"


def test_decisions_of_one_vector_are_split_once() -> None:
    assert_rewrites(
        SplitDecisions(),
        before=f"""{HEAD} <{INDICES}> {{
            f = Relu (x)
            a = Gather (take, first)
            y = dyncompile.Gate <name = "a"> (a, f, x)
            b = Gather (take, last)
            z = dyncompile.Gate <name = "b"> (b, f, x)
        }}""",
        after=f"""{HEAD}
            <{INDICES}, int64[3] "take.lengths.main" = {{1, 2, 1}},
             bool[1] "take.0.main", bool[2] "take.1.main", bool[1] "take.2.main"> {{
            f = Relu (x)
            "take.0.main", "take.1.main", "take.2.main"
                = Split <axis = 0> (take, "take.lengths.main")
            y = dyncompile.Gate <name = "a"> ("take.0.main", f, x)
            z = dyncompile.Gate <name = "b"> ("take.2.main", f, x)
        }}""",
    )


@pytest.mark.parametrize(
    "graph",
    [
        pytest.param(
            f"""{HEAD} <{INDICES}> {{
                f = Relu (x)
                a = Gather (take, first)
                y = dyncompile.Gate <name = "a"> (a, f, x)
                z = Neg (x)
            }}""",
            id="one decision",
        ),
        pytest.param(
            """main (float[4] s, float[1,4] x) => (float[1,4] y, float[1,4] z)
            <int64 first = {0}, int64 last = {-1}> {
                a = Gather (s, first)
                y = Mul (a, x)
                b = Gather (s, last)
                z = Mul (b, x)
            }""",
            id="numbers, not decisions",
        ),
        pytest.param(
            """main (bool[4] take, float[1,4] x, int64 first) => (float[1,4] y, float[1,4] z)
            <int64 first = {0}, int64 last = {-1}> {
                a = Gather (take, first)
                y = dyncompile.Gate <name = "a"> (a, x, x)
                b = Gather (take, first)
                z = dyncompile.Gate <name = "b"> (b, x, x)
            }""",
            id="an index that can be fed",
        ),
    ],
)
def test_leaves_alone(graph: str) -> None:
    assert_untouched(SplitDecisions(), graph)
