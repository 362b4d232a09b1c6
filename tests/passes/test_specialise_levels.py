import json
from typing import Literal

import onnx_ir as ir
import pytest

from dyncompile.dialect import BUDGETS
from dyncompile.errors import GraphError
from dyncompile.passes import SpecialiseLevels
from dyncompile.passes.specialise_levels import at_level
from tests.budgeted_graphs import budgeted_graph, feeds_at
from tests.support import assert_same_numbers, assert_unique_names

Lowering = Literal["switch", "slice"]
LOWERINGS = ("switch", "slice")

# A convolution, its budget, what stands between, and a convolution that reads it.
AROUND = """
main (float[1,3,4,4] x, int64 level, {weights} float[8,3,1,1] w, float[2,{c},1,1] v)
 => (float[1,2,{h},{h}] y)
 <float[1,8,4,4] c, float[1,8,4,4] b, {types}> {{
    c = Conv (x, w)
    b = dyncompile.ChannelBudget <name = "d", counts = [2, 5, 8], axis = 1> (c, level)
    {middle}
    y = Conv (m, v)
}}
"""
CHAIN = AROUND.format(weights="", c=8, h=4, types="float[1,8,4,4] m", middle="m = Relu (b)")


def _around(middle: str, weights: str = "", types: str = "", c: int = 8, h: int = 4) -> ir.Model:
    types = f"float[1,{c},{h},{h}] m{', ' if types else ''}{types}"
    weights = f"{weights}, " if weights else ""
    return budgeted_graph(AROUND.format(weights=weights, c=c, h=h, types=types, middle=middle))


def _check(model: ir.Model, lowering: Lowering) -> ir.Model:
    """Lower a copy, and hold it against the original at every level and beyond."""
    lowered = model.clone()
    assert SpecialiseLevels(lowering)(lowered).modified
    assert not SpecialiseLevels(lowering)(lowered).modified
    assert not [n for n in lowered.graph.all_nodes() if n.op_type == "ChannelBudget"]
    assert_unique_names(lowered)
    assert_same_numbers(model, lowered, [feeds_at(model, level) for level in range(-1, 5)])
    return lowered


def _note(model: ir.Model) -> dict[str, object]:
    (note,) = json.loads(model.metadata_props[BUDGETS])
    assert isinstance(note, dict)
    return note


def _last_widths(model: ir.Model) -> list[object]:
    """Return how many channels each of the last convolutions reads."""
    read = [node.inputs[0] for node in model.graph if node.op_type == "Conv"]
    return [value.shape[1] for value in read if value and value.shape and value.name != "x"]


PASSED = [
    pytest.param("m = Relu (b)", "", "", id="activation that keeps zero"),
    pytest.param("m = Add (b, b)", "", "", id="sum of budgeted values"),
    pytest.param("m = PRelu (b, s)", "float[8,1,1] s", "", id="slope per channel"),
    pytest.param("s = Sigmoid (b)\nm = Mul (b, s)", "", "float[1,8,4,4] s", id="swish"),
    pytest.param(
        "g = GlobalAveragePool (b)\ns = Sigmoid (g)\nm = Mul (b, s)",
        "",
        "float[1,8,1,1] g, float[1,8,1,1] s",
        id="scale of each channel",
    ),
    pytest.param("m = MaxPool <kernel_shape = [1,1]> (b)", "", "", id="pooling"),
    pytest.param("p, q = Split <axis = 1, num_outputs = 2> (b)\nm = Concat <axis = 1> (q, p)", "",
        "float[1,4,4,4] p, float[1,4,4,4] q", id="halves exchanged"),
    pytest.param(
        "t = Transpose <perm = [0,2,3,1]> (b)\nr = Relu (t)\n"
        "m = Transpose <perm = [0,3,1,2]> (r)",
        "",
        "float[1,4,4,8] t, float[1,4,4,8] r",
        id="channels last and back",
    ),
    pytest.param(
        "e = Conv <group = 8> (b, d)\nr = Relu (e)\n"
        'm = dyncompile.ChannelBudget <name = "d", counts = [2, 5, 8], axis = 1> (r, level)',
        "float[8,1,1,1] d",
        "float[1,8,4,4] e, float[1,8,4,4] r",
        id="depthwise convolution",
    ),
    pytest.param(
        "n = BatchNormalization (b, s, o, o, s2)\n"
        'm = dyncompile.ChannelBudget <name = "d", counts = [2, 5, 8], axis = 1> (n, level)',
        "float[8] s, float[8] o, float[8] s2",
        "float[1,8,4,4] n",
        id="normalisation before another budget",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("middle", "weights", "types"), PASSED)
def test_a_budget_passes_operators_that_keep_channels_apart(
    middle: str, weights: str, types: str
) -> None:
    model = _around(middle, weights, types)
    if "BatchNormalization" in middle:
        _make_positive(model, "s2")
    lowered = _check(model, "switch")
    assert _note(lowered)["barriers"] == []
    at_least = 3 if "Split" in middle else 2  # of a half without channels, one of zeros is left
    assert set(_last_widths(lowered)) == {at_least, 5, 8}


@pytest.mark.parametrize(("middle", "weights", "types"), PASSED)
def test_slices_at_run_time_compute_the_same(middle: str, weights: str, types: str) -> None:
    model = _around(middle, weights, types)
    if "BatchNormalization" in middle:
        _make_positive(model, "s2")
    _check(model, "slice")


@pytest.mark.parametrize("lowering", LOWERINGS)
@pytest.mark.parametrize(
    ("middle", "types", "why"),
    [
        pytest.param(
            "m = Softmax <axis = 1> (b)", "", "Softmax works across the channels", id="softmax"
        ),
        pytest.param(
            "k = Constant <value = int64[5] {1,2,4,4,4}> ()\nq = Reshape (b, k)\n"
            "t = Transpose <perm = [0,2,1,3,4]> (q)\n"
            "l = Constant <value = int64[4] {1,8,4,4}> ()\nm = Reshape (t, l)",
            "float[1,2,4,4,4] q, float[1,4,2,4,4] t",
            "it regroups the channels",
            id="channels shuffled",
        ),
        pytest.param("m = Einsum <equation = \"abcd->abcd\"> (b)", "", "not known", id="unknown"),
        pytest.param("m = Cos (b)", "", "Cos of 0 is not 0", id="zero does not stay zero"),
    ],
)  # fmt: skip
def test_what_a_budget_does_not_pass_gets_all_channels_and_is_reported(
    middle: str, types: str, why: str, lowering: Lowering
) -> None:
    lowered = _check(_around(middle, "", types), lowering)
    ((note,),) = [one["barriers"] for one in json.loads(lowered.metadata_props[BUDGETS])]
    assert why in note["why"]
    assert set(_last_widths(lowered)) == {8}


def _make_positive(model: ir.Model, name: str) -> None:
    value = model.graph.initializers[name]
    assert value.const_value is not None
    value.const_value = ir.tensor(value.const_value.numpy() ** 2)


@pytest.mark.parametrize("lowering", LOWERINGS)
def test_channels_flattened_into_a_linear_layer_are_cut_as_blocks(lowering: Lowering) -> None:
    model = budgeted_graph("""
    main (float[1,3,2,2] x, int64 level, float[4,3,1,1] w, float[16,5] v) => (float[1,5] y)
     <float[1,4,2,2] c, float[1,4,2,2] b, float[1,16] f> {
        c = Conv (x, w)
        b = dyncompile.ChannelBudget <name = "d", counts = [1, 3], axis = 1> (c, level)
        f = Flatten (b)
        y = MatMul (f, v)
    }""")
    lowered = _check(model, lowering)
    assert _note(lowered)["barriers"] == []


@pytest.mark.parametrize("lowering", LOWERINGS)
def test_the_shortcut_of_a_residual_block_is_cut_too(lowering: Lowering) -> None:
    model = budgeted_graph("""
    main (float[1,3,2,2] x, int64 level, float[4,3,1,1] w, float[4,4,1,1] v, float[2,4,1,1] u)
     => (float[1,2,2,2] y)
     <float[1,4,2,2] c, float[1,4,2,2] b, float[1,4,2,2] e, float[1,4,2,2] s, float[1,4,2,2] r> {
        c = Conv (x, w)
        b = dyncompile.ChannelBudget <name = "d", counts = [1, 3], axis = 1> (c, level)
        e = Conv (b, v)
        s = Add (b, e)
        r = dyncompile.ChannelBudget <name = "d", counts = [1, 3], axis = 1> (s, level)
        y = Conv (r, u)
    }""")
    _check(model, lowering)


@pytest.mark.parametrize("lowering", LOWERINGS)
@pytest.mark.parametrize("before", [0, 2])
def test_a_shortcut_that_adds_channels_of_zeros_is_followed(
    before: int, lowering: Lowering
) -> None:
    behind = 4 - before
    model = budgeted_graph(f"""
    main (float[1,3,2,2] x, int64 level, float[4,3,1,1] w, float[8,4,1,1] v, float[2,8,1,1] u)
     => (float[1,2,2,2] y)
     <float[1,4,2,2] c, float[1,4,2,2] b, float[1,8,2,2] e, float[1,8,2,2] s, float[1,8,2,2] p,
      float[1,8,2,2] r> {{
        c = Conv (x, w)
        b = dyncompile.ChannelBudget <name = "d", counts = [1, 3], axis = 1> (c, level)
        e = Conv (b, v)
        k = Constant <value = int64[8] {{0,{before},0,0,0,{behind},0,0}}> ()
        p = Pad (b, k)
        s = Add (p, e)
        r = dyncompile.ChannelBudget <name = "d", counts = [3, 6], axis = 1> (s, level)
        y = Conv (r, u)
    }}""")
    lowered = _check(model, lowering)
    assert _note(lowered)["barriers"] == []
    if lowering == "switch":
        assert set(_last_widths(lowered)) == {1, 3, 6}


@pytest.mark.parametrize("lowering", LOWERINGS)
def test_a_switch_on_the_level_may_have_more_options_than_the_budget_counts(
    lowering: Lowering,
) -> None:
    model = budgeted_graph("""
    main (float[1,3] x, int64 level, float[3,8] w, float[8,2] v, float[8,2] u) => (float[1,2] y)
     <float[1,8] c, float[1,8] b, float[1,2] d, float[1,2] e, float[1,2] f> {
        c = MatMul (x, w)
        b = dyncompile.ChannelBudget <name = "d", counts = [1, 3], axis = 1> (c, level)
        d = MatMul (b, v)
        e = MatMul (b, u)
        f = Neg (d)
        y = dyncompile.Switch4 <name = "d"> (level, d, e, f, e)
    }""")
    _check(model, lowering)


@pytest.mark.parametrize("lowering", LOWERINGS)
def test_a_part_of_a_concatenation_that_no_level_needs_is_left_out(lowering: Lowering) -> None:
    model = budgeted_graph("""
    main (float[1,3] x, int64 level, float[3,4] w, float[3,4] v, float[4,2] u)
     => (float[1,2] y, float[1,2] z)
     <float[1,4] c, float[1,4] b, float[1,4] d, float[1,8] e, float[1,4] s> {
        c = MatMul (x, w)
        b = dyncompile.ChannelBudget <name = "d", counts = [1, 3], axis = 1> (c, level)
        d = MatMul (x, v)
        e = Concat <axis = 1> (b, d)
        first = Constant <value_ints = [4]> ()
        last = Constant <value_ints = [8]> ()
        axis = Constant <value_ints = [1]> ()
        s = Slice (e, first, last, axis)
        y = MatMul (s, u)
        z = MatMul (b, u)
    }""")
    _check(model, lowering)


@pytest.mark.parametrize("lowering", LOWERINGS)
def test_zeros_that_no_budget_made_are_neither_barriers_nor_revived(lowering: Lowering) -> None:
    model = budgeted_graph("""
    main (float[1,3,2,2] x, int64 level, float[4,3,1,1] w, float[8,4,1,1] v, float[2,8,1,1] u,
          float[8] o) => (float[1,2,2,2] y)
     <float[1,4,2,2] c, float[1,4,2,2] b, float[1,8,2,2] e, float[1,8,2,2] s, float[1,8,2,2] p,
      float[1,8,2,2] r, float[1,8,2,2] n> {
        k = Constant <value = int64[8] {0,0,0,0,0,5,0,0}> ()
        p = Pad (x, k)
        n = BatchNormalization (p, o, o, o, o)
        c = Conv (x, w)
        b = dyncompile.ChannelBudget <name = "d", counts = [1, 3], axis = 1> (c, level)
        e = Conv (b, v)
        s = Add (p, e)
        r = Add (s, n)
        y = Conv (r, u)
    }""")
    _make_positive(model, "o")
    assert _note(_check(model, lowering))["barriers"] == []


def test_a_normalisation_of_each_level_may_give_dead_channels_a_value() -> None:
    middle = """
    n0 = BatchNormalization (b, s, o, o, s)
    n1 = BatchNormalization (b, o, s, s, s)
    m = dyncompile.Switch2 <name = "d"> (level, n0, n1)"""
    model = _around(middle, "float[8] s, float[8] o", "float[1,8,4,4] n0, float[1,8,4,4] n1")
    _make_positive(model, "s")
    ((note,),) = [one["barriers"] for one in json.loads(_notes(_check(model, "switch")))]
    assert note["at"] == "BatchNormalization"


def _notes(model: ir.Model) -> str:
    return model.metadata_props[BUDGETS]


def test_two_knobs_whose_parts_overlap_multiply() -> None:
    model = budgeted_graph("""
    main (float[1,3,2,2] x, int64 level, int64 other, float[4,3,1,1] w, float[4,4,1,1] v,
          float[2,4,1,1] u) => (float[1,2,2,2] y)
     <float[1,4,2,2] c, float[1,4,2,2] b, float[1,4,2,2] e, float[1,4,2,2] r> {
        c = Conv (x, w)
        b = dyncompile.ChannelBudget <name = "d", counts = [1, 3], axis = 1> (c, level)
        e = Conv (b, v)
        r = dyncompile.ChannelBudget <name = "o", counts = [2, 3, 4], axis = 1> (e, other)
        y = Conv (r, u)
    }""")
    lowered = model.clone()
    SpecialiseLevels()(lowered)
    feeds = [
        {**feeds_at(model, level), "other": feeds_at(model, other)["other"]}
        for level in range(2)
        for other in range(3)
    ]
    assert_same_numbers(model, lowered, feeds)
    notes = json.loads(lowered.metadata_props[BUDGETS])
    assert ["overlaps" in note["why"] for note in notes] == [True, True]
    with pytest.raises(GraphError, match="overlaps with that of another knob"):
        SpecialiseLevels("slice")(model.clone())


def test_more_than_32_levels_are_sliced_and_refused_as_a_switch() -> None:
    counts = list(range(1, 34))
    model = budgeted_graph(f"""
    main (float[1,3] x, int64 level, float[3,33] w, float[33,2] v) => (float[1,2] y)
     <float[1,33] c, float[1,33] b> {{
        c = MatMul (x, w)
        b = dyncompile.ChannelBudget <name = "d", counts = {counts}, axis = 1> (c, level)
        y = MatMul (b, v)
    }}""")
    lowered = model.clone()
    SpecialiseLevels()(lowered)
    assert _note(lowered)["lowering"] == "slice"
    assert_same_numbers(model, lowered, [feeds_at(model, k) for k in (0, 7, 31, 32, 40)])
    with pytest.raises(GraphError, match="32 is the most"):
        SpecialiseLevels("switch")(model)


@pytest.mark.parametrize(
    ("middle", "types", "error"),
    [
        pytest.param(
            "m = BatchNormalization (b, s, o, o, o)",
            "float[8] s, float[8] o",
            "gives its dead channels a value again.*Move the budget behind",
            id="a normalisation revives them",
        ),
        pytest.param(
            'r = Relu (b)\nm = dyncompile.ChannelBudget <name = "e", counts = [2, 8], axis = 1>'
            " (r, level)",
            "",
            "2 levels, and 'd' on the same level for 3",
            id="levels differ",
        ),
    ],
)
def test_budgets_that_mean_nothing_are_refused(middle: str, types: str, error: str) -> None:
    types_of = "" if types else "float[1,8,4,4] r"
    with pytest.raises(GraphError, match=error):
        SpecialiseLevels()(_around(middle, types, types_of))


def test_a_budget_that_reaches_no_weights_is_refused() -> None:
    model = budgeted_graph("""
    main (float[1,8] x, int64 level) => (float[1,8] y) <float[1,8] b> {
        b = dyncompile.ChannelBudget <name = "d", counts = [2, 8], axis = 1> (x, level)
        y = Sqrt (b)
    }""")
    with pytest.raises(GraphError, match="channel_budget 'd': no convolution or linear layer"):
        SpecialiseLevels()(model)


@pytest.mark.parametrize("level", [0, 1, 2, 7])
def test_one_level_alone_needs_no_decision(level: int) -> None:
    model = budgeted_graph(CHAIN)
    static = model.clone()
    at_level(static, "d", level)
    assert not [node for node in static.graph if node.domain]
    assert_same_numbers(model, static, [feeds_at(model, level)])
    assert _last_widths(static) == [(2, 5, 8)[min(level, 2)]]
