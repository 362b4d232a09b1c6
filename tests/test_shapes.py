import onnx_ir as ir

from dyncompile import cost
from dyncompile.shapes import with_shapes
from tests.support import parse

# What `p` computes is read by an If that the same decision leads to; `h` by what follows it.
HANDED_ON = """main (float[1,2,6,6] x, bool c) => (float[1,2,M,N] y)
    <float[2,2,3,3] w = {1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1}> {
    p, q = If (c) <
        then_branch = on () => (p1, q1) {
            p1 = Relu (x)
            q1 = Constant <value = float[1,1,1,1] {0}> ()
        },
        else_branch = off () => (p0, q0) {
            p0 = Constant <value = float[1,1,1,1] {0}> ()
            q0 = Neg (x)
        }>
    y = If (c) <
        then_branch = again () => (y1) { y1 = Conv (p, w) },
        else_branch = not () => (y0) { y0 = Conv (q, w) }>
    z = Conv (y, w)
}"""


def test_what_only_one_branch_computes_has_its_shape() -> None:
    model = parse(HANDED_ON)
    found = with_shapes(model)
    assert [list(value.shape or ()) for value in found.graph.node(0).outputs] == [[1, 2, 6, 6]] * 2
    assert model.graph.node(0).outputs[0].shape is None
    convolution = 2 * 4 * 4 * 2 * 9
    assert cost.total(model).macs == convolution + 2 * 2 * 2 * 2 * 9


def test_a_graph_that_says_what_is_needed_is_left_as_it_is() -> None:
    model = parse("main (float[1,4] x, float[4,2] w) => (float[1,2] y) { y = MatMul (x, w) }")
    assert with_shapes(model) is model


def test_branches_that_return_one_element_by_right_keep_it() -> None:
    model = parse(
        """main (bool c, float[1,1] x, float[1,1] w) => (y) {
            p = If (c) <
                then_branch = on () => (p1) { p1 = Constant <value = float[1,1] {1}> () },
                else_branch = off () => (p0) { p0 = Constant <value = float[1,1] {2}> () }>
            y = MatMul (p, w)
        }"""
    )
    assert with_shapes(model).graph.node(0).outputs[0].shape == ir.Shape([1, 1])
    assert cost.total(model).macs == 1
