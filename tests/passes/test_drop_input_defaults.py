from __future__ import annotations

from dyncompile.knobs import Levels
from dyncompile.passes import DefaultKnobs
from dyncompile.passes.drop_input_defaults import DropInputDefaults
from tests.lowered import switched
from tests.support import graph_text


def test_what_default_knobs_adds_is_gone() -> None:
    model, original = switched(), switched()
    DefaultKnobs((("level", Levels((0.25, 0.5, 1.0))),))(model)
    assert DropInputDefaults()(model).modified
    assert graph_text(model) == graph_text(original)
    assert not DropInputDefaults()(model).modified


def test_weights_stay() -> None:
    model = switched()
    assert not DropInputDefaults()(model).modified
