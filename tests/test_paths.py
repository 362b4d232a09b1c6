import itertools
from collections.abc import Mapping

import onnx_ir as ir
import pytest

from dyncompile.errors import GraphError
from dyncompile.paths import MOST_PATHS, DecisionTree, Paths
from tests.lowered import nested, switched, tagged
from tests.support import parse


def paths(
    model: ir.Model, fixed: Mapping[str, int] | None = None, limit: int = MOST_PATHS
) -> Paths:
    return DecisionTree.from_model(model).paths(fixed, limit)


def chain(count: int) -> ir.Model:
    """Gates one after another."""
    lines = [
        f"x{k + 1} = If (take{k}) <"
        f"then_branch = on{k} () => (float[1] a{k}) {{ a{k} = Relu (x{k}) }},"
        f"else_branch = off{k} () => (float[1] b{k}) {{ b{k} = Identity (x{k}) }}>"
        for k in range(count)
    ]
    inputs = ", ".join(["float[1] x0", *(f"bool take{k}" for k in range(count))])
    text = f"main ({inputs}) => (float[1] x{count}) {{\n" + "\n".join(lines) + "\n}"
    return tagged(parse(text), [(f"x{k + 1}", f"g{k}", "1", "0") for k in range(count)])


def exits(count: int) -> ir.Model:
    """Exits inside one another; each lower option goes on."""
    text = "y0 = Identity (x)"
    for k in reversed(range(count)):
        text = (
            f"y{k} = If (leave{k}) <"
            f"then_branch = exit{k} () => (float[1] a{k}) {{ a{k} = Identity (x) }},"
            f"else_branch = rest{k} () => (float[1] b{k}) {{"
            + (f"{text} b{k} = Identity (y{k + 1})" if k < count - 1 else f"b{k} = Relu (x)")
            + "}>"
        )
    inputs = ", ".join(["float[1] x", *(f"bool leave{k}" for k in range(count))])
    model = parse(f"main ({inputs}) => (float[1] y0) {{ {text} }}")
    return tagged(model, [(f"y{k}", f"e{k}", "1", "0") for k in range(count)])


AGAIN = """main (float[1] x, bool a, bool b, bool c) => (float[1] z) {
    y = If (a) <
        then_branch = on () => (float[1] y1) {
            y1 = If (b) <
                then_branch = b_on () => (float[1] y11) { y11 = Neg (x) },
                else_branch = b_off () => (float[1] y10) { y10 = Identity (x) }>
        },
        else_branch = off () => (float[1] y0) { y0 = Abs (x) }>
    w = If (c) <
        then_branch = c_on () => (float[1] w1) { w1 = Exp (y) },
        else_branch = c_off () => (float[1] w0) {
            w0 = If (b) <
                then_branch = w_on () => (float[1] w01) { w01 = Neg (y) },
                else_branch = w_off () => (float[1] w00) { w00 = Abs (y) }>
        }>
    z = If (a) <
        then_branch = z_on () => (float[1] z1) { z1 = Relu (w) },
        else_branch = z_off () => (float[1] z0) { z0 = Identity (w) }>
}"""


def again() -> ir.Model:
    """Two Ifs on ``a``; ``b`` in a branch of one; an If of the model's own."""
    return tagged(parse(AGAIN), [("y", "a", "1", "0"), ("y1", "b", "1", "0"), ("z", "a", "1", "0")])


def test_a_graph_without_decisions_has_one_path() -> None:
    model = parse("main (float[1] x) => (float[1] y) { y = Relu (x) }")
    found = paths(model)
    assert found.paths == ({},)
    assert found.complete


def test_decisions_inside_others_are_met_only_there() -> None:
    found = paths(nested())
    assert found.complete
    wanted = [
        {"outer": outer, "inner": inner, **end}
        for outer, inner in itertools.product([0, 1], repeat=2)
        for end in ({"exit": 0, "deep": 0}, {"exit": 0, "deep": 1}, {"exit": 1})
    ]
    assert list(found.paths) == wanted


def test_a_switch_is_one_decision() -> None:
    assert paths(switched()).paths == ({"level": 0}, {"level": 1}, {"level": 2})


def test_a_decision_met_again_holds_and_an_if_without_one_is_no_choice() -> None:
    assert paths(again()).paths == ({"a": 0}, {"a": 1, "b": 0}, {"a": 1, "b": 1})


def test_fixed_decisions_go_one_way() -> None:
    found = paths(nested(), {"exit": 1, "outer": 0})
    assert found.paths == (
        {"outer": 0, "inner": 0, "exit": 1},
        {"outer": 0, "inner": 1, "exit": 1},
    )
    assert paths(switched(), {"level": 2}).paths == ({"level": 2},)


@pytest.mark.parametrize(
    ("model", "limit", "count", "complete"),
    [
        (nested(), 64, 12, True),
        (nested(), 11, 11, False),
        (chain(6), 64, 64, True),
        (chain(7), 64, 64, False),
    ],
    ids=["few", "beyond-the-limit", "at-the-limit", "one-decision-more"],
)
def test_up_to_the_limit_all_paths_are_listed(
    model: ir.Model, limit: int, count: int, complete: bool
) -> None:
    found = paths(model, limit=limit)
    assert (len(found.paths), found.complete) == (count, complete)


def test_a_sample_takes_every_decision_both_ways() -> None:
    found = paths(chain(20))
    assert not found.complete
    assert len(found.paths) == 64
    assert found == paths(chain(20))
    names = [f"g{k}" for k in range(20)]
    off = dict.fromkeys(names, 0)
    on = dict.fromkeys(names, 1)
    assert off in found.paths
    assert on in found.paths
    for name in names:
        assert {**off, name: 1} in found.paths
        assert {**on, name: 0} in found.paths


def test_a_sample_larger_than_the_limit_still_takes_every_decision_both_ways() -> None:
    found = paths(chain(100))
    taken = {pair for path in found.paths for pair in path.items()}
    assert taken == {(f"g{k}", option) for k in range(100) for option in (0, 1)}
    assert len(found.paths) == 102


def test_a_sample_reaches_decisions_inside_others() -> None:
    found = paths(exits(12), limit=8)
    assert not found.complete
    taken = {pair for path in found.paths for pair in path.items()}
    assert taken == {(f"e{k}", option) for k in range(12) for option in (0, 1)}
    sample = paths(nested(), {"outer": 1}, limit=3)
    taken = {pair for path in sample.paths for pair in path.items()}
    assert taken == {("outer", 1)} | set(itertools.product(["inner", "exit", "deep"], [0, 1]))


def test_an_if_that_does_not_name_its_options_is_refused() -> None:
    model = chain(1)
    next(iter(model.graph.all_nodes())).metadata_props.pop("dyncompile.then")
    with pytest.raises(GraphError, match="does not say which options lead to its then_branch"):
        paths(model)


def test_a_decision_has_the_options_of_its_largest_switch() -> None:
    text = """main (float[1] x, bool first, bool last) => (float[1] z) {
        y = If (first) <then_branch = a () => (float[1] a1) { a1 = Neg (x) },
                        else_branch = b () => (float[1] b1) { b1 = Abs (x) }>
        z = If (last) <then_branch = c () => (float[1] c1) { c1 = Neg (y) },
                       else_branch = d () => (float[1] d1) { d1 = Abs (y) }>
    }"""
    model = tagged(parse(text), [("y", "way", "0", "1"), ("z", "way", "0,1", "2")])
    assert paths(model).paths == ({"way": 0}, {"way": 1}, {"way": 2})
    sample = paths(model, limit=1)
    assert {path["way"] for path in sample.paths} == {0, 1, 2}
