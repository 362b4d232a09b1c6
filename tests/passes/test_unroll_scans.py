import itertools

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx_ir.passes.common import RemoveUnusedNodesPass

from dyncompile.passes import PlaceWeights, UnrollScans
from tests.support import assert_rewrites, assert_untouched, ort_run, parse, random_feeds, run

W = "float[2,2,2] w = {1, 2, 3, 4, 5, 6, 7, 8}"
W0, W1 = '"w.0" = {1, 2, 3, 4}', '"w.1" = {5, 6, 7, 8}'


def scan(body: str, *, attributes: str = "", weights: str = W) -> str:
    return f"""main (float[1,2] x) => (float[1,2] y, float[A,B,C] each) <{weights}> {{
        y, each = Scan <num_scan_inputs = 1, {attributes} body =
            round (float[1,2] s, float[2,2] u) => (float[1,2] t, float[1,2] m) {{ {body} }}> (x, w)
    }}"""


STEP = "m = MatMul (s, u) t = Relu (m)"


@pytest.mark.parametrize(
    "graph",
    [
        pytest.param(scan("m = Identity (s) a = ReduceSum (u) t = Add (s, a)"), id="not a weight"),
        pytest.param(
            """main (float[1,2] x, float[2,2,2] w) => (float[1,2] y) {
                y = Scan <num_scan_inputs = 1, body =
                    round (float[1,2] s, float[2,2] u) => (float[1,2] t) { t = MatMul (s, u) }>
                    (x, w)
            }""",
            id="weights that are fed",
        ),
        pytest.param(scan(STEP, attributes="scan_input_axes = [0, 1],"), id="axes of nothing"),
        pytest.param(scan(STEP, attributes="scan_input_axes = [7],"), id="an axis there is not"),
        pytest.param(scan(STEP).replace("y, each = ", "y, each, more = "), id="too many outputs"),
        pytest.param(
            scan("r = RandomNormalLike (s) m = MatMul (r, u) t = Relu (m)"), id="random numbers"
        ),
    ],
)
def test_leaves_alone(graph: str) -> None:
    assert_untouched(UnrollScans(), graph)


def test_leaves_a_longer_scan_alone() -> None:
    assert_untouched(UnrollScans(most_rounds=1), scan(STEP))


def test_rounds_become_nodes_with_a_weight_each() -> None:
    assert_rewrites(
        UnrollScans(),
        before=scan(STEP),
        after=f"""main (float[1,2] x) => (float[1,2] y, float[A,B,C] each)
            <float[2,2] {W0}, float[2,2] {W1}, int64[1] "axis.0" = {{0}}> {{
            "m.0" = MatMul (x, "w.0")
            "t.0" = Relu ("m.0")
            "m.1" = MatMul ("t.0", "w.1")
            y = Relu ("m.1")
            "each.part.0" = Unsqueeze ("m.0", "axis.0")
            "each.part.1" = Unsqueeze ("m.1", "axis.0")
            each = Concat <axis = 0> ("each.part.0", "each.part.1")
        }}""",
    )


def test_a_constant_that_is_used_otherwise_stays_and_is_seen_through_views() -> None:
    model = parse(
        f"""main (float[1,2] x) => (float[1,2] y, float[2,1,2] z) <{W}> {{
            s = Scan <num_scan_inputs = 1, body =
                round (float[1,2] s, float[2,2] u) => (float[1,2] t) {{ t = MatMul (s, u) }}> (x, w)
            y = Relu (s)
            z = MatMul (x, w)
        }}"""
    )
    assert UnrollScans()(model).modified
    assert [node.op_type for node in model.graph].count("Slice") == 2
    floats = [v for v in model.graph.initializers.values() if v.dtype == ir.DataType.FLOAT]
    assert [value.name for value in floats] == ["w"]


def test_the_constants_of_a_body_are_shared_by_the_rounds() -> None:
    model = parse(
        f"""main (float[1,2] x) => (float[1,2] y) <{W}> {{
            y = Scan <num_scan_inputs = 1, body =
                round (float[1,2] s, float[2,2] u) => (float[1,2] t) <float[2,2] v = {{1, 0, 2, 1}}>
                {{ c = Constant <value = float[2] {{1, 2}}> () a = MatMul (s, u) b = MatMul (a, v)
                   t = Add (b, c) }}> (x, w)
        }}"""
    )
    UnrollScans()(model)
    assert {"v", "c"} <= set(model.graph.initializers)
    assert "Constant" not in {node.op_type for node in model.graph}


def test_weights_are_bit_exact_and_the_file_does_not_grow() -> None:
    weights = np.random.default_rng(0).normal(size=(4, 16, 16)).astype(np.float32)
    model = parse(
        """main (float[1,16] x) => (float[1,16] y) {
            w = Constant <value = float[1] {0}> ()
            y = Scan <num_scan_inputs = 1, body =
                round (float[1,16] s, float[16,16] u) => (float[1,16] t) { t = MatMul (s, u) }>
                (x, w)
        }"""
    )
    value = ir.Value(
        name="weights", shape=ir.Shape(weights.shape), type=ir.TensorType(ir.DataType.FLOAT)
    )
    value.const_value = ir.tensor(weights)
    model.graph.register_initializer(value)
    loop = next(node for node in model.graph if node.op_type == "Scan")
    loop.replace_input_with(1, value)
    RemoveUnusedNodesPass()(model)
    before = ir.to_proto(model).ByteSize()
    assert UnrollScans()(model).modified
    for number, value in enumerate(model.graph.initializers.values()):
        assert value.const_value is not None
        assert value.const_value.numpy().tobytes() == weights[number].tobytes()
    assert ir.to_proto(model).ByteSize() < 1.1 * before


@st.composite
def scans(draw: st.DrawFn) -> str:
    """Scans over a constant stack and a fed one, with every axis and direction."""
    length = draw(st.integers(1, 4))
    axis, fed_axis = draw(st.integers(-3, 2)), draw(st.integers(-2, 1))
    out_axis, directions = draw(st.integers(-3, 2)), draw(st.tuples(*[st.integers(0, 1)] * 3))
    shape, fed = [2, 2], [2]
    shape.insert(axis % 3, length)
    fed.insert(fed_axis % 2, length)
    numbers = ", ".join(str(n % 7 - 3) for n in range(4 * length))
    sizes = ",".join(map(str, shape))
    step = draw(
        st.sampled_from(
            [
                "m = MatMul (s, u)",
                "v = Transpose <perm = [1, 0]> (u) m = MatMul (s, v)",
                (
                    "p = ReduceSum <keepdims = 0> (s) k = Constant <value = float {0}> ()"
                    " c = Greater (p, k) m = If (c) <then_branch = on () => (float[1,2] a)"
                    " { a = MatMul (s, u) }, else_branch = off () => (float[1,2] b)"
                    " { b = Add (s, o) }>"
                ),
            ]
        )
    )
    state = draw(st.sampled_from(["t = Relu (m)", "t = Add (m, e)", "t = Identity (s)"]))
    also = draw(st.sampled_from(["", "q = ReduceSum <keepdims = 0> (w)"]))
    last = "z = Add (y, q)" if also else "z = Neg (y)"
    return f"""main (float[1,2] x, float[{",".join(map(str, fed))}] r, float[1,2] o)
        => (float[1,2] z, float[A,B,C] each) <float[{sizes}] w = {{{numbers}}}> {{
        y, each = Scan <num_scan_inputs = 2, scan_input_axes = [{axis}, {fed_axis}],
            scan_input_directions = [{directions[0]}, {directions[1]}],
            scan_output_axes = [{out_axis}], scan_output_directions = [{directions[2]}], body =
            round (float[1,2] s, float[2,2] u, float[2] e) => (float[1,2] t, float[1,2] m)
            {{ {step} {state} }}> (x, w, r)
        {also} {last}
    }}"""


@settings(max_examples=40, deadline=None)
@given(scans(), st.integers(0, 3))
def test_a_random_scan_gives_the_same_numbers(graph: str, seed: int) -> None:
    before, after = parse(graph), parse(graph)
    assert UnrollScans()(after).modified
    assert not UnrollScans()(after).modified
    RemoveUnusedNodesPass()(after)
    PlaceWeights()(after)
    assert "Scan" not in {node.op_type for node in after.graph}
    feeds = random_feeds(before, seed)
    wanted = ort_run(before, feeds)
    for got in (ort_run(after, feeds), run(after, feeds)):
        for want, have in itertools.zip_longest(wanted, got):
            assert have.shape == want.shape
            np.testing.assert_allclose(have, want, rtol=1e-5, atol=1e-5)
