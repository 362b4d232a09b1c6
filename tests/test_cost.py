import json

import numpy as np
import onnx_ir as ir
import pytest

from dyncompile import artifact, cost, macs
from dyncompile.dialect import LEVEL_MACS
from dyncompile.manifest import Manifest, Side
from tests.lowered import tagged
from tests.support import parse


@pytest.mark.parametrize(
    ("view", "macs"),
    [
        pytest.param("Reshape (w, whole)", 16, id="Reshape"),
        pytest.param("Slice (w, none, two, none)", 8, id="Slice"),
    ],
)
def test_views_of_weights_outside_of_a_branch_have_their_shape(view: str, macs: int) -> None:
    model = parse(
        "main (bool c, float[1,4] x) => (float[M,N] y) <float[4,4] w = {1, 2, 3, 4, 5, 6, 7, 8, 9,"
        " 10, 11, 12, 13, 14, 15, 16}, int64[2] whole = {4, 4}, int64[1] none = {0},"
        f" int64[1] two = {{2}}> {{ y = If (c) <then_branch = t () => (a) {{ v = {view}"
        " a = Gemm <transB = 1> (x, v) }, else_branch = e () => (b) { b = Identity (x) }> }"
    )
    assert cost.total(model).macs == macs


def weighted(graph: str, **weights: tuple[int, ...]) -> ir.Model:
    """Parse a graph and give it float32 weights of these shapes, in the outermost scope.

    A weight is named where it is used, by the name of an input that nothing computes.
    """
    declared = ", ".join(
        f"float[{','.join(map(str, shape))}] {name}" for name, shape in weights.items()
    )
    model = parse(graph.replace("WEIGHTS", declared))
    for value in list(model.graph.inputs):
        if value.name in weights:
            model.graph.inputs.remove(value)
            value.const_value = ir.tensor(np.zeros(weights[value.name], np.float32))
            model.graph.register_initializer(value)
    return model


@pytest.mark.parametrize(
    ("graph", "weights", "macs"),
    [
        pytest.param(
            "main (float[1,8,10,10] x, WEIGHTS) => (float[1,16,5,5] y)"
            " { y = Conv <strides = [2, 2], pads = [1, 1, 1, 1]> (x, w) }",
            {"w": (16, 8, 3, 3)},
            16 * 5 * 5 * 8 * 3 * 3,
            id="Conv",
        ),
        pytest.param(
            "main (float[1,8,10,10] x, WEIGHTS) => (float[1,8,8,8] y)"
            " { y = Conv <group = 8> (x, w) }",
            {"w": (8, 1, 3, 3)},
            8 * 8 * 8 * 3 * 3,
            id="depthwise Conv",
        ),
        pytest.param(
            "main (float[1,8,10,10] x, WEIGHTS) => (float[1,4,20,20] y)"
            " { y = ConvTranspose <strides = [2, 2]> (x, w) }",
            {"w": (8, 4, 2, 2)},
            8 * 10 * 10 * 4 * 2 * 2,
            id="ConvTranspose",
        ),
        pytest.param(
            "main (float[2,8] x, WEIGHTS) => (float[2,4] y) { y = Gemm (x, w, b) }",
            {"w": (8, 4), "b": (4,)},
            2 * 8 * 4,
            id="Gemm",
        ),
        pytest.param(
            "main (float[8,2] x, WEIGHTS) => (float[2,4] y)"
            " { y = Gemm <transA = 1, transB = 1> (x, w) }",
            {"w": (4, 8)},
            2 * 8 * 4,
            id="transposed Gemm",
        ),
        pytest.param(
            "main (float[3,5,2,8] x, WEIGHTS) => (float[3,5,2,4] y) { y = MatMul (x, w) }",
            {"w": (3, 1, 8, 4)},
            3 * 5 * 2 * 8 * 4,
            id="batched MatMul",
        ),
        pytest.param(
            "main (float[N,8] x, WEIGHTS) => (float[N,4] y) { y = MatMul (x, w) }",
            {"w": (8, 4)},
            8 * 4,
            id="a symbolic dimension counts as 1",
        ),
        pytest.param(
            "main (float[7,1,8] x, WEIGHTS) => (float[7,1,1,16] y)"
            " { y, h, c = LSTM <hidden_size = 16> (x, w, r) }",
            {"w": (1, 64, 8), "r": (1, 64, 16)},
            7 * 64 * (8 + 16),
            id="LSTM",
        ),
        pytest.param(
            "main (float[7,1,8] x, WEIGHTS) => (float[7,2,1,16] y)"
            ' { y, h = GRU <hidden_size = 16, direction = "bidirectional"> (x, w, r) }',
            {"w": (2, 48, 8), "r": (2, 48, 16)},
            7 * 2 * 48 * (8 + 16),
            id="GRU",
        ),
        pytest.param(
            "main (float[4] x, WEIGHTS) => (float[4] y) { y = Mul (x, w) }",
            {"w": (4,)},
            0,
            id="others",
        ),
    ],
)
def test_the_cost_of_an_operator(
    graph: str, weights: dict[str, tuple[int, ...]], macs: int
) -> None:
    model = weighted(graph, **weights)
    stored = sum(4 * int(np.prod(shape)) for shape in weights.values())
    assert cost.total(model) == cost.always(model) == Side(macs, stored)


# `outer` has a matrix of its own on its on side and shares `w` with what always runs, through
# a Reshape; `inner` stands inside, once with two matrices and once without.
GATED = """main (float[1,8] x, bool outer, bool inner, WEIGHTS) => (float[1,8] y) {
    h = MatMul (x, w)
    y = If (outer) <
        then_branch = on () => (float[1,8] y1) {
            a = MatMul (h, v)
            b = If (inner) <
                then_branch = more () => (float[1,8] b1) {
                    c = MatMul (a, u)
                    shape = Constant <value_ints = [8, 8]> ()
                    again = Reshape (w, shape)
                    d = MatMul (c, again)
                    b1 = MatMul (d, again)
                },
                else_branch = less () => (float[1,8] b0) { b0 = Identity (a) }>
            y1 = Add (a, b)
        },
        else_branch = off () => (float[1,8] y0) { y0 = Identity (h) }>
}"""
ONE, BYTES = 64, 4 * 64  # one product with an 8 by 8 matrix, and its size


def gated() -> ir.Model:
    model = weighted(GATED, w=(8, 8), v=(8, 8), u=(8, 8))
    return tagged(model, [("y", "outer", "1", "0"), ("b", "inner", "1", "0")])


def test_the_cost_of_either_side_of_nested_gates() -> None:
    assert cost.sides_from_model(gated(), {"outer": 2, "inner": 2}) == {
        "outer": (Side(0, 0), Side(4 * ONE, 3 * BYTES)),
        "inner": (Side(0, 0), Side(3 * ONE, 2 * BYTES)),
    }


def test_the_whole_network_and_what_always_runs() -> None:
    assert cost.total(gated()) == Side(5 * ONE, 3 * BYTES)
    assert cost.always(gated()) == Side(ONE, BYTES)


def test_a_file_that_is_read_again_costs_the_same(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path = tmp_path_factory.mktemp("cost") / "net.onnx"
    artifact.write(gated(), Manifest("onnx"), path)
    model, _ = artifact.read(path)
    counts = {"outer": 2, "inner": 2}
    assert cost.sides_from_model(model, counts) == cost.sides_from_model(gated(), counts)


def test_several_ifs_of_one_decision_add_up_and_clones_do_not() -> None:
    model = weighted(
        """main (float[1,8] x, bool e, bool d, WEIGHTS) => (float[1,8] y) {
            a = If (d) <
                then_branch = t1 () => (float[1,8] a1) { a1 = MatMul (x, w) },
                else_branch = f1 () => (float[1,8] a0) { a0 = Identity (x) }>
            y = If (e) <
                then_branch = t2 () => (float[1,8] y1) {
                    y1 = If (d) <
                        then_branch = t3 () => (float[1,8] b1) { b1 = MatMul (a, w) },
                        else_branch = f3 () => (float[1,8] b0) { b0 = Identity (a) }>
                },
                else_branch = f2 () => (float[1,8] y0) {
                    p = MatMul (a, w)
                    q = If (d) <
                        then_branch = t4 () => (float[1,8] c1) {
                            c2 = MatMul (p, v)
                            c1 = MatMul (c2, v)
                        },
                        else_branch = f4 () => (float[1,8] c0) { c0 = Identity (p) }>
                    y0 = Identity (q)
                }>
        }""",
        w=(8, 8),
        v=(8, 8),
    )
    tags = [(name, "d", "1", "0") for name in ("a", "y1", "q")] + [("y", "e", "1", "0")]
    sides = cost.sides_from_model(tagged(model, tags), {"d": 2, "e": 2})
    assert sides == {
        "d": (Side(0, 0), Side(3 * ONE, 2 * BYTES)),
        "e": (Side(3 * ONE, 2 * BYTES), Side(ONE, BYTES)),
    }


def test_the_options_of_a_switch() -> None:
    model = weighted(
        """main (float[1,8] x, int64 i, bool upper, bool top, WEIGHTS) => (float[1,8] y) {
            y = If (upper) <
                then_branch = high () => (float[1,8] y12) {
                    h = MatMul (x, w)
                    y12 = If (top) <
                        then_branch = two () => (float[1,8] y2) {
                            z = MatMul (h, u)
                            y2 = MatMul (z, u)
                        },
                        else_branch = one () => (float[1,8] y1) { y1 = MatMul (h, v) }>
                },
                else_branch = zero () => (float[1,8] y0) { y0 = Abs (x) }>
        }""",
        w=(8, 8),
        v=(8, 8),
        u=(8, 8),
    )
    tagged(model, [("y", "s", "1,2", "0"), ("y12", "s", "2", "1")])
    assert cost.sides_from_model(model, {"s": 3, "elsewhere": 2}) == {
        "s": (Side(0, 0), Side(2 * ONE, 2 * BYTES), Side(3 * ONE, 2 * BYTES)),
        "elsewhere": (Side(0, 0), Side(0, 0)),
    }


def test_a_loop_counts_as_often_as_it_runs() -> None:
    model = weighted(
        """main (float[1,8] x, WEIGHTS) => (float[1,8] y) {
            rounds = Constant <value = int64 {3}> ()
            go = Constant <value = bool {1}> ()
            y = Loop (rounds, go, x) <
                body = step (int64 i, bool c, float[1,8] s) => (bool c1, float[1,8] s1) {
                    c1 = Identity (c)
                    s1 = MatMul (s, w)
                }>
        }""",
        w=(8, 8),
    )
    whole = cost.total(model)
    assert whole == cost.always(model)
    assert whole.macs == 3 * ONE
    assert whole.weight_bytes == BYTES + 8 + 1


# --- channel budgets -------------------------------------------------------------------------

# What `BUDGETED` becomes: `w` is cut in each branch, from its start.
PER_LEVEL = """main (float[1,8] x, bool upper, WEIGHTS) => (float[1,N] y)
    <int64[2] start = {0, 0}, int64[2] half = {4, 4}, int64[1] four = {4}, int64[1] none = {0},
    int64[1] one = {1}> {
    y = If (upper) <
        then_branch = high () => (float[1,N] y1) {
            a1 = MatMul (x, w)
            y1 = MatMul (a1, v)
        },
        else_branch = low () => (float[1,N] y0) {
            x0 = Slice (x, none, four, one)
            w0 = Slice (w, start, half)
            v0 = Slice (v, none, four, one)
            a0 = MatMul (x0, w0)
            b0 = Slice (v0, none, four, none)
            y0 = MatMul (a0, b0)
        }>
}"""


def test_of_a_weight_cut_from_its_start_the_part_that_is_read_counts() -> None:
    model = weighted(PER_LEVEL, w=(8, 8), v=(8, 8))
    tagged(model, [("y", "level", "1", "0")])
    low, high = cost.sides_from_model(model, {"level": 2})["level"]
    assert high.weight_bytes == 2 * BYTES
    assert low.weight_bytes == BYTES // 4 + BYTES  # of a cut of a cut, all that is behind it
    assert cost.total(model).weight_bytes == 2 * BYTES


def test_of_two_cuts_of_one_weight_the_larger_counts() -> None:
    model = weighted(
        """main (float[1,8] x, WEIGHTS) => (float[1,2] y, float[1,4] z)
        <int64[1] none = {0}, int64[1] two = {2}, int64[1] four = {4}, int64[1] one = {1}> {
            a = Slice (w, none, two, one)
            b = Slice (w, none, four, one)
            y = MatMul (x, a)
            z = MatMul (x, b)
        }""",
        w=(8, 8),
    )
    assert cost.total(model).weight_bytes == BYTES // 2
    model.graph.node(1).replace_input_with(1, model.graph.initializers["two"])
    assert cost.total(model).weight_bytes == BYTES


def leveled(note: object) -> ir.Model:
    """A product of run-time shapes, noted as such, behind one that always runs."""
    model = weighted(
        """main (float[1,8] x, WEIGHTS) => (y) { h = MatMul (x, v)  y = MatMul (h, w) }""",
        w=(8, 8),
        v=(8, 8),
    )
    model.graph.node(1).outputs[0].shape = None
    model.graph.node(1).metadata_props[LEVEL_MACS] = json.dumps(note)
    return model


def test_a_node_of_run_time_shapes_costs_what_is_noted_of_its_level() -> None:
    model = leveled({"decision": "width", "macs": [4, 16, 64]})
    assert cost.total(model) == Side(ONE + 64, 2 * BYTES)
    assert cost.always(model) == Side(ONE, BYTES)
    paths = [{"width": 0}, {"width": 1}, {"width": 9}, {}]
    assert [side.macs for side in cost.along(model, paths)] == [ONE + m for m in (4, 16, 64, 64)]
    assert cost.sides_from_model(model, {"width": 3})["width"] == (
        *(Side(count, BYTES) for count in (4, 16, 64)),
    )
    assert macs.node_macs(model.graph.node(1)) == 64


@pytest.mark.parametrize(
    "note",
    [
        pytest.param(3, id="a number"),
        pytest.param({"decision": "d"}, id="no costs"),
        pytest.param({"decision": "d", "macs": ["many"]}, id="no number"),
        pytest.param({"decision": "d", "macs": None}, id="nothing"),
    ],
)
def test_a_note_of_another_form_is_none(note: object) -> None:
    model = leveled(note)
    assert macs.level_macs(model.graph.node(1)) is None
    assert cost.total(model) == cost.always(model)
