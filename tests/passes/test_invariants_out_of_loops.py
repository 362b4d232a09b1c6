import numpy as np
import pytest

from dyncompile.passes import InvariantsOutOfLoops, PlaceWeights
from tests.support import assert_rewrites, assert_untouched, graph_text, ort_run, parse, run

W = "float[4,4] w = {" + ", ".join(str(i / 8) for i in range(16)) + "}"


@pytest.mark.parametrize(
    "graph",
    [
        pytest.param(
            """main (int64 n, bool go, float[1,4] x) => (float[1,4] y) {
                y = Loop (n, go, x) <body = round (int64 i, bool c, float[1,4] s)
                    => (bool c2, float[1,4] t) { c2 = Identity (c) t = Neg (s) }>
            }""",
            id="a state that changes",
        ),
        pytest.param(
            """main (int64 n, bool go, float[1,4] a, float[1,4] b) => (float[1,4] y, float[1,4] z) {
                y, z = Loop (n, go, a, b) <body =
                    round (int64 i, bool c, float[1,4] p, float[1,4] q)
                    => (bool c2, float[1,4] q2, float[1,4] p2)
                    { c2 = Identity (c) q2 = Identity (q) p2 = Identity (p) }>
            }""",
            id="two states that swap places",
        ),
        pytest.param(
            """main (bool take, float[1,4] x) => (float[1,4] y) {
                y = If (take) <
                    then_branch = on () => (float[1,4] a) { a = Neg (x) },
                    else_branch = off () => (float[1,4] b) { b = Identity (x) }>
            }""",
            id="no loop",
        ),
    ],
)
def test_leaves_alone(graph: str) -> None:
    assert_untouched(InvariantsOutOfLoops(), graph)


def test_a_weight_that_goes_round_unchanged_is_captured() -> None:
    assert_rewrites(
        InvariantsOutOfLoops(),
        before=f"""main (int64 n, bool go, float[1,4] x) => (float[1,4] y, float[4,4] v) <{W}> {{
            y, v = Loop (n, go, x, w) <body =
                round (int64 i, bool c, float[1,4] s, float[4,4] u)
                => (bool c2, float[1,4] t, float[4,4] u2)
                {{ c2 = Identity (c) t = MatMul (s, u) u1 = Identity (u) u2 = Identity (u1) }}>
        }}""",
        after=f"""main (int64 n, bool go, float[1,4] x) => (float[1,4] y, float[4,4] v) <{W}> {{
            y = Loop (n, go, x) <body = round (int64 i, bool c, float[1,4] s)
                => (bool c2, float[1,4] t)
                {{ c2 = Identity (c) t = MatMul (s, w) u1 = Identity (w) u2 = Identity (u1) }}>
            v = Identity (w)
        }}""",
    )


def test_a_state_of_a_scan_that_does_not_change_is_captured() -> None:
    assert_rewrites(
        InvariantsOutOfLoops(),
        before=f"""main (float[1,4] x, float[3,4] rows) => (float[1,4] y, float[3,1,4] each)
            <{W}> {{
            unused, y, each = Scan <num_scan_inputs = 1, body =
                round (float[4,4] u, float[1,4] s, float[4] row)
                => (float[4,4] u, float[1,4] t, float[1,4] m)
                {{ m = MatMul (s, u) t = Add (m, row) }}> (w, x, rows)
        }}""",
        after=f"""main (float[1,4] x, float[3,4] rows) => (float[1,4] y, float[3,1,4] each) <{W}> {{
            y, each = Scan <num_scan_inputs = 1, body = round (float[1,4] s, float[4] row)
                => (float[1,4] t, float[1,4] m)
                {{ m = MatMul (s, w) t = Add (m, row) }}> (x, rows)
        }}""",
    )


def test_a_weight_that_goes_through_two_nested_loops_ends_up_in_the_inner_body() -> None:
    before = f"""main (int64 n, bool go, float[1,4] x) => (float[1,4] y) <{W}> {{
        y, v = Loop (n, go, x, w) <body =
            outer (int64 i, bool c, float[1,4] s, float[4,4] u)
            => (bool c2, float[1,4] t, float[4,4] u2) {{
                c2 = Identity (c)
                t, u2 = Loop (n, c, s, u) <body =
                    inner (int64 j, bool d, float[1,4] p, float[4,4] q)
                    => (bool d2, float[1,4] r, float[4,4] q2)
                    {{ d2 = Identity (d) r = MatMul (p, q) q2 = Identity (q) }}>
            }}>
    }}"""
    model = parse(before)
    assert InvariantsOutOfLoops()(model).modified
    PlaceWeights()(model)
    (inner,) = (graph for graph in model.graph.subgraphs() if graph.name == "inner")
    assert len(inner.initializers) == 1  # a runtime prepares only what stands in the body
    feeds = {"n": np.asarray(2), "go": np.asarray(True), "x": np.ones((1, 4), np.float32)}
    np.testing.assert_array_equal(run(model, feeds)[0], run(parse(before), feeds)[0])
    np.testing.assert_array_equal(ort_run(model, feeds)[0], ort_run(parse(before), feeds)[0])


def test_a_scan_output_that_is_the_unchanged_state_stays_a_value_of_the_body() -> None:
    model = parse(f"""main (int64 n, bool go) => (float[4,4] v, float[R,4,4] each) <{W}> {{
        v, each = Loop (n, go, w) <body = round (int64 i, bool c, float[4,4] u)
            => (bool c2, float[4,4] u, float[4,4] u) {{ c2 = Identity (c) }}>
    }}""")
    assert InvariantsOutOfLoops()(model).modified
    assert "each = Loop" in graph_text(model)
    feeds = {"n": np.asarray(2), "go": np.asarray(True)}
    v, each = ort_run(model, feeds)
    np.testing.assert_array_equal(each, np.stack([v, v]))
