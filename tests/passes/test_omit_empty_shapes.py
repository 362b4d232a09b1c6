from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from dyncompile.passes.constants import add_constant
from dyncompile.passes.omit_empty_shapes import OmitEmptyShapes
from tests.support import assert_same_numbers, every_feeds, ort_run, parse


def with_empty(graph: str) -> ir.Model:
    """Read a graph; the input named ``none`` becomes a constant without elements."""
    model = parse(graph)
    value = next(v for node in model.graph.all_nodes() for v in node.inputs if _is_none(v))
    empty = np.zeros(0, value.dtype.numpy() if value and value.dtype else np.int64)
    constant = add_constant(model.graph, "nothing", empty)
    for node in model.graph.all_nodes():
        for index, read in enumerate(node.inputs):
            if _is_none(read):
                node.replace_input_with(index, constant)
    inputs = [v for v in model.graph.inputs if v.name != "none"]
    model.graph.inputs.clear()
    model.graph.inputs.extend(inputs)
    return model


def _is_none(value: ir.Value | None) -> bool:
    return value is not None and value.name == "none"


@pytest.mark.parametrize(
    ("graph", "becomes"),
    [
        pytest.param(
            "main (float[1,1] x, int64[0] none) => (float y) { y = Reshape (x, none) }",
            "Squeeze",
            id="Reshape",
        ),
        pytest.param(
            "main (float[2] x, int64[0] none) => (float[2] y) { y = Expand (x, none) }",
            "Identity",
            id="Expand",
        ),
        pytest.param(
            "main (float[2] x, int64[0] none) => (float[2] y) { y = Unsqueeze (x, none) }",
            "Identity",
            id="Unsqueeze",
        ),
        pytest.param(
            "main (float[2,2] x, int64[0] none) => (float y)"
            " { y = ReduceSum <keepdims = 0> (x, none) }",
            "ReduceSum",
            id="over all",
        ),
        pytest.param(
            "main (float[2,2] x, int64[0] none) => (float[2,2] y)"
            " { y = ReduceSum <noop_with_empty_axes = 1> (x, none) }",
            "Identity",
            id="over none",
        ),
    ],
)
def test_says_the_same_without(graph: str, becomes: str) -> None:
    model = with_empty(graph)
    original = model.clone()
    assert OmitEmptyShapes()(model).modified
    assert [node.op_type for node in model.graph] == [becomes]
    assert not any(_is_nothing(v) for node in model.graph for v in node.inputs)
    assert_same_numbers(original, model, every_feeds(model))
    assert not OmitEmptyShapes()(model).modified


def _is_nothing(value: ir.Value | None) -> bool:
    return value is not None and value.name == "nothing"


def test_in_a_branch_too() -> None:
    model = with_empty("""main (bool t, float[1] x, int64[0] none) => (float y) {
        y = If (t) <
            then_branch = on () => (float a) { a = Reshape (x, none) },
            else_branch = off () => (float b) { n = Neg (x) b = Reshape (n, none) }>
    }""")
    original = model.clone()
    assert OmitEmptyShapes()(model).modified
    assert_same_numbers(original, model, every_feeds(model))


def test_optional_inputs_are_left_out() -> None:
    model = with_empty(
        "main (float[1,1,2,2] x, float[0] none) => (float[1,1,4,4] y)"
        " <int64[4] sizes = {1, 1, 4, 4}> { y = Resize (x, none, none, sizes) }"
    )
    original = model.clone()
    assert OmitEmptyShapes()(model).modified
    (node,) = model.graph
    assert [value is None for value in node.inputs] == [False, True, True, False]
    (feeds,) = every_feeds(model, samples=1)
    np.testing.assert_array_equal(ort_run(model, feeds)[0], ort_run(original, feeds)[0])


def test_notes_stay() -> None:
    model = with_empty("main (bool[1] x, int64[0] none) => (bool y) { [n] y = Reshape (x, none) }")
    (node,) = model.graph
    node.metadata_props["kept"] = "node"
    node.outputs[0].metadata_props["kept"] = "value"
    OmitEmptyShapes()(model)
    (node,) = model.graph
    assert (node.name, node.metadata_props, node.outputs[0].metadata_props) == (
        "n",
        {"kept": "node"},
        {"kept": "value"},
    )
