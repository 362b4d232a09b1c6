import pytest

from dyncompile.passes import PlaceWeights
from tests.support import assert_rewrites, assert_untouched

W = "float[4,9] w = {" + ", ".join(str(i) for i in range(36)) + "}"


def test_a_weight_of_one_branch_moves_there() -> None:
    assert_rewrites(
        PlaceWeights(),
        before=f"""main (bool take, float[1,4] x) => (float[1,9] y) <{W}> {{
            y = If (take) <
                then_branch = on () => (float[1,9] a) {{ a = MatMul (x, w) }},
                else_branch = off () => (float[1,9] b) <float[1,9] z = {{{"0, " * 8}0}}>
                    {{ b = Identity (z) }}>
        }}""",
        after=f"""main (bool take, float[1,4] x) => (float[1,9] y) {{
            y = If (take) <
                then_branch = on () => (float[1,9] a) <{W}> {{ a = MatMul (x, w) }},
                else_branch = off () => (float[1,9] b) <float[1,9] z = {{{"0, " * 8}0}}>
                    {{ b = Identity (z) }}>
        }}""",
    )


def test_a_weight_of_both_branches_is_seen_through_a_view() -> None:
    assert_rewrites(
        PlaceWeights(),
        before=f"""main (bool take, float[1,4] x) => (float[1,9] y) <{W}> {{
            y = If (take) <
                then_branch = on () => (float[1,9] a) {{ a = MatMul (x, w) }},
                else_branch = off () => (float[1,9] b) {{ n = Neg (x) b = MatMul (n, w) }}>
        }}""",
        after=f"""main (bool take, float[1,4] x) => (float[1,9] y)
            <{W}, int64[2] "dims.4x9" = {{4, 9}}> {{
            y = If (take) <
                then_branch = on () => (float[1,9] a) {{
                    "w.in.on" = Reshape (w, "dims.4x9")
                    a = MatMul (x, "w.in.on")
                }},
                else_branch = off () => (float[1,9] b) {{
                    "w.in.off" = Reshape (w, "dims.4x9")
                    n = Neg (x)
                    b = MatMul (n, "w.in.off")
                }}>
        }}""",
    )


def test_a_small_shared_constant_is_copied() -> None:
    assert_rewrites(
        PlaceWeights(),
        before="""main (bool take, float[1,2] x) => (float[1,2] y) <float[2] c = {1, 2}> {
            s = Add (x, c)
            y = If (take) <
                then_branch = on () => (float[1,2] a) { a = Add (s, c) },
                else_branch = off () => (float[1,2] b) { b = Identity (s) }>
        }""",
        after="""main (bool take, float[1,2] x) => (float[1,2] y) <float[2] c = {1, 2}> {
            s = Add (x, c)
            y = If (take) <
                then_branch = on () => (float[1,2] a) <float[2] "c.in.on" = {1, 2}>
                    { a = Add (s, "c.in.on") },
                else_branch = off () => (float[1,2] b) { b = Identity (s) }>
        }""",
    )


@pytest.mark.parametrize(
    "graph",
    [
        pytest.param(
            f"main (float[1,4] x) => (float[1,9] y) <{W}> {{ y = MatMul (x, w) }}",
            id="no branches",
        ),
        pytest.param(
            """main (bool take, float[1,4] x, float[4,4] w) => (float[1,4] y) {
                y = If (take) <
                    then_branch = on () => (float[1,4] a) { a = MatMul (x, w) },
                    else_branch = off () => (float[1,4] b) { b = Identity (x) }>
            }""",
            id="an input is no weight",
        ),
    ],
)
def test_leaves_alone(graph: str) -> None:
    assert_untouched(PlaceWeights(), graph)
