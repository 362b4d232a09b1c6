from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from dyncompile.dialect import ABSENT, DECISION
from dyncompile.passes.fill_absent import FillAbsent
from dyncompile.passes.infer_types import InferTypes
from tests.support import assert_same_numbers, every_feeds, parse, run

ONE = "Constant <value = float[1,1] {0}> ()"


def graph(absent: str, present: str, sizes: str = "2,3", condition: str = "bool") -> str:
    """Write two Ifs on one decision: the first returns what the second reads on one side."""
    return f"""main ({condition} take, float[{sizes}] x) => (float[{sizes}] y) {{
        h = If (take) <
            then_branch = on () => (float[{sizes}] h1) {{ h1 = {present} }},
            else_branch = off () => (float[c,d] h0) {{ h0 = {absent} }}>
        y = If (take) <
            then_branch = on2 () => (float[{sizes}] y1) {{ y1 = Relu (h) }},
            else_branch = off2 () => (float[{sizes}] y0) {{ y0 = Neg (x) }}>
    }}"""


def decided(text: str, *, noted: bool = True) -> ir.Model:
    """Read a graph whose Ifs are decisions of ours, and whose constants are stand-ins."""
    model = parse(text)
    for node in model.graph.all_nodes():
        if node.op_type == "If":
            node.metadata_props[DECISION] = "take"
        if noted and node.op_type in {"Constant", "ConstantOfShape"}:
            node.metadata_props[ABSENT] = "1"
    InferTypes()(model)
    return model


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(graph(ONE, "Abs (x)"), id="on the other side"),
        pytest.param(
            graph(ONE, "Abs (x)")
            .replace("then", "tmp")
            .replace("else", "then")
            .replace("tmp", "else"),
            id="on this side",
        ),
        pytest.param(graph(ONE, "Abs (x)", condition="bool[1]"), id="a decision of rank 1"),
        pytest.param(
            graph(
                f"""If (take) <
                    then_branch = i1 () => (float[1,1] j1) {{ j1 = {ONE} }},
                    else_branch = i0 () => (float[1,1] j0) {{ j0 = {ONE} }}>""",
                "Abs (x)",
            ),
            id="handed on",
        ),
        pytest.param(
            graph("ConstantOfShape (ones)", "Abs (x)")
            .replace("(float[2,3] y) {", "(float[2,3] y) <int64[2] ones = {1, 1}> {")
            .replace("[c,d]", "[1,1]"),
            id="made of sizes",
        ),
    ],
)
def test_absent_values_get_the_shape_of_those_that_are_there(text: str) -> None:
    model = decided(text)
    original = model.clone()
    assert FillAbsent()(model).modified
    assert not any(node.op_type == "Constant" for node in model.graph.all_nodes())
    for node in model.graph.all_nodes():
        if node.op_type == "If":
            assert str(node.outputs[0].shape) == "[2,3]"
    assert_same_numbers(original, model, every_feeds(model))
    assert not FillAbsent()(model).modified


def test_sizes_that_follow_from_what_was_filled_are_filled_too() -> None:
    model = decided(f"""main (bool take, bool more, float[2,3] x) => (float[2,3] y) {{
        h = If (more) <
            then_branch = on () => (float[a,b] h1) {{
                i = If (take) <
                    then_branch = in () => (float[2,3] i1) {{ i1 = Abs (x) }},
                    else_branch = out () => (float[1,1] i0) {{ i0 = {ONE} }}>
                h1 = Relu (i)
            }},
            else_branch = off () => (float[1,1] h0) {{ h0 = {ONE} }}>
        y = Add (h, x)
    }}""")
    FillAbsent()(model)
    assert not any(node.op_type == "Constant" for node in model.graph.all_nodes())
    assert not FillAbsent()(model).modified


def test_they_are_zeros_of_that_shape() -> None:
    model = decided(graph(ONE, "Abs (x)"))
    FillAbsent()(model)
    first = next(iter(model.graph))
    model.graph.outputs[0] = first.outputs[0]
    (off, on) = every_feeds(model, samples=1)
    np.testing.assert_array_equal(run(model, off)[0], np.zeros((2, 3), np.float32))
    np.testing.assert_array_equal(run(model, on)[0], np.abs(on["x"]))


def test_a_size_that_an_input_has_is_read_there() -> None:
    model = decided(graph(ONE, "Abs (x)", "n,3"))
    original = model.clone()
    assert FillAbsent()(model).modified
    assert "Shape" in [node.op_type for node in model.graph.all_nodes()]
    assert_same_numbers(original, model, every_feeds(model))


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(decided(graph("Neg (x)", "Abs (x)")), id="both are there"),
        pytest.param(decided(graph(ONE, "Abs (x)", "1,1")), id="of one element"),
        pytest.param(parse(graph(ONE, "Abs (x)")), id="an If of another tool"),
        pytest.param(decided(graph(ONE, "Abs (x)"), noted=False), id="a zero that is meant"),
    ],
)
def test_leaves_alone(model: ir.Model) -> None:
    assert not FillAbsent()(model).modified
