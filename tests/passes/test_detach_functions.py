from __future__ import annotations

import onnx_ir as ir

from dyncompile.passes.detach_functions import DetachFunctions
from tests.lowered import switched
from tests.support import parse


def test_markers_lose_their_meaning_and_stand() -> None:
    model = parse(
        'main (bool t, float[2] x) => (float[2] y) { y = dyncompile.Gate <name = "g"> (t, x, x) }'
    )
    assert model.functions
    assert DetachFunctions()(model).modified
    assert not model.functions
    assert [node.op_type for node in model.graph] == ["Gate"]
    assert "dyncompile" in model.opset_imports


def test_other_functions_are_written_out() -> None:
    model = ir.from_onnx_text(
        """<ir_version: 10, opset_import: ["" : 21, "mine" : 1]>
        main (float[4] x) => (float[4] y) { y = mine.Twice (x) }
        <domain: "mine", opset_import: ["" : 21]>
        Twice (x) => (y) { y = Add (x, x) }"""
    )
    assert DetachFunctions()(model).modified
    assert [node.op_type for node in model.graph] == ["Add"]
    assert set(model.opset_imports) == {""}


def test_a_domain_that_nobody_uses_is_forgotten() -> None:
    model = switched()
    assert "dyncompile" in model.opset_imports
    assert DetachFunctions()(model).modified
    assert set(model.opset_imports) == {""}
    assert not DetachFunctions()(model).modified
