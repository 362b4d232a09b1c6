import itertools

import numpy as np
import onnx_ir as ir
import pytest

from dyncompile.errors import GraphError
from dyncompile.manifest import Decision
from dyncompile.passes.decision_values import values_by_name
from dyncompile.passes.expose_decisions import expose_decisions
from tests.lowered import NESTED_DECISIONS, NO_COST, SWITCH_DECISIONS, nested, switched
from tests.support import ort_run, parse, run

F32 = np.float32
X = np.array([[-2.0, -0.5, 0.25, 1.5]], F32)
THRESHOLD = np.asarray(F32(0.5))


@pytest.mark.parametrize("path", list(itertools.product([0, 1], repeat=4)))
def test_every_path_can_be_forced(path: tuple[int, ...]) -> None:
    outer, inner, leave, deep = path
    model = nested()
    inputs = expose_decisions(model, NESTED_DECISIONS)
    assert inputs == {
        "outer": ["outer.decision"],
        "inner": ["inner.decision"],
        "exit": ["exit.decision"],
        "deep": ["deep.decision"],
    }
    feeds = {
        "outer.decision": np.asarray(bool(outer)),
        "inner.decision": np.asarray(bool(inner)),
        "exit.decision": np.asarray(bool(leave)),
        "deep.decision": np.asarray(bool(deep)),
        "x": X,
        "threshold": THRESHOLD,
    }
    h = X
    if inner:
        h = np.maximum(X, 0) if outer else -X
    expected = np.abs(h) if leave else (np.exp(h) if deep else np.tanh(h))
    (got,) = ort_run(model, feeds)
    np.testing.assert_allclose(got, expected, rtol=1e-6)  # exp and tanh differ by an ulp or two
    np.testing.assert_allclose(run(model, feeds)[0], expected, rtol=1e-6)


def test_scores_are_not_computed_any_more_unless_asked_for() -> None:
    scores = {"ReduceMean", "ReduceMax", "ReduceMin", "ReduceSum", "Greater", "Less"}
    model = nested()
    expose_decisions(model, NESTED_DECISIONS)
    assert not scores & {node.op_type for node in model.graph.all_nodes()}
    model = nested()
    expose_decisions(model, NESTED_DECISIONS, keep_scores=True)
    assert scores <= {node.op_type for node in model.graph.all_nodes()}


def test_a_knob_stays_the_input_it_is() -> None:
    model = switched()
    assert expose_decisions(model, SWITCH_DECISIONS) == {"level": ["level"]}
    assert [value.name for value in model.graph.inputs] == ["x", "level"]


def test_knobs_stay_inputs_when_nothing_reads_them_any_more() -> None:
    model = nested()
    expose_decisions(model, NESTED_DECISIONS)
    assert [value.name for value in model.graph.inputs][:2] == ["x", "threshold"]


def test_a_decision_that_is_an_output_stays_one() -> None:
    model = parse("""main (float[1,4] x) => (float[1,4] y, bool take) {
        top = ReduceMax <keepdims = 0> (x)
        take = Less (top, top)
        y = If (take) <
            then_branch = on () => (float[1,4] y1) { y1 = Neg (x) },
            else_branch = off () => (float[1,4] y0) { y0 = Abs (x) }>
    }""")
    gate = Decision("gate", "gate", ("take",), (), NO_COST)
    expose_decisions(model, [gate])
    assert [value.name for value in model.graph.outputs] == ["y", "take"]
    y, take = ort_run(model, {"x": X, "gate.decision": np.asarray(True)})
    np.testing.assert_array_equal(y, -X)
    assert take


def test_a_decision_that_leaves_a_branch_is_forced_there_too() -> None:
    model = parse("""main (float[1,4] x, bool outer) => (float[1,4] y) {
        taken = If (outer) <
            then_branch = a () => (bool found) {
                top = ReduceMax <keepdims = 0> (x)
                found = Less (top, top)
            },
            else_branch = b () => (bool never) { never = Constant <value = bool {0}> () }>
        y = If (taken) <
            then_branch = on () => (float[1,4] y1) { y1 = Neg (x) },
            else_branch = off () => (float[1,4] y0) { y0 = Abs (x) }>
    }""")
    gate = Decision("gate", "gate", ("found",), (), NO_COST)
    expose_decisions(model, [gate])
    feeds = {"x": X, "outer": np.asarray(True), "gate.decision": np.asarray(True)}
    np.testing.assert_array_equal(ort_run(model, feeds)[0], -X)


def test_values_of_different_shape_get_an_input_each() -> None:
    model = nested()
    values_by_name(model)["deep_take"].shape = ir.Shape([1])
    both = Decision("both", "gate", ("exit_take", "deep_take"), (), NO_COST)
    assert expose_decisions(model, [both]) == {"both": ["both.decision", "both.decision.2"]}
    assert [len(value.shape or ()) for value in model.graph.inputs[-2:]] == [0, 1]


def test_two_decisions_on_one_value_share_its_input() -> None:
    twin = Decision("twin", "gate", ("exit_take",), (), NO_COST)
    inputs = expose_decisions(nested(), [*NESTED_DECISIONS, twin])
    assert inputs["twin"] == inputs["exit"]


def test_a_value_the_graph_lacks_is_an_error() -> None:
    lost = Decision("lost", "gate", ("gone",), (), NO_COST)
    with pytest.raises(GraphError, match="decision 'lost': the graph has no value 'gone'"):
        expose_decisions(nested(), [lost])
