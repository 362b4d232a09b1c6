import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx_ir.passes.common import RemoveUnusedNodesPass

from dyncompile.passes import ScansFromLoops, UnrollScans
from tests.support import assert_rewrites, assert_untouched, ort_run, parse, random_feeds

W = "float[2,2,2] w = {1, 2, 3, 4, 5, 6, 7, 8}"
LIMIT = "int64 two = {2}, bool yes = {1}"
BODY = "d = Identity (c) u = Gather (w, i) m = MatMul (s, u) t = Relu (m)"


def loop(body: str = BODY, start: str = "two, yes", limit: str = LIMIT, more: str = "") -> str:
    return f"""main (float[1,2] x, int64 n, bool go) => (float[1,2] y) <{W}, {limit}> {{
        y = Loop ({start}, x) <body = round (int64 i, bool c, float[1,2] s)
            => (bool d, float[1,2] t) {{ {body} }}>
        {more}
    }}"""


@pytest.mark.parametrize(
    "graph",
    [
        pytest.param(loop(start="n, yes"), id="a number of rounds that is fed"),
        pytest.param(loop(start="two, go"), id="a condition that is fed"),
        pytest.param(
            loop("z = ReduceSum <keepdims = 0> (s) d = Cast <to = 9> (z)" + BODY[16:]),
            id="rounds that may stop it",
        ),
        pytest.param(loop("d = Identity (c) t = Relu (s)"), id="no weights"),
        pytest.param(loop(limit="int64 two = {1}, bool yes = {1}"), id="fewer rounds than weights"),
    ],
)
def test_leaves_alone(graph: str) -> None:
    assert_untouched(ScansFromLoops(), graph)


def test_leaves_a_longer_loop_alone() -> None:
    assert_untouched(ScansFromLoops(most_rounds=1), loop())


def test_a_loop_over_a_stack_becomes_a_scan() -> None:
    assert_rewrites(
        ScansFromLoops(),
        before=loop(),
        after=f"""main (float[1,2] x, int64 n, bool go) => (float[1,2] y)
            <{W}, bool always = {{1}}> {{
            y = Scan <body = round (float[1,2] s, float[2,2] u) => (float[1,2] t) {{
                d = Identity (always)
                m = MatMul (s, u)
                t = Relu (m)
            }}, num_scan_inputs = 1> (x, w)
        }}""",
    )


@st.composite
def loops(draw: st.DrawFn) -> str:
    """Loops of known length over stacks: read twice, numbers used otherwise, scan outputs."""
    count = draw(st.integers(1, 4))
    numbers = ", ".join(str(n % 7 - 3) for n in range(4 * count))
    gather = draw(st.sampled_from(["u = Gather (w, i)", "g = Gather (w, j) u = Squeeze (g, zero)"]))
    again = draw(st.sampled_from(["a = Relu (m)", "v = Gather (w, i) a = MatMul (m, v)"]))
    last = draw(st.sampled_from(["t = Add (a, s)", "f = Cast <to = 1> (i) t = Add (a, f)"]))
    more = draw(st.sampled_from(["z = Neg (y)", "q = ReduceSum <keepdims = 0> (w) z = Add (y, q)"]))
    condition = draw(st.sampled_from(["", "yes"]))
    goes_on = draw(st.sampled_from(["d = Identity (c)", "d = Constant <value = bool {1}> ()"]))
    return f"""main (float[1,2] x) => (float[1,2] z, float[A,B,C] each)
        <float[{count},2,2] w = {{{numbers}}}, int64 k = {{{count}}}, bool yes = {{1}},
         int64[1] one = {{1}}, int64[1] zero = {{0}}> {{
        y, each = Loop (k, {condition}, x) <body = round (int64 i, bool c, float[1,2] s)
            => (bool d, float[1,2] t, float[1,2] m)
            <int64[1] j> {{
                {goes_on} j = Reshape (i, one) {gather} m = MatMul (s, u) {again} {last} }}>
        {more}
    }}"""


@settings(max_examples=30, deadline=None)
@given(loops(), st.integers(0, 3))
def test_a_random_loop_is_unrolled_to_the_same_numbers(graph: str, seed: int) -> None:
    before, after = parse(graph), parse(graph)
    assert ScansFromLoops()(after).modified
    assert UnrollScans()(after).modified
    RemoveUnusedNodesPass()(after)
    assert not {"Loop", "Scan"} & {node.op_type for node in after.graph}
    feeds = random_feeds(before, seed)
    wanted, got = ort_run(before, feeds), ort_run(after, feeds)
    for want, have in itertools.zip_longest(wanted, got):
        assert have.shape == want.shape
        np.testing.assert_allclose(have, want, rtol=1e-5, atol=1e-5)


def test_the_number_of_the_round_stays_a_scalar() -> None:
    model = parse(
        f"""main (float[1,2] x, int64 k) => (float[1,2] y, int64 n) <{W}, {LIMIT}> {{
            y, n = Loop (two, yes, x, k) <body = round (int64 i, bool c, float[1,2] s, int64 j)
                => (bool d, float[1,2] t, int64 o) {{ {BODY} o = Add (j, i) }}>
        }}"""
    )
    for rewrite in ScansFromLoops(), UnrollScans():
        assert rewrite(model).modified
    feeds = {"x": np.ones((1, 2), np.float32), "k": np.asarray(3)}
    number = ort_run(model, feeds)[1]
    assert (number.shape, int(number)) == ((), 4)
