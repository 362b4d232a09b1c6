from __future__ import annotations

from dyncompile.passes.omit_trailing_inputs import OmitTrailingInputs
from tests.support import assert_untouched, parse


def test_the_last_inputs_are_left_out() -> None:
    model = parse("main (float[2] x, float low) => (float[2] y) { y = Clip (x, low, ) }")
    (node,) = model.graph
    if len(node.inputs) == 2:
        node.resize_inputs(3)
    assert OmitTrailingInputs()(model).modified
    assert [value.name for value in node.inputs if value is not None] == ["x", "low"]
    assert len(node.inputs) == 2
    assert not OmitTrailingInputs()(model).modified


def test_inputs_in_between_stay() -> None:
    graph = "main (float[2] x, float high) => (float[2] y) { y = Clip (x, , high) }"
    assert_untouched(OmitTrailingInputs(), graph)
