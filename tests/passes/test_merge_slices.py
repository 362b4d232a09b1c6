import pytest

from dyncompile.passes import MergeSlices
from tests.support import assert_rewrites, assert_untouched

W = "float[4,6,2] w = {" + ", ".join(str(i) for i in range(48)) + "}"
NUMBERS = """int64[1] zero = {0}, int64[1] one = {1}, int64[1] two = {2}, int64[1] three = {3},
    int64[1] last = {-1}"""


def test_slices_of_a_weight_along_several_axes_become_one() -> None:
    assert_rewrites(
        MergeSlices(),
        before=f"""main (float[2,2,1] x) => (float[2,2,1] y)
            <float[2,6,2] a, float[2,2,2] b, {W}, {NUMBERS}> {{
            a = Slice (w, zero, two, zero, one)
            b = Slice (a, one, three, one, one)
            c = Slice (b, one, two, last)
            y = Add (x, c)
        }}""",
        after=f"""main (float[2,2,1] x) => (float[2,2,1] y) <{W}, {NUMBERS},
            int64[2] "ints.0.1" = {{0, 1}}, int64[2] "ints.2.3" = {{2, 3}},
            int64[2] "ints.1.1" = {{1, 1}}, int64[3] "ints.0.1.1" = {{0, 1, 1}},
            int64[3] "ints.2.3.2" = {{2, 3, 2}}, int64[3] "ints.0.1.2" = {{0, 1, 2}},
            int64[3] "ints.1.1.1" = {{1, 1, 1}}> {{
            c = Slice (w, "ints.0.1.1", "ints.2.3.2", "ints.0.1.2", "ints.1.1.1")
            y = Add (x, c)
        }}""",
    )


@pytest.mark.parametrize(
    "graph",
    [
        pytest.param(
            f"""main (float[1,6,2] x) => (float[1,6,2] y) <float[2,6,2] a, {W}, {NUMBERS}> {{
                a = Slice (w, one, three, zero)
                b = Slice (a, zero, one, zero)
                y = Add (x, b)
            }}""",
            id="one axis twice",
        ),
        pytest.param(
            f"""main (float[4,6,2] x) => (float[2,2,2] y, float[2,6,2] z)
                <float[2,6,2] a, {NUMBERS}> {{
                a = Slice (x, zero, two, zero)
                y = Slice (a, zero, two, one)
                z = Neg (a)
            }}""",
            id="a part of an activation that is read elsewhere",
        ),
        pytest.param(
            f"""main (float[2,2,2] x, int64[1] n) => (float[2,2,2] y)
                <float[2,6,2] a, {W}, {NUMBERS}> {{
                a = Slice (w, zero, n, zero)
                b = Slice (a, zero, two, one)
                y = Add (x, b)
            }}""",
            id="an end that is an input",
        ),
    ],
)
def test_leaves_alone(graph: str) -> None:
    assert_untouched(MergeSlices(), graph)
