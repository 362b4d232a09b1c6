import itertools
from collections.abc import Iterator

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx_ir.passes.common import RemoveUnusedNodesPass

from dyncompile.describe import manifest_from_model
from dyncompile.passes import BranchOnDecisions, PlaceWeights, SwitchesFromGathers
from dyncompile.paths import DecisionTree
from tests.support import Feeds, assert_rewrites, assert_untouched, ort_run, parse, random_feeds

W = "float[2,2,2] w = {1, 2, 3, 4, 5, 6, 7, 8}"
EVERY = SwitchesFromGathers(least_macs=0)  # small work too
LOWERING = (EVERY, BranchOnDecisions(), RemoveUnusedNodesPass(), PlaceWeights())


@pytest.mark.parametrize(
    "graph",
    [
        pytest.param(
            f"""main (float[1,2] x) => (float[1,2] y) <{W}, int64 i = {{1}}>
                {{ u = Gather (w, i) y = MatMul (x, u) }}""",
            id="an index that is known",
        ),
        pytest.param(
            f"""main (float[1,2,2] x, int64[2] i) => (float[2,2,2] y) <{W}>
                {{ u = Gather (w, i) y = MatMul (x, u) }}""",
            id="several elements at once",
        ),
        pytest.param(
            f"""main (float[1,2] x, int64 i) => (float[2,2] y) <{W}>
                {{ u = Gather (w, i) y = Add (x, u) }}""",
            id="a constant that is no weight",
        ),
        pytest.param(
            f"""main (float[1,2] x, int64 i) => (float[1,2] y) <{W}>
                {{ u = Gather <axis = 1> (w, i) y = MatMul (x, u) }}""",
            id="part of every weight",
        ),
        pytest.param(
            """main (float[1,2] x, int64 i, float[2,2,2] w) => (float[1,2] y)
                { u = Gather (w, i) y = MatMul (x, u) }""",
            id="weights that are fed",
        ),
    ],
)
def test_leaves_alone(graph: str) -> None:
    assert_untouched(EVERY, graph)


def test_leaves_a_longer_stack_alone() -> None:
    graph = f"""main (float[1,2] x, int64 i) => (float[1,2] y) <{W}>
        {{ u = Gather (w, i) y = MatMul (x, u) }}"""
    assert_untouched(SwitchesFromGathers(most_options=1, least_macs=0), graph)


@pytest.mark.parametrize(
    ("rows", "is_switch"),
    [
        pytest.param("80000", True, id="enough work"),
        pytest.param("70000", False, id="too little work"),
        pytest.param("N", False, id="a size that is not known"),
    ],
)
def test_small_work_is_left_alone(rows: str, is_switch: bool) -> None:
    model = parse(
        f"""main (float[{rows},2] x, int64 i) => (float[{rows},2] y) <{W}>
            {{ u = Gather (w, i) y = MatMul (x, u) }}"""
    )
    assert SwitchesFromGathers()(model).modified == is_switch


def test_a_product_with_a_gathered_weight_becomes_a_switch() -> None:
    assert_rewrites(
        EVERY,
        before=f"""main (float[1,2] x, bool first) => (float[1,2] y) <{W}, int64 one = {{1}}> {{
            z = Cast <to = 7> (first)
            i = Sub (z, one)
            u = Gather (w, i)
            m = MatMul (x, u)
            y = Relu (m)
        }}""".replace("<float", "<int64 z, int64 i, float"),
        after="""main (float[1,2] x, bool first) => (float[1,2] y)
            <int64 z, int64 i, int64 one = {1}, float[2,2] "w.0" = {1, 2, 3, 4},
             float[2,2] "w.1" = {5, 6, 7, 8}, int64 "count.2" = {2}> {
            z = Cast <to = 7> (first)
            i = Sub (z, one)
            "i.wrapped" = Mod (i, "count.2")
            "m.0" = MatMul (x, "w.0")
            "y.0" = Relu ("m.0")
            "m.1" = MatMul (x, "w.1")
            "y.1" = Relu ("m.1")
            y = dyncompile.Switch2 <name = "w.index"> ("i.wrapped", "y.0", "y.1")
        }""",
    )


GATHERS = {
    "scalar index": "u = Gather (w, i)",
    "index of rank one, element taken": "k = Reshape (i, one) g = Gather (w, k) "
    "u = Gather (g, zero)",
    "index of rank one, axis squeezed": "k = Unsqueeze (i, first) g = Gather (w, k) "
    "u = Squeeze (g, first)",
    "index taken from a vector of one element": "k = Reshape (i, one) j = Gather (k, zero) "
    "u = Gather (w, j)",
    "GatherND": "k = Reshape (i, one) u = GatherND (w, k)",
    "GatherND with an axis more": "nd = Unsqueeze (i, both) g = GatherND (w, nd) "
    "u = Squeeze (g, first)",
    "reshaped": "k = Reshape (i, one) g = Gather (w, k) u = Reshape (g, dims)",
}


@pytest.mark.parametrize("gather", [pytest.param(text, id=name) for name, text in GATHERS.items()])
def test_an_index_written_in_another_way_is_recognised(gather: str) -> None:
    graph = f"""main (float[1,2] x, int64 i) => (float[1,2] y)
        <int64[1] k, int64 j, int64[1,1] nd, {W}, int64[1] one = {{1}}, int64[2] both = {{0, 1}},
         int64[1] first = {{0}}, int64 zero = {{0}},
         int64[2] dims = {{2, -1}}> {{ {gather} y = MatMul (x, u) }}"""
    model = parse(graph)
    assert EVERY(model).modified
    assert not any("w" in [v.name for v in node.inputs if v] for node in model.graph)
    for index in (-2, -1, 0, 1):
        _assert_same(parse(graph), model, {"x": np.ones((1, 2)), "i": index})


def test_an_index_that_loses_bits_on_the_way_is_taken_after_that() -> None:
    model = parse(
        f"""main (float[1,2] x, int64 k) => (float[1,2] y) <{W}, int32 i>
            {{ i = Cast <to = 6> (k) u = Gather (w, i) y = MatMul (x, u) }}"""
    )
    assert EVERY(model).modified
    (switch,) = (node for node in model.graph if node.op_type == "Switch2")
    wrapped = switch.inputs[0].producer() if switch.inputs[0] else None
    assert wrapped is not None
    wide = wrapped.inputs[0].producer() if wrapped.inputs[0] else None
    assert wide is not None
    assert [value.name for value in wide.inputs if value] == ["i"]


def test_weights_used_otherwise_are_stored_once() -> None:
    model = parse(
        f"""main (float[1,2] x, int64 i) => (float[1,2] y, float[2,1,2] z) <{W}>
            {{ u = Gather (w, i) y = MatMul (x, u) z = MatMul (x, w) }}"""
    )
    lowered = _lowered(model)
    floats = [v for v in _initializers(lowered) if v.dtype == ir.DataType.FLOAT]
    assert [value.name for value in floats] == ["w"]


def test_one_weight_gathered_twice_is_stored_once() -> None:
    model = parse(
        f"""main (float[1,2] x, int64 i) => (float[1,2] y) <{W}>
            {{ u = Gather (w, i) m = MatMul (x, u) v = Gather (w, i) y = MatMul (m, v) }}"""
    )
    sizes = [v.const_value.size for v in _initializers(_lowered(model)) if v.const_value]
    assert sizes.count(4) == 2


def test_in_the_main_graph_it_is_a_decision_of_the_call() -> None:
    model = _lowered(
        parse(
            f"""main (float[1,2] x, int64 i) => (float[1,2] y) <{W}>
                {{ u = Gather (w, i) y = MatMul (x, u) }}"""
        )
    )
    (decision,) = manifest_from_model(model, {}, "onnx").decisions
    assert (decision.name, decision.kind, len(decision.sides)) == ("w.index", "switch", 2)


WIDE = ", ".join(map(str, range(8)))


@pytest.mark.parametrize(
    ("between", "regions"),
    [
        pytest.param("b = Tanh (a)", 1, id="light work"),
        pytest.param("m = MatMul (a, to) b = MatMul (m, back)", 2, id="larger weights"),
        pytest.param("r = RandomNormalLike (a) m = Mul (r, o) b = Add (m, a)", 2, id="random"),
    ],
)
def test_what_lies_between_is_copied_if_it_is_light(between: str, regions: int) -> None:
    graph = f"""main (float[1,2] x, int64 i) => (float[1,2] y)
        <{W}, float[2,4] to = {{{WIDE}}}, float[4,2] back = {{{WIDE}}}, float[2] o = {{0, 0}}>
        {{ u = Gather (w, i) a = MatMul (x, u) {between} v = Gather (w, i) y = MatMul (b, v) }}"""
    model = parse(graph)
    assert EVERY(model).modified
    switches = [node for node in model.graph if node.op_type == "Switch2"]
    assert [node.attributes["name"].as_string() for node in switches] == ["w.index"] * regions
    assert len({node.inputs[0] for node in switches}) == 1
    for rewrite in LOWERING[1:]:
        rewrite(model)
    for index in (-2, -1, 0, 1):
        _assert_same(parse(graph), model, {"x": np.ones((1, 2)), "i": index})


LOOP = f"""main (float[1,2] x, int64 n, bool go) => (float[1,2] y) <{W}> {{
    y = Loop (n, go, x) <body = round (int64 i, bool c, float[1,2] s)
        => (bool c2, float[1,2] t)
        {{ c2 = Identity (c) u = Gather (w, i) m = MatMul (s, u) t = Relu (m) }}>
}}"""


def test_in_a_loop_it_is_no_decision_of_the_call() -> None:
    model = _lowered(parse(LOOP))
    assert any(node.op_type == "If" for node in model.graph.all_nodes())
    assert manifest_from_model(model, {}, "onnx").decisions == ()
    assert DecisionTree.from_model(model).choices == ()


def test_a_marked_loop_has_no_decision_of_the_call_either() -> None:
    model = parse(LOOP)
    EVERY(model)
    assert any(node.domain == "dyncompile" for node in model.graph.all_nodes())
    assert manifest_from_model(model, {}, "marked").decisions == ()


def test_conditions_that_follow_are_computed_once() -> None:
    model = parse(
        f"""main (float[1,2] x, int64 i) => (bool[1,2] y, float[1,2] z) <float[1,2] a, {W}>
            {{ u = Gather (w, i) m = MatMul (x, u) z = Relu (m) a = Neg (m) y = Less (a, x) }}"""
    )
    assert EVERY(model).modified
    assert [node.op_type for node in model.graph].count("Less") == 1
    assert [node.op_type for node in model.graph].count("Relu") == 2


def test_only_the_option_taken_computes() -> None:
    model = _lowered(parse(LOOP))
    (loop,) = (node for node in model.graph if node.op_type == "Loop")
    (branches,) = (node for node in loop.attributes["body"].as_graph() if node.op_type == "If")
    assert "MatMul" not in {node.op_type for node in loop.attributes["body"].as_graph()}
    for side in ("then_branch", "else_branch"):
        branch = branches.attributes[side].as_graph()
        assert [node.op_type for node in branch] == ["MatMul", "Relu"]
        assert len(branch.initializers) == 1


@st.composite
def stacked(draw: st.DrawFn) -> str:
    """Loops over stacked weights, biases and scales, nested captures, and what hangs on them."""
    count = draw(st.integers(2, 5))
    numbers = [
        ", ".join(str((7 * n + k) % 5 - 2) for n in range(count * size))
        for k, size in enumerate((4, 4, 2))
    ]
    gather = draw(st.sampled_from(["scalar", "vector"]))
    index = draw(st.sampled_from(["i", "own", "outer"]))
    lines = [
        f"u = Gather (w, {index})"
        if gather == "scalar"
        else f"k = Reshape ({index}, one) g = Gather (w, k) u = Squeeze (g, first)",
        "m = MatMul (s, u)",
    ]
    if draw(st.booleans()):
        lines += [f"b = Gather (bias, {index})", "m2 = Add (m, b)"]
    else:
        lines += ["m2 = Relu (m)"]
    middle = draw(st.sampled_from(["", "h", "if"]))
    if middle == "h":
        lines += [f"v2 = Gather (v, {index})", "m3 = MatMul (m2, v2)"]
    elif middle == "if":
        lines += [
            f"v2 = Gather (v, {index})",
            "p = ReduceSum <keepdims = 0> (m2)",
            "pos = Greater (p, nought)",
            (
                "m3 = If (pos) <then_branch = on () => (float[1,2] a) { a = MatMul (m2, v2) },"
                " else_branch = off () => (float[1,2] q) { q = Add (m2, o) }>"
            ),
        ]
    else:
        lines += ["m3 = Neg (m2)"]
    lines.append(draw(st.sampled_from(["t = Add (m3, s)", "t = Tanh (m3)", "t = MatMul (m3, f)"])))
    lines.append(draw(st.sampled_from(["e = Identity (m)", "e = Neg (t)", "e = Add (s, m2)"])))
    body = "\n".join(lines)
    return f"""main (float[1,2] x, float[1,2] o, int64 n, bool go, int64 start, int64 outer)
        => (float[1,2] y, float[R,1,2] each)
        <int64[1] k, float[{count},2,2] w = {{{numbers[0]}}},
         float[{count},2,2] v = {{{numbers[1]}}},
         float[{count},2] bias = {{{numbers[2]}}}, float[2,2] f = {{1, 2, 0, -1}},
         int64[1] one = {{1}}, int64[1] first = {{0}}, int64 step = {{1}}, float nought = {{0}}> {{
        y, last, each = Loop (n, go, x, start) <body =
            round (int64 i, bool c, float[1,2] s, int64 own)
            => (bool c2, float[1,2] t, int64 next, float[1,2] e)
            <int64[1] k> {{ c2 = Identity (c) {body} next = Add (own, step) }}>
    }}"""


@settings(max_examples=40, deadline=None)
@given(stacked(), st.data())
def test_a_random_stacked_loop_gives_the_same_numbers(graph: str, data: st.DataObject) -> None:
    before = parse(graph)
    after = _lowered(parse(graph))
    assert not EVERY(after).modified
    for body in _bodies(after):
        heavy = [node for node in body if node.op_type == "MatMul"]
        assert len(heavy) <= graph.count("MatMul (m3, f)")
    (w,) = (v for v in before.graph.initializers.values() if v.name == "w")
    assert w.const_value is not None
    count = int(w.const_value.shape.numpy()[0])
    rounds = data.draw(st.integers(0, count))
    start = data.draw(st.integers(-count, count - rounds))
    outer = data.draw(st.integers(-count, count - 1))
    feeds = random_feeds(before, 0, n=rounds, go=True, start=start, outer=outer)
    _assert_same(before, after, feeds)


def _lowered(model: ir.Model) -> ir.Model:
    assert EVERY(model).modified
    for rewrite in LOWERING[1:]:
        rewrite(model)
    return model


def _initializers(model: ir.Model) -> Iterator[ir.Value]:
    for graph in model.graphs():
        yield from graph.initializers.values()


def _bodies(model: ir.Model) -> Iterator[ir.Graph]:
    for node in model.graph.all_nodes():
        if node.op_type == "Loop":
            yield node.attributes["body"].as_graph()


def _assert_same(before: ir.Model, after: ir.Model, feeds: object) -> None:
    assert isinstance(feeds, dict)
    typed: Feeds = {
        value.name: np.asarray(feeds[value.name], value.dtype.numpy())
        for value in before.graph.inputs
        if value.name and value.dtype
    }
    wanted, got = ort_run(before, typed), ort_run(after, typed)
    for want, have in itertools.zip_longest(wanted, got):
        assert have.shape == want.shape
        np.testing.assert_allclose(have, want, rtol=1e-5, atol=1e-5)
