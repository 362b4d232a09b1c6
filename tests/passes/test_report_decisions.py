import numpy as np
import onnx_ir as ir
import pytest

from dyncompile.errors import GraphError
from dyncompile.manifest import Decision
from dyncompile.passes.report_decisions import report_decisions
from tests.lowered import NESTED_DECISIONS, NO_COST, SWITCH_DECISIONS, nested, switched
from tests.support import Array, ort_run, parse, run

F32 = np.float32


def reported(model: ir.Model, decisions: tuple[Decision, ...], **feeds: object) -> dict[str, int]:
    arrays: dict[str, Array] = {name: np.asarray(value) for name, value in feeds.items()}
    before = ort_run(model, arrays)
    outputs = report_decisions(model, decisions)
    first, second = run(model, arrays), ort_run(model, arrays)
    assert [value.name for value in model.graph.outputs][1:] == list(outputs.values())
    for one, other in zip(first[1:], second[1:], strict=True):
        assert one.shape == other.shape == ()
        assert one.dtype == other.dtype == np.int64
        assert one == other
    np.testing.assert_array_equal(second[0], before[0])
    return dict(zip(outputs, map(int, second[1:]), strict=True))


@pytest.mark.parametrize(
    ("x", "path"),
    [
        pytest.param(
            [1, 1, 1, 1],
            {"outer": 1, "inner": 1, "exit": 0, "deep": 1},
            id="all on, exit not taken",
        ),
        pytest.param(
            [-1, -1, -1, -1], {"outer": 0, "inner": 0, "exit": 1, "deep": -1}, id="exit taken"
        ),
        pytest.param(
            [-9, 1, 1, 1], {"outer": 0, "inner": 0, "exit": 0, "deep": 0}, id="the other clone"
        ),
        pytest.param(
            [0.1, 0.1, 0.1, 0.1],
            {"outer": 0, "inner": 1, "exit": 1, "deep": -1},
            id="the other clone decides otherwise",
        ),
    ],
)
def test_reports_the_path_taken(x: list[float], path: dict[str, int]) -> None:
    taken = reported(nested(), NESTED_DECISIONS, x=np.array([x], F32), threshold=F32(0.5))
    assert taken == path


@pytest.mark.parametrize(("level", "option"), [(0, 0), (1, 1), (2, 2), (-3, 0), (9, 2)])
def test_a_switch_reports_the_option_an_index_means(level: int, option: int) -> None:
    x = np.ones((1, 4), F32)
    assert reported(switched(), SWITCH_DECISIONS, x=x, level=np.int64(level)) == {"level": option}


def test_a_decision_inside_a_loop_has_no_single_option() -> None:
    model = parse("""main (float[4] x) => (float[4] y) {
        count = Constant <value = int64 {3}> ()
        go = Constant <value = bool {1}> ()
        y = Loop (count, go, x) <
                body = step (int64 i, bool c, float[4] s) => (bool c1, float[4] s1) {
            top = ReduceMax <keepdims = 0> (s)
            take = Less (top, top)
            c1 = Identity (c)
            s1 = If (take) <
                then_branch = on () => (float[4] r1) { r1 = Neg (s) },
                else_branch = off () => (float[4] r0) { r0 = Abs (s) }>
        }>
    }""")
    gate = Decision("looped", "gate", ("take",), (), NO_COST)
    assert reported(model, (gate,), x=np.ones(4, F32)) == {"looped": -1}


def test_names_stay_unique_in_all_scopes() -> None:
    model = nested()
    report_decisions(model, NESTED_DECISIONS)
    report_decisions(model, NESTED_DECISIONS)
    names = [value.name for node in model.graph.all_nodes() for value in node.outputs]
    assert len(set(names)) == len(names)
    outputs = ort_run(model, {"x": np.ones((1, 4), F32), "threshold": np.asarray(F32(0.5))})
    assert outputs[1:5] == outputs[5:]


def test_a_value_the_graph_lacks_is_an_error() -> None:
    lost = Decision("lost", "gate", ("gone",), (), NO_COST)
    with pytest.raises(GraphError, match="decision 'lost': the graph has no value 'gone'"):
        report_decisions(nested(), [lost])


def test_a_decision_that_a_branch_hands_out_is_reported_where_it_was_made() -> None:
    model = parse("""main (float[1] x, bool outer) => (float[1] y) {
        h, take = If (outer) <
            then_branch = on () => (float[1] h1, bool take1) {
                zero = Constant <value = float {0.0}> ()
                score = ReduceSum <keepdims = 0> (x)
                take1 = Greater (score, zero)
                h1 = Neg (x)
            },
            else_branch = off () => (float[1] h0, bool take0) {
                h0 = Abs (x)
                take0 = Constant <value = bool {0}> ()
            }>
        y = If (take) <then_branch = a () => (float[1] a1) { a1 = Exp (h) },
                       else_branch = b () => (float[1] b1) { b1 = Neg (h) }>
    }""")
    stand_in = next(n for n in model.graph.all_nodes() if n.outputs[0].name == "take0")
    stand_in.metadata_props["dyncompile.absent"] = "1"
    for values in ("take", "take1"), ("take1",), ("take",):
        decision = Decision("inner", "gate", values, (), NO_COST)
        for outer, x, option in (True, 1, 1), (True, -1, 0), (False, 1, -1):
            found = reported(model.clone(), (decision,), x=np.array([x], F32), outer=outer)
            assert found == {"inner": option}
