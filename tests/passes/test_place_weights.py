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


SQUARE = "float[6,6] w = {" + ", ".join(str(i / 9) for i in range(36)) + "}"
LOOP = """main (int64 n, bool go, float[1,6] x) => (float[1,6] y, float[6,6] z) %s {
    z = %s
    y = Loop (n, go, x) <body = round (int64 i, bool c, float[1,6] s) => (bool d, float[1,6] t) %s {
        %s
        d = Identity (c)
        t = MatMul (s, %s)
    }>
}"""
SCAN = """main (float[1,6] x, float[3,6] rows) => (float[1,6] y) %s {
    y = Scan <num_scan_inputs = 1, body =
        round (float[1,6] s, float[6] row) => (float[1,6] t) %s {
            m = MatMul (s, w)
            t = Add (m, row)
        }> (x, rows)
}"""
NESTED = """main (int64 n, bool go, float[1,6] x) => (float[1,6] y) %s {
    y = Loop (n, go, x) <body = round (int64 i, bool c, float[1,6] s) => (bool d, float[1,6] t) {
        d = Identity (c)
        t = Loop (n, go, s) <body = inner (int64 j, bool e, float[1,6] p)
            => (bool f, float[1,6] q) %s { f = Identity (e) q = MatMul (p, w) }>
    }>
}"""


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(
            LOOP % (f"<{SQUARE}>", "Identity (z0)", "", "", "w"),
            LOOP % ("", "Identity (z0)", f"<{SQUARE}>", "", "w"),
            id="a loop",
        ),
        pytest.param(SCAN % (f"<{SQUARE}>", ""), SCAN % ("", f"<{SQUARE}>"), id="a scan"),
        pytest.param(
            NESTED % (f"<{SQUARE}>", ""), NESTED % ("", f"<{SQUARE}>"), id="a loop in a loop"
        ),
        pytest.param(
            LOOP % (f"<{SQUARE}>", "Abs (w)", "", "", "w"),
            LOOP
            % (
                f'<{SQUARE}, int64[2] "dims.6x6" = {{6, 6}}>',
                "Abs (w)",
                "",
                '"w.in.round" = Reshape (w, "dims.6x6")',
                '"w.in.round"',
            ),
            id="a loop, and what is around it",
        ),
    ],
)
def test_a_weight_of_a_body_stands_in_it_or_is_seen_there_through_a_view(
    before: str, after: str
) -> None:
    before, after = (
        text.replace("(int64 n, bool go,", "(int64 n, float[6,6] z0, bool go,")
        if "z0" in text
        else text
        for text in (before, after)
    )
    assert_rewrites(PlaceWeights(), before=before, after=after)
