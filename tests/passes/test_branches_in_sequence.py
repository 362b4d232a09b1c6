from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator

import numpy as np
import onnx_ir as ir
import pytest

from dyncompile import pipeline
from dyncompile.describe import manifest_from_model
from dyncompile.dialect import DECISION
from dyncompile.errors import TargetError
from dyncompile.forcing import force_decisions
from dyncompile.manifest import Decision
from dyncompile.passes import BranchOnDecisions
from dyncompile.passes.branches_in_sequence import BranchesInSequence
from dyncompile.passes.constants import shared_sizes
from dyncompile.passes.fill_absent import FillAbsent
from dyncompile.passes.infer_types import InferTypes
from dyncompile.passes.report_decisions import report_decisions
from dyncompile.passes.scopes import nested_nodes
from dyncompile.passes.take_path import take_path
from dyncompile.paths import DecisionTree, Path
from dyncompile.targets import ort
from dyncompile.targets.trt.lowering import lowering
from tests.budgeted.network import Network as Budgeted
from tests.budgeted.network import agree
from tests.budgeted.network import marked_model as budgeted_model
from tests.laziness import Meter, assert_lazy, assert_lazy_on_paths
from tests.random_budgets import networks as budgeted_networks
from tests.random_graphs import random_graph
from tests.random_networks import Network, marked_model
from tests.support import (
    Array,
    Feeds,
    assert_same_numbers,
    assert_unique_names,
    every_feeds,
    ort_session,
    parse,
    random_feeds,
)
from tests.targets.trt.legal import assert_builds, checked, made_legal
from tests.test_random_budgets import examples as budget_examples
from tests.test_random_budgets import refusals
from tests.test_random_networks import examples

WEIGHTS = """float[2,2] v = {1, 0, 1, 1}, float[2,2] w = {1, 1, 0, 1}, float[2,2] u = {0, 1, 1, 1},
    float[2,2] t = {2, 0, 0, 1}"""

# An If in a branch, with work before and behind it.
GATES = f"""main (float[n,2] x, bool c, bool d) => (float[n,2] y) <{WEIGHTS},
    float[n,2] a, float[n,2] b, float[n,2] e, float[n,2] f, float[n,2] g> {{
    a = MatMul (x, v)
    b = MatMul (a, w)
    e = MatMul (a, u)
    f = dyncompile.Gate <name = "inner"> (d, b, e)
    g = MatMul (f, t)
    y = dyncompile.Gate <name = "outer"> (c, g, x)
}}"""

SWITCH = f"""main (float[n,2] x, int64 level) => (float[n,2] y) <{WEIGHTS},
    float[n,2] a, float[n,2] b, float[n,2] e, float[n,2] f> {{
    a = MatMul (x, v)
    b = MatMul (x, w)
    e = MatMul (x, u)
    f = MatMul (x, t)
    y = dyncompile.Switch4 <name = "level"> (level, a, b, e, f)
}}"""

# Two switches on one level; the smaller one takes its last for what lies beyond.
SMALLER = f"""main (float[n,2] x, int64 level) => (float[n,2] y) <{WEIGHTS},
    float[n,2] a, float[n,2] b, float[n,2] e, float[n,2] f, float[n,2] g, float[n,2] h,
    float[n,2] i, float[n,2] j> {{
    a = MatMul (x, v)
    b = MatMul (x, w)
    e = MatMul (x, u)
    f = MatMul (x, t)
    g = dyncompile.Switch3 <name = "small"> (level, a, b, e)
    h = MatMul (g, t)
    i = MatMul (g, u)
    j = Add (g, f)
    y = dyncompile.Switch5 <name = "large"> (level, g, h, i, j, g)
}}"""

# The inner decision is computed in a branch of the outer one, and read as a number besides.
SCORES = f"""main (float[n,2] x, bool c) => (float[n,2] y, float[n,2] z) <{WEIGHTS},
    float zero = {{0}}, float s, bool d, float k,
    float[n,2] a, float[n,2] b, float[n,2] e, float[n,2] f, float[n,2] g> {{
    a = MatMul (x, v)
    s = ReduceSum <keepdims = 0> (a)
    d = Greater (s, zero)
    k = Cast <to = 1> (d)
    b = MatMul (a, w)
    e = MatMul (a, u)
    f = dyncompile.Gate <name = "inner"> (d, b, e)
    g = Add (f, k)
    y = dyncompile.Gate <name = "outer"> (c, g, x)
    z = Relu (x)
}}"""

# Levels in a branch: what their bounds are is read in branches of branches alone.
LEVELS = f"""main (float[n,2] x, bool c, int64 level) => (float[n,2] y) <{WEIGHTS},
    float[n,2] a, float[n,2] b, float[n,2] e, float[n,2] f, float[n,2] g, float[n,2] h> {{
    a = MatMul (x, v)
    b = MatMul (a, w)
    e = MatMul (a, u)
    f = MatMul (a, t)
    g = dyncompile.Switch3 <name = "level"> (level, b, e, f)
    h = MatMul (g, t)
    y = dyncompile.Gate <name = "outer"> (c, h, x)
}}"""

# The outer If has decided what the inner one tests.
DECIDED = f"""main (float[n,2] x, bool c) => (float[n,2] y) <{WEIGHTS}> {{
    y = If (c) <
        then_branch = on () => (float[n,2] y1) {{
            a = MatMul (x, v)
            b, r = If (c) <
                then_branch = in () => (float[n,2] b1, float[n,2] r1) {{
                    b1 = MatMul (a, w)
                    r1 = Identity (a)
                }},
                else_branch = out () => (float[n,2] b0, float[n,2] r0) {{
                    r0 = MatMul (a, u)
                    b0 = Relu (r0)
                }}>
            y1 = Add (b, r)
        }},
        else_branch = off () => (float[n,2] y0) {{
            y0 = If (c) <
                then_branch = in2 () => (float[n,2] y2) {{ y2 = MatMul (x, t) }},
                else_branch = out2 () => (float[n,2] y3) {{ y3 = Neg (x) }}>
        }}>
}}"""

TEXTS = [
    pytest.param(GATES, id="a gate in a gate"),
    pytest.param(SWITCH, id="a switch"),
    pytest.param(SMALLER, id="two switches on one level"),
    pytest.param(SCORES, id="a score in a branch"),
    pytest.param(LEVELS, id="a switch in a gate"),
]


def nested(marked: ir.Model) -> ir.Model:
    """Branch as for TensorRT, and stop before branches are taken apart."""
    passes = list(lowering())
    return _through(marked, passes[: [type(one) for one in passes].index(BranchesInSequence)])


def _through(model: ir.Model, passes: list[ir.passes.PassBase]) -> ir.Model:
    copy = model.clone()
    for _ in pipeline.run(copy, passes):
        pass
    return copy


def in_sequence(before: ir.Model) -> ir.Model:
    passes = list(lowering())
    return _through(before, passes[[type(one) for one in passes].index(BranchesInSequence) :])


def inner_ifs(model: ir.Model) -> list[ir.Node]:
    ifs = (node for node in model.graph if node.op_type == "If")
    return [one for node in ifs for one in nested_nodes(node) if one.op_type == "If"]


def free(model: ir.Model, shape: tuple[int, ...]) -> ir.Model:
    """Let the first size of the values of a shape be any."""
    values = (*model.graph.inputs, *(v for node in model.graph for v in node.outputs))
    for value in values:
        if value.dtype == ir.DataType.FLOAT and value.shape == shape:
            value.shape = ir.Shape(["n", *shape[1:]])
    return model


def feeds_of(model: ir.Model) -> list[Feeds]:
    """Draw feeds for every level."""
    drawn = every_feeds(model)
    if not any(value.name == "level" for value in model.graph.inputs):
        return drawn
    return [
        {**one, "level": np.asarray(level, np.int64)}
        for one, level in itertools.product(drawn, range(-1, 5))
    ]


@pytest.mark.parametrize("text", TEXTS)
def test_ifs_stand_after_each_other_and_compute_the_same_lazily(text: str) -> None:
    marked = parse(text)
    before = nested(marked)
    after = in_sequence(before)
    assert inner_ifs(before)
    assert not inner_ifs(after)
    assert_unique_names(after)
    feeds = feeds_of(marked)
    assert_same_numbers(marked, after, feeds)
    assert_lazy(marked, after, feeds)
    assert not BranchesInSequence()(after).modified


@pytest.mark.parametrize("text", TEXTS)
def test_nothing_is_left_to_change_in_a_legal_graph(text: str) -> None:
    legal = in_sequence(nested(parse(text)))
    again = made_legal(legal)
    assert ir.to_proto(again) == ir.to_proto(legal)


def test_an_if_that_is_decided_around_it_gives_way_to_its_branch() -> None:
    before = parse(DECIDED)
    after = checked(before)
    assert Counter(node.op_type for node in after.graph.all_nodes())["MatMul"] == 2
    assert not inner_ifs(after)
    assert_same_numbers(before, after, feeds_of(before))
    assert_builds(after)


def test_a_constant_of_a_branch_may_have_a_name_of_the_main_graph() -> None:
    before = nested(parse(GATES))
    (branch,) = (graph for graph in before.graph.subgraphs() if "v" in graph.initializers)
    weight, sizes = branch.initializers.pop("v"), shared_sizes(before.graph, [2])
    weight.name = sizes.name
    branch.register_initializer(weight)
    after = in_sequence(before)
    assert not inner_ifs(after)
    assert_unique_names(after)
    assert_same_numbers(parse(GATES), after, feeds_of(before))


def test_a_decision_of_each_row_is_seen_in_those_around_it() -> None:
    text = GATES.replace("bool c", "bool[1] c").replace("bool d", "bool[n] d")
    before = nested(parse(text))
    BranchesInSequence()(before)
    inner = [node for node in before.graph if node.metadata_props.get(DECISION) == "inner"]
    assert [str(node.inputs[0].shape) for node in inner if node.inputs[0]] == ["[n]", "[n]"]
    with pytest.raises(TargetError, match="once per row"):
        checked(in_sequence(nested(parse(text))))


@pytest.mark.parametrize("text", TEXTS)
def test_engines_are_built_for_open_ranges(text: str) -> None:
    assert_builds(checked(in_sequence(nested(parse(text)))))


def test_a_level_tests_its_knob_and_no_other_decision() -> None:
    after = in_sequence(nested(parse(SWITCH)))
    ifs = [node for node in after.graph if node.op_type == "If"]
    assert sorted(node.metadata_props["dyncompile.then"] for node in ifs) == ["0", "1", "2", "3"]
    assert not any("dyncompile.under" in node.metadata_props for node in ifs)


def test_decisions_around_are_noted() -> None:
    after = in_sequence(nested(parse(GATES)))
    (first, second) = (
        node
        for node in after.graph
        if node.op_type == "If" and node.metadata_props[DECISION] == "inner"
    )
    for node in (first, second):
        assert node.metadata_props["dyncompile.under"] == '[["outer", [1], [0]]]'


@pytest.mark.parametrize("text", TEXTS)
def test_paths_reports_and_forced_decisions_are_those_of_nested_branches(text: str) -> None:
    before = nested(parse(text))
    assert_same_decisions(before, in_sequence(before), feeds_of(before)[::2])


def assert_same_decisions(before: ir.Model, after: ir.Model, feeds: list[Feeds]) -> None:
    """Check that two graphs decide the same, say so, and can be forced alike."""
    wanted = manifest_from_model(before, {}, "onnx").decisions
    got = manifest_from_model(after, {}, "onnx").decisions
    assert [described(one) for one in got] == [described(one) for one in wanted]
    paths = DecisionTree.from_model(before).paths()
    found = DecisionTree.from_model(after).paths()
    if paths.complete:
        assert sorted(map(sorted_path, found.paths)) == sorted(map(sorted_path, paths.paths))
    pairs = zip(reported(before, feeds), reported(after, feeds), strict=True)
    assert all(one == other for one, other in pairs)
    for path in paths.paths[:8]:
        for one, other in zip(forced(before, path, feeds), forced(after, path, feeds), strict=True):
            agree(other, one, exact=True)
        for graph in (before, after):
            static = take_path(graph, path)
            assert not any(node.op_type == "If" for node in static.graph.all_nodes())


def described(decision: Decision) -> tuple[object, ...]:
    macs = [side.macs for side in decision.sides]
    return decision.name, decision.kind, decision.under, decision.aliases, macs


def sorted_path(path: Path) -> list[tuple[str, int]]:
    return sorted(path.items())


def reported(model: ir.Model, feeds: list[Feeds]) -> Iterator[dict[str, int]]:
    copy = model.clone()
    outputs = report_decisions(copy, manifest_from_model(copy, {}, "onnx").decisions)
    count, session = len(model.graph.outputs), ort_session(copy)
    for one in feeds:
        yield dict(zip(outputs, map(int, session(one)[count:]), strict=True))


def forced(model: ir.Model, path: Path, feeds: list[Feeds]) -> Iterator[list[Array]]:
    copy = model.clone()
    inputs = force_decisions(copy, manifest_from_model(copy, {}, "onnx").decisions)
    values = {value.name: value for value in copy.graph.inputs}
    given: Feeds = {}
    for decision, names in inputs.items():
        for name in names:
            kind, shape = values[name].dtype, values[name].shape
            assert kind is not None
            given[name] = np.full([1] * len(shape or ()), path.get(decision, 0), kind.numpy())
    session = ort_session(copy)
    for one in feeds[:2]:
        yield list(session({**one, **given}))


@examples(8)
def test_random_networks_decide_and_compute_the_same(network: Network) -> None:
    marked = free(marked_model(network), network.shape)
    before, feeds = nested(marked), network.feeds()[:8]
    after = in_sequence(before)
    assert not inner_ifs(after)
    first, second = Meter(before), Meter(after)
    for one in feeds:
        (wanted, work), (got, done) = first(one), second(one)
        agree(got, wanted, exact=True)
        assert Counter(done) == Counter(work), "each layer runs as often as before"
    if inner_ifs(before):
        assert_same_decisions(before, after, feeds)


@pytest.mark.parametrize("seed", range(6))
def test_work_shared_by_crossing_decisions_is_lazy_on_every_path(seed: int) -> None:
    marked = free(random_graph(seed, 30), (1, 2))
    branching = [type(one) for one in ort.passes()].index(BranchOnDecisions) + 1
    passes = [*ort.passes()[:branching], InferTypes(), FillAbsent(), BranchesInSequence()]
    after = _through(marked, passes)
    assert not inner_ifs(after)
    assert_lazy_on_paths(marked, after, most=32)
    before, flat = ort_session(marked), ort_session(after)
    for draw in range(4):
        feeds = random_feeds(marked, draw, x=np.asarray([[draw % 5 - 2, draw % 3 - 1]] * 3))
        agree(flat(feeds), before(feeds), exact=True)


@budget_examples(10, budgeted_networks())
def test_random_budgets_of_any_batch_compute_the_same(network: Budgeted) -> None:
    with refusals():
        before = nested(budgeted_model(network))
    after = in_sequence(before)
    if network.batch != 1:
        assert not inner_ifs(after)
    first, second = ort_session(before), ort_session(after)
    for one in network.feeds(most=6):
        agree(second(one), first(one), exact=False)


def test_a_value_of_sizes_that_nobody_knows_keeps_its_branches() -> None:
    before = nested(parse(GATES))
    for node in before.graph.all_nodes():
        if node.op_type == "MatMul":
            node.outputs[0].shape = ir.Shape([None, 2])
    assert not BranchesInSequence()(before).modified


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(GATES.replace("[n,", "[3,"), id="fixed sizes"),
        pytest.param(
            GATES.replace('dyncompile.Gate <name = "inner"> (d, b, e)', "Add (b, e)"),
            id="one If",
        ),
    ],
)
def test_leaves_alone(text: str) -> None:
    assert not BranchesInSequence()(nested(parse(text))).modified
