"""Products as convolutions: the same numbers, and engines where there are no products."""

import numpy as np
import onnx_ir as ir
import pytest
from onnx_ir.passes.common import RemoveUnusedNodesPass

from dyncompile.passes import NameUniquely
from dyncompile.passes.convolutions_from_products import ConvolutionsFromProducts
from dyncompile.passes.infer_types import InferTypes
from tests.support import assert_same_numbers, assert_unique_names, parse, random_feeds


def _model(graph: str) -> ir.Model:
    """Read a graph; every input but x and take becomes a weight of small whole numbers."""
    model = parse(graph)
    rng = np.random.default_rng(0)
    for value in list(model.graph.inputs):
        if value.name in {"x", "take", "free"}:
            continue
        assert value.shape is not None
        array = rng.integers(-3, 4, value.shape.numpy()).astype(np.float32)
        model.graph.inputs.remove(value)
        value.const_value = ir.tensor(array)
        model.graph.register_initializer(value)
    return model


@pytest.mark.parametrize(
    "graph",
    [
        pytest.param(
            "main (float[2,6] x, float[6,4] w, float[4] b) => (float[2,4] y)"
            " { y = Gemm (x, w, b) }",
            id="Gemm",
        ),
        pytest.param(
            "main (float[2,6] x, float[4,6] w, float[1] b) => (float[2,4] y)"
            " { y = Gemm <transB = 1> (x, w, b) }",
            id="Gemm with a transposed weight and one bias for all",
        ),
        pytest.param(
            "main (float[2,6] x, float[2,4] free, float[6,4] w) => (float[2,4] y)"
            " { y = Gemm (x, w, free) }",
            id="Gemm that adds what is computed",
        ),
        pytest.param(
            "main (float[2,6] x, float[6,4] w) => (float[2,4] y) { y = MatMul (x, w) }",
            id="MatMul of vectors",
        ),
        pytest.param(
            "main (float[2,3,6] x, float[6,4] w) => (float[2,3,4] y) { y = MatMul (x, w) }",
            id="MatMul of tokens",
        ),
        pytest.param(
            "main (float[2,3,5,6] x, float[6,4] w) => (float[2,3,5,4] y) { y = MatMul (x, w) }",
            id="MatMul of rank 4",
        ),
        pytest.param(
            "main (float[2,2,3,2,6] x, float[6,4] w) => (float[2,2,3,2,4] y) { y = MatMul (x, w) }",
            id="MatMul of rank 5",
        ),
        pytest.param(
            "main (float[2,6] x, bool take, float[6,4] w) => (float[2,4] y) <float[2,4] a> {"
            " a = MatMul (x, w)\n"
            "y = If (take) <then_branch = t () => (float[2,4] p) { p = MatMul (x, w) },"
            " else_branch = e () => (float[2,4] q) { q = Neg (a) }> }",
            id="weight shared with a branch",
        ),
        pytest.param(
            "main (float[2,3] x, float[4,6] w, float[4] b) => (float[2,4] y)"
            " <int64[1] zero = {0}, int64[1] three = {3}, int64[1] one = {1}> {"
            " v = Slice (w, zero, three, one) y = Gemm <transB = 1> (x, v, b) }",
            id="part of a transposed weight",
        ),
        pytest.param(
            "main (float[2,5,3] x, float[6,4] w) => (float[2,5,4] y)"
            " <int64[3] some = {0, 2, 5}> {"
            " v = Gather <axis = 0> (w, some) y = MatMul (x, v) }",
            id="tokens by rows of a weight",
        ),
    ],
)
def test_a_product_by_a_weight_is_a_convolution_over_one_point(graph: str) -> None:
    model = _model(graph)
    InferTypes()(model)
    after = model.clone()
    assert ConvolutionsFromProducts()(after).modified
    assert not ConvolutionsFromProducts()(after).modified
    RemoveUnusedNodesPass()(after)
    NameUniquely()(after)
    kinds = {node.op_type for node in after.graph.all_nodes()}
    assert "Conv" in kinds
    assert not kinds & {"Gemm", "MatMul"}
    assert_unique_names(after)
    assert [v.name for v in after.graph.outputs] == ["y"]
    assert_same_numbers(model, after, [random_feeds(model, seed) for seed in range(3)])


@pytest.mark.parametrize(
    "graph",
    [
        pytest.param(
            "main (float[2,6] x, float[6,4] free) => (float[2,4] y) { y = MatMul (x, free) }",
            id="computed on both sides",
        ),
        pytest.param(
            "main (float[2,6] x, float[6,4] w) => (float[2,4] y) { y = Gemm <alpha = 0.5> (x, w) }",
            id="scaled",
        ),
        pytest.param(
            "main (float[6,2] x, float[6,4] w) => (float[2,4] y) { y = Gemm <transA = 1> (x, w) }",
            id="transposed input",
        ),
        pytest.param(
            "main (float[6] x, float[6,4] w) => (float[4] y) { y = MatMul (x, w) }",
            id="a vector without a batch",
        ),
        pytest.param(
            "main (float[2,3,6] x, float[2,6,4] w) => (float[2,3,4] y) { y = MatMul (x, w) }",
            id="a weight per sample",
        ),
    ],
)
def test_other_products_stay(graph: str) -> None:
    assert not ConvolutionsFromProducts()(_model(graph)).modified


def test_products_of_half_precision_stay() -> None:
    model = parse("main (float16[2,6] x, float16[6,4] w) => (float16[2,4] y) { y = MatMul (x, w) }")
    (_, weight) = model.graph.inputs
    model.graph.inputs.remove(weight)
    weight.const_value = ir.tensor(np.ones((6, 4), np.float16))
    model.graph.register_initializer(weight)
    assert not ConvolutionsFromProducts()(model).modified
