from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import onnx_ir as ir
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings

from dyncompile import cost, follow, pipeline
from dyncompile.capture import capture_model
from dyncompile.describe import manifest_from_model
from dyncompile.dialect import DOMAIN, Selector
from dyncompile.forcing import force_decisions
from dyncompile.knobs import Knob, Levels, Threshold
from dyncompile.manifest import Decision
from dyncompile.measuring.statics import Statics
from dyncompile.passes.take_path import take_path
from dyncompile.paths import DecisionTree
from dyncompile.targets import ort
from tests.budgeted_networks import COUNTS, EXAMPLE, Budgeted
from tests.lowered import NESTED_DECISIONS, SWITCH_DECISIONS, nested, switched
from tests.random_networks import LEVELS, Network, marked_model, networks
from tests.support import Array, Feeds, ort_session, parse, run

KNOBS: dict[str, Knob] = {"level": Levels(tuple(range(LEVELS))), "threshold": Threshold(0.0)}
F32 = np.float32
X = np.array([[-2.0, -0.5, 0.25, 1.5]], F32)
FEEDS: Feeds = {"x": X, "threshold": np.asarray(F32(0.5))}
HEAVY = {"Conv", "MatMul"}


def operators(model: ir.Model) -> Counter[str]:
    return Counter(node.op_type for node in model.graph.all_nodes())


def forced(decisions: dict[str, list[str]], model: ir.Model, path: dict[str, int]) -> Feeds:
    inputs = {value.name: value for value in model.graph.inputs}
    feeds: Feeds = {}
    for decision, names in decisions.items():
        for name in names:
            value = inputs[name]
            assert value.dtype is not None
            option = path.get(decision, 0)
            feeds[name] = np.full([1] * len(value.shape or ()), option, value.dtype.numpy())
    return feeds


@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(network=networks())
def test_the_network_of_a_path_computes_what_the_forced_path_does(network: Network) -> None:
    marked = marked_model(network)
    lowered = marked.clone()
    for _ in pipeline.run(lowered, ort.passes()):
        pass
    decisions = manifest_from_model(lowered, KNOBS, "onnx").decisions
    scores = manifest_from_model(marked, KNOBS, "marked").decisions
    from_model = Statics(marked, scores, decisions, tuple(KNOBS), "")
    copy = lowered.clone()
    inputs = force_decisions(copy, decisions)
    session, feeds = ort_session(copy), network.feeds()[-1]
    paths = DecisionTree.from_model(lowered).paths().paths[:6]
    costs = cost.along(lowered, paths)
    for path, side in zip(paths, costs, strict=True):
        want = session({**feeds, **forced(inputs, copy, path)})
        static = take_path(lowered, path)
        assert "If" not in operators(static)
        assert not list(static.graph.subgraphs())
        assert_same(ort_session(static)(feeds), want)
        scored = cost.total(take_path(lowered, path, decisions)).weight_bytes
        assert cost.total(static).weight_bytes <= scored <= side.weight_bytes
        if not any(is_mask(decision, scores) for decision in decisions):
            other = from_model.network(path, scored=False)
            if any(map(Selector.from_node, other.graph.all_nodes())):
                continue  # a decision follows from another, and was folded into it
            assert_same(ort_session(other)(feeds), want)
            assert heavy(static) == heavy(other), (
                path,
                operators(static),
                operators(other),
                decisions,
            )


def is_mask(decision: Decision, scores: tuple[Decision, ...]) -> bool:
    """Whether gates were made of a product with the decision, in all places or in some."""
    names = {decision.name, *(name for name, _ in decision.aliases)}
    return not names <= {score.name for score in scores}


def heavy(model: ir.Model) -> int:
    found = operators(model)
    return sum(found[op_type] for op_type in HEAVY)


def assert_same(got: list[Array], want: list[Array]) -> None:
    for have, wish in zip(got, want, strict=True):
        assert have.dtype == wish.dtype
        np.testing.assert_array_equal(have, wish)


@pytest.mark.parametrize("path", list(itertools.product([0, 1], repeat=4)), ids=str)
def test_ifs_without_a_decision_stay_and_what_is_in_them_is_specialised(
    path: tuple[int, ...],
) -> None:
    names = [decision.name for decision in NESTED_DECISIONS]
    static = take_path(nested(), dict(zip(names, path, strict=True)))
    outer, inner, leave, deep = path
    assert operators(static)["If"] == (0 if leave else 1)
    h = X if not inner else np.maximum(X, 0) if outer else -X
    expected = np.abs(h) if leave else (np.exp(h) if deep else np.tanh(h))
    np.testing.assert_allclose(run(static, FEEDS)[0], expected, rtol=1e-6)
    assert [value.name for value in static.graph.outputs] == ["y"]


def test_decisions_that_are_not_on_the_path_are_still_made() -> None:
    static = take_path(nested(), {"outer": 1, "exit": 1})
    assert operators(static)["If"] == 1
    np.testing.assert_array_equal(run(static, FEEDS)[0], np.maximum(X, 0))


@pytest.mark.parametrize(("level", "operator"), [(0, "Abs"), (1, "Neg"), (2, "Exp")], ids=str)
def test_a_switch_over_several_ifs_is_one_decision(level: int, operator: str) -> None:
    static = take_path(switched(), {"level": level}, SWITCH_DECISIONS)
    assert operators(static) == {operator: 1}


def test_scores_stay_as_further_outputs() -> None:
    path = {"outer": 1, "inner": 0, "exit": 1}
    kept = [decision for decision in NESTED_DECISIONS if decision.name in path]
    static = take_path(nested(), path, kept)
    assert [value.name for value in static.graph.outputs] == [
        *("y", "outer_take", "inner_a", "exit_take")
    ]
    y, outer, inner, leave = run(static, FEEDS)
    np.testing.assert_array_equal(y, np.abs(X))
    assert [bool(outer), bool(inner), bool(leave)] == [False, True, False]
    assert "ReduceMean" not in operators(take_path(nested(), path))


def test_loops_keep_the_decisions_in_them() -> None:
    model = parse("""main (float[1,4] x) => (float[1,4] y) {
        rounds = Constant <value = int64 {3}> ()
        go = Constant <value = bool {1}> ()
        y = Loop (rounds, go, x) <body = round (int64 i, bool before, float[1,4] h)
            => (bool after, float[1,4] next) {
            after = Identity (before)
            top = ReduceMax <keepdims = 0> (h)
            bound = Constant <value = float {1.0}> ()
            take = Greater (top, bound)
            next = If (take) <
                then_branch = on () => (float[1,4] a) { a = Neg (h) },
                else_branch = off () => (float[1,4] b) { b = Add (h, h) }>
        }>
    }""")
    static = take_path(model, {"other": 1})
    assert operators(static) == operators(model)
    np.testing.assert_array_equal(run(static, FEEDS)[0], run(model, FEEDS)[0])


def test_markers_give_way_to_their_options() -> None:
    model = parse("""main (float[1,4] x, int64 level) => (float[1,4] y, float[1,4] z) {
        a = Neg (x)
        b = Exp (x)
        y = dyncompile.Switch3 <name = "s"> (level, x, a, b)
        zero = Constant <value_float = 0.0> ()
        top = ReduceMax <keepdims = 0> (x)
        take = Greater (top, zero)
        z = dyncompile.Gate <name = "g"> (take, a, x)
    }""")
    static = take_path(model, {"s": 1, "g": 1})
    assert operators(static) == {"Neg": 1, "Identity": 1}
    assert [value.name for value in static.graph.outputs] == ["y", "z"]
    for got in run(static, {"x": X, "level": np.asarray(0)}):
        np.testing.assert_array_equal(got, -X)


def test_the_model_is_left_as_it_is() -> None:
    model = nested()
    before = ir.to_proto(model).SerializeToString(deterministic=True)
    take_path(model, {"outer": 1, "inner": 1, "exit": 0, "deep": 0}, NESTED_DECISIONS)
    assert ir.to_proto(model).SerializeToString(deterministic=True) == before


SWITCHES = """main (float[1,4] x, int64 level) => (float[1,4] y, float[1,4] z)
    <float[4,4] a = {1,0,0,0, 0,1,0,0, 0,0,1,0, 0,0,0,2}, float[4,4] b = {2,1,0,0, 0,1,0,0,
     0,0,1,0, 0,0,0,1}, float[1,4] p, float[1,4] q, float[1,4] r, float[1,4] s, float[1,4] t,
     float[1,4] u, float top, int64 index, float[1,4] v> {
    top = ReduceMax <keepdims = 0> (x)
    index = Cast <to = 7> (top)
    p = MatMul (x, a)
    q = MatMul (p, b)
    r = MatMul (x, b)
    s = MatMul (r, a)
    t = Add (q, p)
    u = Add (s, r)
    y = dyncompile.Switch4 <name = "s"> (index, q, s, t, u)
    v = MatMul (y, a)
    w = MatMul (v, b)
    z = dyncompile.Switch2 <name = "s"> (index, y, w)
}"""


@pytest.mark.parametrize("option", range(4))
def test_a_switch_whose_halves_interleave_can_be_forced(option: int) -> None:
    marked = parse(SWITCHES)
    lowered = marked.clone()
    for _ in pipeline.run(lowered, ort.passes()):
        pass
    decisions = manifest_from_model(lowered, {}, "onnx").decisions
    path = DecisionTree.from_model(lowered).path({"s": option})
    assert path == {"s": option}
    feeds: Feeds = {"x": np.array([[0.5, 1.0, float(option), -1.0]], F32)}
    feeds["level"] = np.asarray(0)
    if option == 0:
        feeds["x"][0, 1] = 0.25
    want = run(marked, feeds)
    static = take_path(lowered, path)
    assert "If" not in operators(static)
    assert_same(run(static, feeds), want)
    other: Feeds = {**feeds, "x": -feeds["x"]}
    copy = lowered.clone()
    inputs = force_decisions(copy, decisions)
    got = run(copy, {**other, **forced(inputs, copy, path)})
    assert_same(run(static, other), got)
    kept = lowered.clone()
    inputs = force_decisions(kept, decisions, keep_scores=True)
    assert {"ReduceMax", "Cast"} <= set(operators(kept))
    assert not {"ReduceMax", "Cast"} & set(operators(copy))
    assert_same(run(kept, {**other, **forced(inputs, kept, path)}), got)


# --- channel budgets -------------------------------------------------------------------------

PATHS = [{"width": level, "block": on} for level in range(len(COUNTS)) for on in (0, 1)]


@pytest.mark.parametrize("source", ["marked", "switch", "slice"])
def test_the_network_of_a_level_has_the_weights_of_its_channels(source: str) -> None:
    module = Budgeted().eval()
    model, target = capture_model(module, EXAMPLE, module.knobs), "marked"
    if source != "marked":
        target = "onnx"
        for _ in pipeline.run(model, ort.passes(source)):  # type: ignore[arg-type]
            pass
    decisions = manifest_from_model(model, module.knobs, target).decisions  # type: ignore[arg-type]
    before = ir.to_proto(model).SerializeToString(deterministic=True)
    for path in PATHS:
        for scores in ((), decisions):
            static = take_path(model, path, scores)
            nodes = list(static.graph.all_nodes())
            assert not [node for node in nodes if node.op_type == "If" or node.domain == DOMAIN]
            count, on = COUNTS[path["width"]], path["block"]
            sizes = {
                tuple(value.shape)
                for node in nodes
                if node.op_type in {"Conv", "Gemm"} and (value := node.inputs[1]) and value.shape
            }
            wanted = {(count, 3, 3, 3), (5, count), *([(count, count, 3, 3)] if on else [])}
            assert wanted <= sizes <= wanted | {(1, count)}
            stored = sum(
                v.const_value.nbytes for v in static.graph.initializers.values() if v.const_value
            )
            assert stored < 4 * (27 * count + 9 * on * count**2 + 8 * count + 100)
            assert not static.graph.inputs[1].uses(), "nothing reads the level any more"
            with torch.no_grad(), follow({**path}):
                want = module(EXAMPLE[0], torch.tensor(0)).numpy()
            feeds: Feeds = {"x": EXAMPLE[0].numpy(), "level": np.asarray(0)}
            got = run(static, feeds)[0]
            np.testing.assert_allclose(got, want, atol=1e-6)
    assert ir.to_proto(model).SerializeToString(deterministic=True) == before


def test_costs_noted_by_level_become_those_of_the_level() -> None:
    module = Budgeted()
    model = capture_model(module, EXAMPLE, module.knobs)
    for _ in pipeline.run(model, ort.passes("slice")):
        pass
    costs = cost.along(model, PATHS)
    statics = [
        cost.total(
            take_path(model, path, manifest_from_model(model, module.knobs, "onnx").decisions)
        )
        for path in PATHS
    ]
    assert [side.macs for side in statics] == [side.macs for side in costs]
    assert len({side.macs for side in costs}) == len(PATHS)
