import itertools

import numpy as np
import onnx_ir as ir
import pytest

from dyncompile.describe import manifest_from_model
from dyncompile.dialect import DECISION
from dyncompile.forcing import force_decisions
from dyncompile.passes import BranchOnDecisions
from dyncompile.passes.report_decisions import report_decisions
from dyncompile.passes.rounds import Rounds, bodies_of
from dyncompile.paths import DecisionTree
from tests.support import assert_same_numbers, ort_run, parse, random_feeds

# `inner` is decided in every round, `outer` once; `around` decides whether there are rounds.
GATED = """main (bool around, bool outer, int64 n, bool go, float[1,4] x) => (float[1,4] y) {
    s0 = Neg (x)
    l = Loop (n, go, s0) <body = round (int64 i, bool c, float[1,4] s) => (bool d, float[1,4] t) {
        zero = Constant <value = float {0}> ()
        d = Identity (c)
        score = ReduceSum <keepdims = 0> (s)
        inner = Greater (score, zero)
        f = Tanh (s)
        g = dyncompile.Gate <name = "inner"> (inner, f, s)
        h = Abs (g)
        t = dyncompile.Gate <name = "outer"> (outer, h, g)
    }>
    y = dyncompile.Gate <name = "around"> (around, l, x)
}"""


@pytest.fixture
def lowered() -> ir.Model:
    model = parse(GATED)
    assert BranchOnDecisions()(model).modified
    return model


def test_a_decision_of_every_round_is_no_decision_of_the_call(lowered: ir.Model) -> None:
    manifest = manifest_from_model(lowered, {}, "onnx")
    assert {decision.name for decision in manifest.decisions} == {"around", "outer"}
    assert {tuple(path) for path in DecisionTree.from_model(lowered).paths().paths} == {
        ("around",),
        ("around", "outer"),
    }
    marked = manifest_from_model(parse(GATED), {}, "marked")
    assert {decision.name for decision in marked.decisions} == {"around", "outer"}


def test_its_ifs_run_but_carry_no_notes(lowered: ir.Model) -> None:
    inside = [node for graph in bodies_of(lowered.graph) for node in graph if node.op_type == "If"]
    assert [node.metadata_props.get(DECISION) for node in inside] == [None, "outer"]
    for around, outer in itertools.product([False, True], repeat=2):
        feeds = random_feeds(parse(GATED), 1, around=around, outer=outer, n=3, go=True)
        assert_same_numbers(parse(GATED), lowered, [feeds])


def test_forcing_the_decisions_of_the_call_leaves_those_of_the_rounds_free(
    lowered: ir.Model,
) -> None:
    decisions = manifest_from_model(lowered, {}, "onnx").decisions
    free = lowered.clone()
    outputs = report_decisions(free, decisions)
    assert set(outputs) == {"around", "outer"}
    inputs = force_decisions(lowered, decisions)
    assert set(inputs) == {"around", "outer"}
    feeds = random_feeds(parse(GATED), 2, around=False, outer=False, n=3, go=True)
    forced = feeds | {name: np.asarray(True) for names in inputs.values() for name in names}
    wanted = feeds | {"around": np.asarray(True), "outer": np.asarray(True)}
    np.testing.assert_array_equal(ort_run(lowered, forced)[0], ort_run(parse(GATED), wanted)[0])


def test_reads_the_states_of_a_scan() -> None:
    model = parse("""main (float[1,4] x, float[3,4] r) => (float[1,4] y, float[3,4] z) {
        y, z = Scan <num_scan_inputs = 1, body =
            round (float[1,4] s, float[4] e) => (float[1,4] t, float[4] o)
            { t = Neg (s) o = Abs (e) }> (x, r)
    }""")
    (node,) = model.graph
    rounds = Rounds.from_node(node)
    assert rounds is not None
    assert [(one.name, other.name) for one, other in rounds.states] == [("s", "t")]


def test_reads_no_other_node() -> None:
    (node,) = parse("main (float[4] x) => (float[4] y) { y = Neg (x) }").graph
    assert Rounds.from_node(node) is None
