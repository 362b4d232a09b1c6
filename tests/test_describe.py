import json
from typing import Literal

import onnx_ir as ir
import pytest

from dyncompile.describe import manifest_from_model
from dyncompile.dialect import BUDGETS, DECISION
from dyncompile.errors import KnobError
from dyncompile.knobs import Levels
from dyncompile.manifest import Barrier, Budgets, Decision, Side
from tests.lowered import switched
from tests.support import parse

LEVELS = {"level": Levels((0.25, 0.5, 1.0))}
MARKED = """main (float[1,4] x, int64 level, bool take) => (float[1,4] y) {
    a = dyncompile.ChannelBudget <name = "width", counts = [1, 2, 4], axis = 1> (x, level)
    b = Relu (a)
    c = dyncompile.ChannelBudget <name = "again", counts = [2, 2, 4], axis = 1> (b, level)
    y = dyncompile.Gate <name = "skip"> (take, c, a)
}"""


def on_level() -> ir.Model:
    """A switch on the knob, lowered."""
    model = switched()
    model.graph.inputs[1].metadata_props[DECISION] = "level"
    return model


def none(count: int) -> tuple[Side, ...]:
    return (Side(0, 0),) * count


def test_a_marked_graph_tells_of_its_budgets_as_switches_on_their_level() -> None:
    manifest = manifest_from_model(parse(MARKED), LEVELS, "marked")
    assert manifest.decisions == (
        Decision("width", "switch", ("level",), (), none(3)),
        Decision("again", "switch", ("level",), (), none(3)),
        Decision("skip", "gate", ("take",), (), none(2)),
    )
    assert manifest.budgets == (Budgets("width", 3),)


def test_budgets_on_two_levels_are_told_apart() -> None:
    two = MARKED.replace("(b, level)", "(b, other)").replace(
        "int64 level", "int64 level, int64 other"
    )
    manifest = manifest_from_model(parse(two), LEVELS, "marked")
    assert manifest.budgets == (Budgets("width", 3), Budgets("again", 3))


def test_what_the_passes_note_of_budgets_goes_into_the_manifest() -> None:
    model = on_level()
    barrier = {"at": "softmax", "why": "it mixes channels"}
    note = {"decision": "level", "levels": 3, "lowering": "slice", "why": "Small."}
    model.metadata_props[BUDGETS] = json.dumps([{**note, "barriers": [barrier]}])
    for _ in range(2):
        manifest = manifest_from_model(model, LEVELS, "onnx")
        assert manifest.budgets == (
            Budgets("level", 3, "slice", "Small.", (Barrier("softmax", "it mixes channels"),)),
        )
    assert [decision.name for decision in manifest.decisions] == ["level"]


@pytest.mark.parametrize("target", ["marked", "onnx"])
def test_a_knob_has_as_many_levels_as_its_budgets_count_for(
    target: Literal["marked", "onnx"],
) -> None:
    model = parse(MARKED) if target == "marked" else on_level()
    note = {"decision": "level", "levels": 3, "lowering": "slice", "why": "Small.", "barriers": []}
    model.metadata_props[BUDGETS] = json.dumps([note])
    with pytest.raises(KnobError, match=r"knob 'level': it has 2 levels, .* count for 3"):
        manifest_from_model(model, {"level": Levels((0.5, 1.0))}, target)


def test_a_graph_without_budgets_tells_of_none() -> None:
    assert manifest_from_model(on_level(), {}, "onnx").budgets == ()
