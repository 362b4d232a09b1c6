"""Operators with unusual attributes and forms, between a budget and what reads it."""

import json

import numpy as np
import onnx_ir as ir
import pytest

from dyncompile.dialect import BUDGETS
from dyncompile.passes import SpecialiseLevels
from dyncompile.passes.specialise_levels import Lowering
from tests.budgeted_graphs import budgeted_graph, feeds_at, infer_shapes
from tests.support import assert_same_numbers, ort_session

LOWERINGS: tuple[Lowering, ...] = ("switch", "slice")
AGAIN = 'dyncompile.ChannelBudget <name = "d", counts = [2, 5, 8], axis = 1>'


def _ints(name: str, *numbers: int) -> str:
    listed = ", ".join(map(str, numbers))
    return f"{name} = Constant <value = int64[{len(numbers)}] {{{listed}}}> ()\n"


def _floats(name: str, *numbers: float) -> str:
    listed = ", ".join(map(str, numbers))
    return f"{name} = Constant <value = float[{len(numbers)}] {{{listed}}}> ()\n"


def _around(middle: str, weights: str = "", c: int = 8, size: str = "4,4") -> ir.Model:
    """A convolution, a budget ``b``, what makes ``m`` of it, and a convolution."""
    more = f", {weights}" if weights else ""
    return infer_shapes(
        budgeted_graph(f"""
        main (float[1,3,4,4] x, int64 level, float[8,3,1,1] w, float[2,{c},1,1] v{more})
         => (float[1,2,{size}] y) {{
            c = Conv (x, w)
            b = {AGAIN} (c, level)
            {middle}
            y = Conv (m, v)
        }}""")
    )


def _lower(model: ir.Model, lowering: Lowering, *, exact: bool = True) -> ir.Model:
    """Lower a copy, and hold it against the original at every level and beyond."""
    lowered = model.clone()
    SpecialiseLevels(lowering)(lowered)
    feeds = [feeds_at(model, level) for level in (-1, 0, 1, 2, 4)]
    if exact:
        assert_same_numbers(model, lowered, feeds)
        return lowered
    before, after = ort_session(model), ort_session(lowered)  # the evaluator knows no such groups
    for fed in feeds:
        for want, got in zip(before(fed), after(fed), strict=True):
            assert want.tolist() == got.tolist()
    return lowered


def _barriers(model: ir.Model) -> list[str]:
    (note,) = json.loads(model.metadata_props[BUDGETS])
    return [f"{one['at'].split()[0]}: {one['why']}" for one in note["barriers"]]


def _convolutions(model: ir.Model) -> int:
    return sum(node.op_type == "Conv" for node in model.graph)


def _widths(model: ir.Model) -> list[object]:
    """Return how many channels the last convolution reads at each level."""
    reading = [node for node in model.graph if node.op_type == "Conv"][-3:]
    return [value.shape[1] for node in reading if (value := node.inputs[0]) and value.shape]


ONE = "k = Constant <value = float {1}> ()\n"
RUN_TIME_SIZES = "h = Shape <end = 2> (b)\nl = Concat <axis = 0> (h, k)\n"
FLIP = _ints("k", -1) + _ints("e", -100) + _ints("a", 3) + _ints("t", -1)
STRIDE = _ints("k", 0, 0) + _ints("e", 9, 9) + _ints("a", 2, 3) + _ints("t", 2, 2)

PASSED = {
    "every second pixel": (f"{STRIDE}m = Slice (b, k, e, a, t)", "", 8, "2,2", [2, 5, 8]),
    "pixels in reverse": (f"{FLIP}m = Slice (b, k, e, a, t)", "", 8, "4,4", [2, 5, 8]),
    "a slice that cuts nothing": (
        f"{_ints('k', -8)}{_ints('e', 99)}{_ints('a', 1)}m = Slice (b, k, e, a)",
        "", 8, "4,4", [2, 5, 8],
    ),
    "channels and pixels cut at once": (
        f"{_ints('k', 1, 1)}{_ints('e', -1, 3)}{_ints('a', -3, 2)}m = Slice (b, k, e, a)",
        "", 6, "2,4", [1, 4, 6],
    ),
    "a slice without axes": (f"{_ints('k', 0, 1)}{_ints('e', 1, 99)}m = Slice (b, k, e)",
        "", 7, "4,4", [1, 4, 7]),
    "halves of the rows": ("p, q = Split <axis = 2, num_outputs = 2> (b)\nm = Sub (p, q)",
        "", 8, "2,4", [2, 5, 8]),
    "one half of the rows": ("p, q = Split <axis = -2, num_outputs = 2> (b)\nm = Relu (q)",
        "", 8, "2,4", [2, 5, 8]),
    "parts of several sizes": (
        f"{_ints('k', 1, 5, 2)}p, q, r = Split <axis = 1> (b, k)\nm = Concat <axis = 1> (q, p)",
        "", 6, "4,4", [2, 5, 6],
    ),
    "rows picked": (f"{_ints('k', 3, 0, 3)}m = Gather <axis = -2> (b, k)",
        "", 8, "3,4", [2, 5, 8]),
    "one row picked": (
        f"{_ints('a', 2)}k = Squeeze (a)\ng = Gather <axis = 2> (b, k)\nm = Unsqueeze (g, a)",
        "", 8, "1,4", [2, 5, 8],
    ),
    "a maximum with zero": ("k = Constant <value = float {0}> ()\nm = Max (k, b)",
        "", 8, "4,4", [2, 5, 8]),
    "zeros where a condition holds": (
        "k = Constant <value = float {0}> ()\ng = Greater (b, k)\nm = Where (g, k, b)",
        "", 8, "4,4", [2, 5, 8],
    ),
    "a resize by sizes of its axes": (
        f"{_ints('k', 3, 6)}m = Resize <axes = [2, 3]> (b, , , k)", "", 8, "3,6", [2, 5, 8],
    ),
    "a resize by sizes, the channels last": (
        f"{_ints('k', 6, 8)}m = Resize <axes = [3, 1]> (b, , , k)", "", 8, "4,6", [2, 5, 8],
    ),
    "a resize by scales": (
        f"{_floats('k', 1, 1, 2, 2)}m = Resize (b, , k)", "", 8, "8,8", [2, 5, 8],
    ),
    "padding of named axes": (
        f"{_ints('k', 2, 0, 0, 1)}{_ints('a', -1, 2)}m = Pad (b, k, , a)",
        "", 8, "5,6", [2, 5, 8],
    ),
    "a reshape that says how many are left": (
        f"{_ints('k', 0, -1, 16)}{_ints('l', 1, 8, 4, -1)}r = Reshape (b, k)\nm = Reshape (r, l)",
        "", 8, "4,4", [2, 5, 8],
    ),
    "slopes for all channels": ("m = PRelu (b, s)", "float[1] s", 8, "4,4", [2, 5, 8]),
    "a power of each channel": (f"{_floats('k', 1, 2, 1, 3)}m = Pow (b, k)",
        "", 8, "4,4", [2, 5, 8]),
    "an upper bound": (f"{ONE}m = Clip (b, , k)",
        "", 8, "4,4", [2, 5, 8]),
}  # fmt: skip


@pytest.mark.parametrize("lowering", LOWERINGS)
@pytest.mark.parametrize(
    ("middle", "weights", "c", "size", "widths"), PASSED.values(), ids=PASSED.keys()
)
def test_a_budget_passes(
    middle: str, weights: str, c: int, size: str, widths: list[int], lowering: Lowering
) -> None:
    lowered = _lower(_around(middle, weights, c, size), lowering)
    assert _barriers(lowered) == []
    if lowering == "switch":
        assert _widths(lowered) == widths


REFUSED = {
    "channels in reverse": (
        FLIP.replace("{3}", "{1}") + "m = Slice (b, k, e, a, t)", 8, "4,4", "Slice: its bounds",
    ),
    "a maximum with one": (f"{ONE}m = Max (b, k)",
        8, "4,4", "Max: all channels of its other operand"),
    "a lower bound above zero": (f"{ONE}m = Clip (b, k)",
        8, "4,4", "Clip: Clip of 0 is not 0"),
    "a power of zero": ("k = Constant <value = float {0}> ()\nm = Pow (b, k)",
        8, "4,4", "Pow: Pow of 0 is not 0"),
    "padding with ones": (
        f"{ONE}{_ints('p', 0, 0, 1, 0, 0, 0, 1, 0)}m = Pad (b, p, k)",
        8, "6,4", "Pad: Pad is along this axis",
    ),
    "channels resized": (f"{_floats('k', 1, 2, 1, 1)}m = Resize (b, , k)",
        16, "4,4", "Resize: Resize is along this axis"),
    "sizes known at run time": (
        f"{_ints('k', 8, 8)}{RUN_TIME_SIZES}m = Resize (b, , , l)",
        8, "8,8", "Shape: it reads all channels",
    ),
    "channels picked": (f"{_ints('k', 3, 0)}m = Gather <axis = 1> (b, k)",
        2, "4,4", "Gather: it regroups"),
    "a maximum over the channels": (f"{_ints('k', 1)}m = ReduceMax (b, k)",
        1, "4,4", "ReduceMax works across"),
    "indices of a pooling": (
        "p, i = MaxPool <kernel_shape = [1,1]> (b)\nf = Cast <to = 1> (i)\nm = Add (p, f)",
        8, "4,4", "MaxPool: how it treats channels is not known",
    ),
}  # fmt: skip


@pytest.mark.parametrize("lowering", LOWERINGS)
@pytest.mark.parametrize(("middle", "c", "size", "why"), REFUSED.values(), ids=REFUSED.keys())
def test_all_channels_are_restored_before(
    middle: str, c: int, size: str, why: str, lowering: Lowering
) -> None:
    lowered = _lower(_around(middle, "", c, size), lowering)
    assert any(why in barrier for barrier in _barriers(lowered)), _barriers(lowered)
    if lowering == "switch":
        assert _widths(lowered)[-1] == c
        assert _convolutions(lowered) == 4


BIAS = _floats("o", 1, 2, 0, 0, 0, 0, 7, 0)

GROUPED = {
    "two groups": ("m = Conv <group = 2> (b, g)", "float[8,4,1,1] g", [4, 8, 8]),
    "a bias in a part of a dead group": (
        f"{BIAS}m = Conv <group = 4> (b, g, o)", "float[8,2,1,1] g", [4, 8, 8],
    ),
    "such a bias before another budget": (
        f"{BIAS}e = Conv <group = 4> (b, g, o)\nm = {AGAIN} (e, level)",
        "float[8,2,1,1] g", [2, 5, 8],
    ),
    "two maps of each channel": (
        "e = Conv <group = 8> (b, g)\nm = MaxPool <kernel_shape = [1,1]> (e)",
        "float[16,1,1,1] g", [4, 10, 16],
    ),
    "transposed": (
        f"e = ConvTranspose <group = 2> (b, g, o)\nm = {AGAIN} (e, level)",
        "float[8,4,1,1] g, float[8] o", [2, 5, 8],
    ),
}  # fmt: skip


@pytest.mark.parametrize("lowering", LOWERINGS)
@pytest.mark.parametrize(("middle", "weights", "widths"), GROUPED.values(), ids=GROUPED.keys())
def test_of_grouped_convolutions_whole_groups_stay(
    middle: str, weights: str, widths: list[int], lowering: Lowering
) -> None:
    lowered = _lower(_around(middle, weights, widths[-1]), lowering, exact="Tran" not in middle)
    if lowering == "switch":
        assert _widths(lowered) == widths


@pytest.mark.parametrize("lowering", LOWERINGS)
@pytest.mark.parametrize("shape", ["8", "1,8", "2,8", "2,1", "1", "1,1"])
@pytest.mark.parametrize("attributes", ["", "<alpha = 2.0, beta = 0.5>"], ids=["plain", "scaled"])
def test_the_bias_of_a_linear_layer_has_any_shape(
    attributes: str, shape: str, lowering: Lowering
) -> None:
    model = budgeted_graph(f"""
    main (float[2,3] x, int64[1] level, float[3,8] w, float[{shape}] o, float[3,8] v)
     => (float[2,3] y) {{
        c = Gemm {attributes} (x, w, o)
        b = {AGAIN} (c, level)
        y = Gemm <transB = 1> (b, v)
    }}""")
    assert _barriers(_lower(infer_shapes(model), lowering)) == []


@pytest.mark.parametrize("lowering", LOWERINGS)
def test_a_channel_that_was_squeezed_may_not_vanish_with_the_others(lowering: Lowering) -> None:
    model = budgeted_graph("""
    main (float[1,3,1,1] x, int64 level, float[8,3,1,1] w, float[8,2] v) => (float[2] y) {
        c = Conv (x, w)
        b = dyncompile.ChannelBudget <name = "d", counts = [1, 8], axis = 1> (c, level)
        s = Squeeze (b)
        y = MatMul (s, v)
    }""")
    assert _barriers(_lower(infer_shapes(model), lowering))


@pytest.mark.parametrize("lowering", LOWERINGS)
def test_an_entry_of_a_reshape_that_copies_the_channels_elsewhere_ends_a_budget(
    lowering: Lowering,
) -> None:
    model = budgeted_graph(f"""
    main (float[1,3,8,1] x, int64 level, float[8,3,1,1] w, float[2,8,1,1] v)
     => (float[1,2,8,1] y) {{
        c = Conv (x, w)
        b = {AGAIN} (c, level)
        {_ints("k", 1, 1, 8, 8)}{_ints("l", 1, 8, 0, 1)}
        r = Reshape (b, k)
        m = Reshape (r, l)
        y = Conv (m, v)
    }}""")
    assert "Reshape: it regroups" in str(_barriers(_lower(infer_shapes(model), lowering)))


@pytest.mark.parametrize("lowering", LOWERINGS)
def test_fewer_rows_are_less_work_too(lowering: Lowering) -> None:
    model = budgeted_graph(f"""
    main (float[1,8,3] x, int64 level, float[3,4] w) => (float[1,8,4] y) {{
        b = {AGAIN} (x, level)
        y = MatMul (b, w)
    }}""")
    lowered = _lower(infer_shapes(model), lowering)
    assert _barriers(lowered) == ["output: the network returns all channels"]


@pytest.mark.parametrize("lowering", LOWERINGS)
def test_levels_may_have_fewer_channels_along_one_axis_or_another(lowering: Lowering) -> None:
    model = budgeted_graph("""
    main (float[1,8,8] x, int64 level, float[8,8] w, float[8,2] v) => (float[1,8,2] y) {
        c = MatMul (x, w)
        b = dyncompile.ChannelBudget <name = "d", counts = [2, 4, 8, 8], axis = 2> (c, level)
        m = dyncompile.ChannelBudget <name = "d", counts = [3, 4, 4, 8], axis = 1> (b, level)
        y = MatMul (m, v)
    }""")
    model = infer_shapes(model)
    lowered = _lower(model, lowering)
    for level in range(4):
        feeds = feeds_at(model, level)
        assert [y.tolist() for y in ort_session(lowered)(feeds)] == [
            y.tolist() for y in ort_session(model)(feeds)
        ]


def test_a_part_of_a_concatenation_that_a_level_lacks_is_less_work() -> None:
    model = budgeted_graph("""
    main (float[1,4,4,4] x, int64 level, float[2,4,1,1] w) => (float[1,6,4,4] y) {
        c = Conv (x, w)
        r = Relu (c)
        j = Concat <axis = 1> (x, r)
        y = dyncompile.ChannelBudget <name = "d", counts = [3, 6], axis = 1> (j, level)
    }""")
    _lower(infer_shapes(model), "switch")


@pytest.mark.parametrize("lowering", LOWERINGS)
def test_of_groups_normalised_together_whole_ones_stay(lowering: Lowering) -> None:
    model = budgeted_graph(f"""
    main (float[1,3,4,4] x, int64 level, float[8,3,1,1] w, float[8] s, float[8] o,
          float[2,8,1,1] v) => (float[1,2,4,4] y)
     <float[1,8,4,4] c, float[1,8,4,4] g, float[1,8,4,4] b> {{
        c = Conv (x, w)
        g = GroupNormalization <num_groups = 4> (c, s, o)
        b = {AGAIN} (g, level)
        y = Conv (b, v)
    }}""")
    lowered = model.clone()
    SpecialiseLevels(lowering)(lowered)
    before, after = ort_session(model), ort_session(lowered)
    for level in range(3):
        feeds = feeds_at(model, level)
        (want,), (got,) = before(feeds), after(feeds)
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)  # sums in another order
    if lowering == "switch":
        made = [n.outputs[0].shape for n in lowered.graph if n.op_type == "Conv"]
        assert [shape[1] for shape in made if shape] == [2, 6, 8, 2, 2, 2]
