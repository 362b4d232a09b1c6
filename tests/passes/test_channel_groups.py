"""Budgets whose levels add: chains, and what stands in their way."""

import json
from collections.abc import Sequence

import onnx_ir as ir
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from dyncompile import pipeline
from dyncompile.dialect import BUDGETS
from dyncompile.errors import GraphError
from dyncompile.passes import SpecialiseLevels
from dyncompile.targets.trt.lowering import lowering
from tests.budgeted_graphs import budgeted_graph, feeds_at, infer_shapes
from tests.support import assert_same_numbers, assert_unique_names, ort_session

CHAIN = SpecialiseLevels("chain", ways=("chain", "switch"))
AUTO = SpecialiseLevels(ways=("chain", "switch"))
LEVELS = range(-1, 5)

AROUND = """
main (float[1,3,4,4] x, int64 level{inputs}, {weights} float[8,3,1,1] w, float[2,{c},1,1] v,
      float[2] bias) => (float[1,2,{h},{h}] y)
 {{
    c = Conv (x, w)
    b = dyncompile.ChannelBudget <name = "d", counts = [2, 5, 8], axis = 1> (c, level)
    {middle}
    y = Conv (m, v, bias)
}}
"""


def _around(middle: str, weights: str = "", c: int = 8, h: int = 4, inputs: str = "") -> ir.Model:
    weights = f"{weights}, " if weights else ""
    text = AROUND.format(weights=weights, c=c, h=h, middle=middle, inputs=inputs)
    return infer_shapes(budgeted_graph(text))


def _check(model: ir.Model, rewrite: SpecialiseLevels = CHAIN) -> ir.Model:
    """Lower a copy, and hold it against the original at every level and beyond."""
    lowered = model.clone()
    assert rewrite(lowered).modified
    assert not rewrite(lowered).modified
    assert_unique_names(lowered)
    assert_same_numbers(model, lowered, [feeds_at(model, level) for level in LEVELS])
    return lowered


def _channels_multiplied(model: ir.Model) -> list[int]:
    """Return how many input channels each convolution behind a budget reads."""
    read = [n.inputs[0] for n in model.graph if n.op_type == "Conv" and n.inputs[0] is not None]
    return [int(str(v.shape[1])) for v in read if v.shape is not None and v.name != "x"]


@pytest.mark.parametrize(
    ("middle", "weights", "c", "h"),
    [
        pytest.param("m = Relu (b)", "", 8, 4, id="activation"),
        pytest.param("m = PRelu (b, s)", "float[8,1,1] s", 8, 4, id="slope per channel"),
        pytest.param("m = MaxPool <kernel_shape = [2,2], strides = [2,2]> (b)", "", 8, 2,
                     id="pooling"),
        pytest.param("s = Abs (b)\nm = Mul (b, s)", "", 8, 4, id="product of its own"),
        pytest.param("t = Relu (c)\nk = Mul (t, b)\nm = Add (k, b)", "", 8, 4, id="dense operand"),
        pytest.param(
            "e = Conv <group = 8> (b, d, o)\nr = Relu (e)\n"
            'm = dyncompile.ChannelBudget <name = "d", counts = [2, 5, 8], axis = 1> (r, level)',
            "float[8,1,1,1] d, float[8] o", 8, 4, id="depthwise convolution with a bias",
        ),
        pytest.param("t = Transpose <perm = [0,2,3,1]> (b)\nr = Relu (t)\n"
                     "m = Transpose <perm = [0,3,1,2]> (r)", "", 8, 4, id="channels last and back"),
        pytest.param("m = Concat <axis = 1> (b, b)", "", 16, 4, id="twice beside each other"),
    ],
)  # fmt: skip
def test_a_level_adds_its_channels_to_the_sum_of_those_before(
    middle: str, weights: str, c: int, h: int
) -> None:
    lowered = _check(_around(middle, weights, c, h))
    times = c // 8
    assert _channels_multiplied(lowered)[-3:] == [2 * times, 3 * times, 3 * times]
    assert [n.op_type for n in lowered.graph if n.domain] == ["Switch3"]


def test_every_weight_is_read_once() -> None:
    lowered = _check(_around("m = Relu (b)"))
    sizes: dict[str, int] = {}
    for node in lowered.graph:
        weight, shape = node.inputs[0], node.outputs[0].shape
        if node.op_type == "Slice" and weight is not None and weight.is_initializer():
            assert shape is not None
            name = str(weight.name)
            sizes[name] = sizes.get(name, 0) + int(shape.numpy()[0] * shape.numpy()[1])
    assert sizes == {"w": 8 * 3, "v": 2 * 8}


@pytest.mark.parametrize(
    ("middle", "weights", "c", "why"),
    [
        pytest.param("n = Conv (b, n1)\n"
                     'm = dyncompile.ChannelBudget <name = "d", counts = [2, 5, 8], axis = 1>'
                     " (n, level)", "float[8,8,1,1] n1", 8,
                     "made from channels of a budget", id="layer cut on both sides"),
        pytest.param("e = Conv <group = 8> (b, d, o)\nm = Relu (e)",
                     "float[8,1,1,1] d, float[8] o", 8, "bias gives dead channels", id="revived"),
        pytest.param("m = Softmax <axis = 1> (b)", "", 8, "across the channels", id="barrier"),
        pytest.param("m = Concat <axis = 1> (b, x)", "", 11, "of more than one level",
                     id="dense channels beside"),
        pytest.param('e = dyncompile.ChannelBudget <name = "d", counts = [4, 6, 8], axis = 1>'
                     " (c, level)\ns = Add (b, e)\nm = Relu (s)", "", 8, "of a later one",
                     id="another number of channels"),
        pytest.param('e = dyncompile.ChannelBudget <name = "d", counts = [4, 6, 8], axis = 1>'
                     " (c, level)\nm = Mul (b, e)", "", 8, "is not all that they have",
                     id="a product of channels of different levels"),
        pytest.param("e = Conv <group = 8> (b, d)\n"
                     'm = dyncompile.ChannelBudget <name = "d", counts = [4, 12, 16], axis = 1>'
                     " (e, level)", "float[16,1,1,1] d", 16, "is not all that they have",
                     id="channels that a later budget lets pass before"),
        pytest.param('e = dyncompile.ChannelBudget <name = "d", counts = [5, 5, 8], axis = 1>'
                     " (c, level)\ns = Add (b, e)\nm = Relu (s)", "", 8, "counts otherwise",
                     id="a budget that adds nothing beside one that does"),
        pytest.param("p, q = Split <axis = 1, num_outputs = 2> (c)\n"
                     'e = dyncompile.ChannelBudget <name = "d", counts = [1, 2, 4], axis = 1>'
                     " (p, level)\nl = ReduceMax (q)\nm = Mul (e, l)", "", 4, "not all parts",
                     id="a part of what is split"),
        pytest.param('r = Relu (b)\nm = dyncompile.Switch3 <name = "d"> (level, b, r, r)', "", 8,
                     "Switch3", id="a switch on the level"),
    ],
)  # fmt: skip
def test_what_is_no_sum_of_levels_becomes_a_switch(
    middle: str, weights: str, c: int, why: str
) -> None:
    model = _around(middle, weights, c)
    with pytest.raises(GraphError, match="its levels do not simply add to each other") as error:
        CHAIN(model.clone())
    assert why in error.value.problem
    assert "Lower budgets by switch" in error.value.remedy
    (note,) = json.loads(_check(model, AUTO).metadata_props[BUDGETS])
    assert note["lowering"] == "switch"
    assert note["why"].startswith("no chain, as ")


@pytest.mark.parametrize("counts", [[2, 2, 8], [8, 8, 8], [3, 8, 8], [1, 2, 2]], ids=str)
def test_a_level_that_adds_nothing_is_the_one_before(counts: Sequence[int]) -> None:
    model = _around("m = Relu (b)")
    for node in model.graph:
        if node.op_type == "ChannelBudget":
            node.attributes["counts"] = ir.AttrInt64s("counts", counts)
    lowered = model.clone()
    SpecialiseLevels("chain")(lowered)
    assert_same_numbers(model, lowered, [feeds_at(model, level) for level in LEVELS])


def test_a_sum_may_depend_on_the_sum_before() -> None:
    """A squeeze-and-excitation inside of the budget: its scale is of all channels so far."""
    lowered = _check(
        _around(
            "g = GlobalAveragePool (b)\nq = Conv (g, s1)\nr = Relu (q)\ne = Conv (r, s2)\n"
            "z = Abs (e)\nm = Mul (b, z)",
            "float[4,8,1,1] s1, float[8,4,1,1] s2",
        )
    )
    assert len([n for n in lowered.graph if n.domain]) == 2


def test_more_levels_than_can_nest_become_a_switch() -> None:
    model = _around("m = Relu (b)")
    for node in model.graph:
        if node.op_type == "ChannelBudget":
            counts = [*[2] * 20, *range(2, 8)]
            node.attributes["counts"] = ir.AttrInt64s("counts", counts)
    with pytest.raises(GraphError, match="26 levels are more than 24 sums"):
        CHAIN(model.clone())


@pytest.mark.parametrize(
    ("levels", "way"), [pytest.param(8, "chain", id="eight"), pytest.param(9, "switch", id="nine")]
)
def test_many_levels_are_no_chain_unless_it_is_asked_for(levels: int, way: str) -> None:
    model = _around("m = Relu (b)", c=8)
    for node in model.graph:
        if node.op_type == "ChannelBudget":
            counts = [*range(1, 8), *[8] * (levels - 7)]
            node.attributes["counts"] = ir.AttrInt64s("counts", counts)
    for rewrite, wanted in ((AUTO, way), (CHAIN, "chain")):
        lowered = model.clone()
        rewrite(lowered)
        (note,) = json.loads(lowered.metadata_props[BUDGETS])
        assert note["lowering"] == wanted
        assert ("partial sums of each layer" in note["why"]) == (wanted == "switch")


@st.composite
def blocks(draw: st.DrawFn) -> ir.Model:
    """Draw a residual network of blocks, each with budgets inside."""
    width, count = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    weights, nodes, trunk = [], [], "x"
    for block in range(count):
        hidden = draw(st.integers(2, 6))
        counts = sorted(draw(st.lists(st.integers(1, hidden), min_size=3, max_size=3)))
        budget = f'dyncompile.ChannelBudget <name = "d", counts = {counts}, axis = 1>'
        weights += [f"float[{hidden},{width},1,1] a{block}", f"float[{hidden}] p{block}"]
        nodes.append(f"h{block} = Conv ({trunk}, a{block}, p{block})")
        h = f"h{block}"
        inside = draw(st.lists(st.sampled_from(["Relu", "Abs", "depthwise", "Neg"])))
        for place, kind in enumerate([*inside, "budget"]):
            name = f"{h}_{place}"
            if kind == "depthwise":
                weights.append(f"float[{hidden},1,3,3] {name}w")
                nodes += [
                    f"{name}b = {budget} ({h}, level)",
                    f"{name} = Conv <group = {hidden}, pads = [1,1,1,1]> ({name}b, {name}w)",
                ]
            else:
                made = f"{budget} ({h}, level)" if kind == "budget" else f"{kind} ({h})"
                nodes.append(f"{name} = {made}")
            h = name
        weights.append(f"float[{width},{hidden},1,1] z{block}")
        nodes += [f"o{block} = Conv ({h}, z{block})", f"t{block} = Add ({trunk}, o{block})"]
        trunk = f"t{block}"
    body = "\n".join([*nodes, f"y = Relu ({trunk})"])
    return infer_shapes(
        budgeted_graph(
            f"main (float[1,{width},3,3] x, int64 level, {', '.join(weights)})"
            f" => (float[1,{width},3,3] y) {{ {body} }}"
        )
    )


@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
)
@given(model=blocks())
def test_random_blocks_compute_the_same_as_chains(model: ir.Model) -> None:
    lowered = model.clone()
    CHAIN(lowered)
    feeds = [feeds_at(model, level) for level in LEVELS]
    assert_same_numbers(model, lowered, feeds)
    branched = model.clone()
    for _ in pipeline.run(branched, lowering("chain")):
        pass
    assert not any(node.domain for node in branched.graph.all_nodes())
    assert_same_numbers(model, branched, feeds)
    ort_session(branched)
