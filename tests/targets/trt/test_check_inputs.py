from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from dyncompile.errors import TargetError
from dyncompile.knobs import Levels, Threshold
from dyncompile.passes import DefaultKnobs
from dyncompile.targets.trt.check_inputs import CheckInputs
from dyncompile.targets.trt.check_names import CheckNames
from tests.lowered import switched
from tests.targets.trt.legal import assert_builds, checked, parse


def defaulted() -> ir.Model:
    model = switched()
    DefaultKnobs((("level", Levels((0.25, 0.5, 1.0))),))(model)
    return model


def test_a_knob_with_a_default_is_refused() -> None:
    with pytest.raises(TargetError, match=r"input 'level': it has a default.*freeze") as raised:
        CheckInputs()(defaulted())
    assert "initializer" in raised.value.remedy


def test_a_knob_that_is_no_input_is_refused() -> None:
    check = CheckInputs(("level", "threshold"))
    with pytest.raises(TargetError, match="knob 'threshold': it is no input"):
        check(switched())


def test_every_knob_is_an_input_of_the_parsed_network() -> None:
    built = assert_builds(checked(defaulted()))
    assert built.inputs == {"x": False, "level": False}


def test_so_is_a_threshold() -> None:
    model = parse("""main (float[1,4] x, float t) => (float[1,4] y) {
        s = ReduceSum <keepdims = 0> (x) take = Greater (s, t)
        y = If (take) <
            then_branch = on () => (float[1,4] a) { a = Relu (x) },
            else_branch = off () => (float[1,4] b) { b = Neg (x) }>
    }""")
    DefaultKnobs((("t", Threshold(0.5)),))(model)
    assert model.graph.inputs[1].const_value is not None
    assert np.isclose(model.graph.inputs[1].const_value.numpy(), 0.5)
    assert set(assert_builds(checked(model)).inputs) == {"x", "t"}


SHARED = """main (bool take, float[1,4] x) => (float[1,4] y) {
    [choice] y = If (take) <
        then_branch = on () => (float[1,4] v) { [one] v = Relu (x) },
        else_branch = off () => (float[1,4] v) { [other] v = Neg (x) }>
}"""


@pytest.mark.parametrize(
    ("graph", "where"),
    [
        pytest.param(SHARED, "value 'v'", id="an output of both branches"),
        pytest.param(
            SHARED.replace("[other] v", "[one] b").replace(
                "(float[1,4] v) { [one] b", "(float[1,4] b) { [one] b"
            ),
            "node 'one'",
            id="nodes",
        ),
    ],
)
def test_names_that_stand_for_two_things_are_refused(graph: str, where: str) -> None:
    with pytest.raises(TargetError, match="NameUniquely") as raised:
        CheckNames()(parse(graph))
    assert raised.value.where == where


def test_legalising_gives_each_its_own_and_the_parser_has_nothing_to_say() -> None:
    model = parse(SHARED.replace("[other]", "[one]"))
    assert any("already exists" in text for text in assert_builds(model).warnings)
    assert not assert_builds(checked(model)).warnings
