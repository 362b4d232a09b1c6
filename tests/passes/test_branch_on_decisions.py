import numpy as np
import onnx_ir as ir
import pytest

from dyncompile import pipeline
from dyncompile.errors import GraphError
from dyncompile.passes import BranchOnDecisions, option_tree
from dyncompile.passes.scopes import graphs_of
from dyncompile.targets import ort
from tests.laziness import assert_lazy, assert_lazy_on_paths
from tests.support import (
    assert_rewrites,
    assert_same_numbers,
    assert_untouched,
    every_feeds,
    parse,
    random_feeds,
)

_BRANCHING = [type(one) for one in ort.passes()].index(BranchOnDecisions)


def test_one_sided_work_goes_into_its_branch() -> None:
    assert_rewrites(
        BranchOnDecisions(),
        before="""main (bool[1] take, float[1,4] x) => (float[1,4] y) {
            s = Neg (x)
            f = Exp (s)
            y = dyncompile.Gate <name = "d"> (take, f, s)
        }""",
        after="""main (bool[1] take, float[1,4] x) => (float[1,4] y) {
            s = Neg (x)
            y = If (take) <
                then_branch = d_then () => (float[1,4] f) { f = Exp (s) },
                else_branch = d_else () => (float[1,4] "y.1") { "y.1" = Identity (s) }>
        }""",
    )


def test_a_run_of_blocks_under_one_decision_is_one_if() -> None:
    assert_rewrites(
        BranchOnDecisions(),
        before="""main (bool[1] take, float[1,4] x) => (float[1,4] y) {
            f = Exp (x)
            a = dyncompile.Gate <name = "d"> (take, f, x)
            r = Relu (a)
            g = Sin (r)
            y = dyncompile.Gate <name = "d"> (take, g, r)
        }""",
        after="""main (bool[1] take, float[1,4] x) => (float[1,4] y) {
            y = If (take) <
                then_branch = d_then () => (float[1,4] g)
                    { f = Exp (x) r = Relu (f) g = Sin (r) },
                else_branch = d_else () => (float[1,4] "r.1") { "r.1" = Relu (x) }>
        }""",
    )


def test_work_shared_across_heavy_nodes_is_handed_on() -> None:
    model = parse("""main (bool[1] take, float[1,4] x, float[4,4] w) => (float[1,4] y)
        <float[1,4] h> {
            h = Exp (x)
            f = Neg (h)
            a = dyncompile.Gate <name = "d"> (take, f, x)
            between = MatMul (a, w)
            g = Add (between, h)
            y = dyncompile.Gate <name = "d"> (take, g, between)
        }""")
    before = parse(ir.to_onnx_text(model).split(">", 1)[1].split("<\n", 1)[0])
    BranchOnDecisions()(model)
    ifs = [node for node in model.graph if node.op_type == "If"]
    assert [node.op_type for node in model.graph] == ["If", "MatMul", "If"]
    assert [len(node.outputs) for node in ifs] == [2, 1]
    assert_same_numbers(before, model, every_feeds(before))


def test_nested_prefixes_become_a_ladder(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = """main (int64 level, float[1,4] x) => (float[1,4] y) {
        a = Exp (x) b = Neg (a) c = Sin (b) d = Abs (c)
        p = Relu (a) q = Relu (b) r = Relu (c) s = Relu (d)
        y = dyncompile.Switch4 <name = "level"> (level, p, q, r, s)
    }"""
    monkeypatch.setattr(option_tree, "_MOST_POSTPONED", 0)
    assert _shape(_lowered(graph).graph) == [
        "Exp", ["Relu"], ["Neg", ["Relu"], ["Sin", ["Relu"], ["Abs", "Relu"]]]
    ]  # fmt: skip


def test_small_work_is_repeated_on_two_of_three_rungs() -> None:
    graph = """main (int64 level, float[1,4] x) => (float[1,4] y) {
        a = Exp (x) b = Neg (a) c = Sin (b) d = Abs (c) e = Cos (d)
        p = Relu (a) q = Relu (b) r = Relu (c) s = Relu (d) t = Relu (e)
        y = dyncompile.Switch5 <name = "level"> (level, p, q, r, s, t)
    }"""
    assert _shape(_lowered(graph).graph) == [
        "Exp", ["Relu"],
        [["Neg", "Relu"],
         [["Neg", "Sin", "Relu"],
          ["Neg", "Sin", "Abs", ["Relu"], ["Cos", "Relu"]]]],
    ]  # fmt: skip


def test_disjoint_options_become_a_balanced_tree() -> None:
    graph = """main (int64 level, float[1,4] x) => (float[1,4] y) {
        a = Exp (x) b = Neg (x) c = Sin (x) d = Abs (x)
        y = dyncompile.Switch4 <name = "level"> (level, a, b, c, d)
    }"""
    assert _shape(_lowered(graph).graph) == [[["Exp"], ["Neg"]], [["Sin"], ["Abs"]]]


def test_options_that_share_work_stay_together_wherever_they_stand(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(option_tree, "_MOST_POSTPONED", 0)
    graph = """main (int64 level, float[1,4] x) => (float[1,4] y) {
        a = Exp (x) b = Neg (x) c = Sin (a) d = Sin (b) e = Cos (a) f = Cos (b)
        y = dyncompile.Switch4 <name = "level"> (level, c, d, e, f)
    }"""
    assert _shape(_lowered(graph).graph) == [
        ["Exp", ["Sin"], ["Cos"]], ["Neg", ["Sin"], ["Cos"]]
    ]  # fmt: skip


def test_a_nested_decision_nests() -> None:
    graph = """main (bool[1] outer, bool[1] inner, float[1,4] x) => (float[1,4] y) {
        a = Exp (x)
        b = Sin (a)
        c = dyncompile.Gate <name = "inner"> (inner, b, a)
        y = dyncompile.Gate <name = "outer"> (outer, c, x)
    }"""
    assert _shape(_lowered(graph).graph) == [["Exp", ["Sin"], ["Identity"]], ["Identity"]]


def test_decisions_that_wait_for_each_other_do_not_form_a_cycle() -> None:
    """Gate 1 of d feeds gate 1 of e, gate 2 of e feeds gate 2 of d: not both are one If."""
    _lowered("""main (bool[1] d, bool[1] e, float[1,4] x) => (float[1,4] y, float[1,4] z) {
        f = Exp (x)
        d1 = dyncompile.Gate <name = "d"> (d, f, x)
        g = Sin (d1)
        e1 = dyncompile.Gate <name = "e"> (e, g, x)
        h = Cos (x)
        e2 = dyncompile.Gate <name = "e"> (e, h, x)
        k = Neg (e2)
        y = dyncompile.Gate <name = "d"> (d, k, x)
        z = Relu (e1)
    }""")


def test_subgraphs_of_the_network_are_kept_and_branched_in() -> None:
    _lowered("""main (bool c, bool[1] d, float[1,4] x) => (float[1,4] y) {
        h = Exp (x)
        own = If (c) <
            then_branch = yes () => (float[1,4] a)
                { s = Sin (h) a = dyncompile.Gate <name = "d"> (d, s, h) },
            else_branch = no () => (float[1,4] b) { b = Neg (h) }>
        f = Add (own, h)
        y = dyncompile.Gate <name = "e"> (d, f, x)
    }""")


@pytest.mark.parametrize("rank", ["", "[1]"], ids=["scalar", "one element"])
def test_an_index_out_of_range_means_the_nearest_option(rank: str) -> None:
    graph = f"""main (int64{rank} level, float[1,4] x) => (float[1,4] y) {{
        a = Exp (x) b = Neg (x) c = Sin (a) d = Sin (b) e = Cos (a)
        y = dyncompile.Switch3 <name = "level"> (level, c, d, e)
    }}"""
    before, model = parse(graph), parse(graph)
    BranchOnDecisions()(model)
    feeds = [random_feeds(before, level=level) for level in (-5, 0, 1, 2, 3, 99)]
    assert_same_numbers(before, model, feeds)


def test_leaves_a_graph_without_markers_alone() -> None:
    assert_untouched(BranchOnDecisions(), "main (float[4] x) => (float[4] y) { y = Relu (x) }")


_CROSSING = [
    pytest.param(
        """v1 = MatMul (x, w1)
        v2 = dyncompile.Gate <name = "b0"> (b0, v1, x)
        v3 = dyncompile.Gate <name = "b0"> (b0, x, v1)
        v4 = dyncompile.Gate <name = "b1"> (b1, v2, v3)
        v5 = MatMul (v4, w2)
        v6 = dyncompile.Gate <name = "b1"> (b1, v5, x)
        y = dyncompile.Gate <name = "b0"> (b0, v5, v6)""",
        id="two decisions enclose selectors of each other",
    ),
    pytest.param(
        """v1 = MatMul (x, w1)
        v2 = dyncompile.Gate <name = "b0"> (b0, v1, x)
        v3 = dyncompile.Gate <name = "b1"> (b1, x, v2)
        v4 = MatMul (v3, w2)
        v5 = dyncompile.Gate <name = "b0"> (b0, v2, v4)
        y = dyncompile.Gate <name = "b1"> (b1, v4, v5)""",
        id="two branches read what one returns under the same inner option",
    ),
    pytest.param(
        """v1 = MatMul (x, w1)
        v2 = MatMul (x, w2)
        v3 = dyncompile.Gate <name = "b1"> (b1, v1, x)
        v4 = dyncompile.Gate <name = "b1"> (b1, v2, x)
        v5 = dyncompile.Gate <name = "b0"> (b0, v3, v4)
        v6 = dyncompile.Gate <name = "b0"> (b0, v3, v5)
        y = dyncompile.Gate <name = "b2"> (b2, v6, v5)""",
        id="a decision within both branches encloses selectors before them",
    ),
    pytest.param(
        """v1 = MatMul (x, w1)
        v2 = MatMul (v1, w2)
        v3 = dyncompile.Gate <name = "b0"> (b0, v1, x)
        v4 = dyncompile.Gate <name = "b1"> (b1, x, v2)
        v5 = dyncompile.Gate <name = "b1"> (b1, x, v3)
        y = dyncompile.Gate <name = "b2"> (b2, v4, v5)""",
        id="work under an option that is chosen within branches only",
    ),
    pytest.param(
        """v1 = MatMul (x, w1)
        v2 = dyncompile.Gate <name = "b1"> (b1, x, v1)
        v3 = Add (x, v2)
        v4 = MatMul (v2, w2)
        v5 = dyncompile.Gate <name = "b0"> (b0, v4, v3)
        v6 = dyncompile.Gate <name = "b1"> (b1, v3, v5)
        v7 = Add (v5, v6)
        y = dyncompile.Gate <name = "b0"> (b0, v7, v6)""",
        id="heavy work of another decision between two selectors",
    ),
    pytest.param(
        """v1 = MatMul (x, w1)
        v2 = dyncompile.Gate <name = "b1"> (b1, x, v1)
        v3 = Relu (x)
        v4 = dyncompile.Gate <name = "b1"> (b1, x, v3)
        v5 = Add (v2, v4)
        v6 = dyncompile.Gate <name = "b2"> (b2, v2, v5)
        v7 = Add (v4, v6)
        y = dyncompile.Gate <name = "b1"> (b1, v7, v7)""",
        id="a branch is repeated that chooses by the same decision",
    ),
    pytest.param(
        """v1 = MatMul (x, w1)
        s = ReduceSum <keepdims = 0> (x, axes)
        d = Greater (s, t)
        v2 = dyncompile.Gate <name = "d"> (d, x, v1)
        v3 = dyncompile.Gate <name = "d"> (d, x, v2)
        y = dyncompile.Gate <name = "b0"> (b0, v2, v3)""",
        id="work before the score that decides on it within branches",
    ),
    pytest.param(
        """v1 = dyncompile.Gate <name = "b0"> (b0, x, x)
        v2 = dyncompile.Switch2 <name = "i"> (i, v1, x)
        v3 = dyncompile.Switch2 <name = "i"> (i, v2, x)
        v4 = dyncompile.Gate <name = "b1"> (b1, v2, v3)
        v5 = dyncompile.Switch3 <name = "i"> (i, x, x, v4)
        v6 = dyncompile.Gate <name = "b2"> (b2, v5, v2)
        s = ReduceSum <keepdims = 0> (v6, axes)
        d = Greater (s, t)
        y = dyncompile.Gate <name = "d"> (d, v5, v4)""",
        id="a branch is repeated for some options of a switch in it",
    ),
    pytest.param(
        """v1 = dyncompile.Gate <name = "b0"> (b0, x, x)
        v2 = dyncompile.Gate <name = "b1"> (b1, x, v1)
        v3 = MatMul (v2, w1)
        v4 = dyncompile.Switch3 <name = "i"> (i, v1, v2, v3)
        y = dyncompile.Switch2 <name = "i"> (i, v3, v4)""",
        id="an option that nothing takes hides that a selector is enclosed",
    ),
]


@pytest.mark.parametrize("body", _CROSSING)
def test_work_of_crossing_decisions_waits_for_both(body: str) -> None:
    values = ", ".join(f"float[1,2] v{n}" for n in range(1, 8) if f"v{n} =" in body)
    graph = f"""main (float[1,2] x, float t, bool b0, bool b1, bool b2, int64 i) => (float[1,2] y)
        <float[2,2] w1 = {{1, 0, 1, 1}}, float[2,2] w2 = {{1, 1, 0, 1}}, int64[2] axes = {{0, 1}},
        float s, bool d, {values}> {{ {body} }}"""
    marked, lowered = parse(graph), parse(graph)
    for _ in pipeline.run(lowered, ort.passes()[: _BRANCHING + 1]):
        pass
    assert_lazy_on_paths(marked, lowered, most=64)
    feeds = every_feeds(marked, samples=4)
    assert_lazy(marked, lowered, feeds)
    assert_same_numbers(marked, lowered, feeds)


def test_says_what_to_do_where_a_type_is_missing() -> None:
    model = parse("""main (bool[1] take, float[1,4] x, float[4,4] w) => (float[1,4] y) {
        h = Exp (x)
        f = Neg (h)
        a = dyncompile.Gate <name = "d"> (take, f, x)
        between = MatMul (a, w)
        g = Add (between, h)
        y = dyncompile.Gate <name = "d"> (take, g, between)
    }""")
    with pytest.raises(GraphError, match=r"value 'h'.*shape inference"):
        BranchOnDecisions()(model)


Shape = list["str | Shape"]


def _lowered(graph: str) -> ir.Model:
    """Lower a graph, check its numbers for every decision, and return it."""
    before, model = parse(graph), parse(graph)
    assert BranchOnDecisions()(model).modified
    assert not BranchOnDecisions()(model).modified
    levels = [{"level": np.asarray(level)} for level in range(4)]
    feeds = [feed | level for feed in every_feeds(before) for level in levels]
    assert_same_numbers(before, model, feeds)
    return model


def _shape(graph: ir.Graph) -> Shape:
    """The operators of a graph in order; one nested list per branch; tests left out."""
    ignored = {"Constant", "Less", "Gather", "Clip", "If"}
    found: Shape = []
    for node in graph:
        if node.op_type not in ignored:
            found.append(node.op_type)
        found.extend(_shape(inner) for inner in graphs_of(node))
    return found
