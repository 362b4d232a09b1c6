import onnx_ir as ir

from dyncompile.passes import OmitInnerTypes
from tests.support import parse


def test_only_values_inside_lose_their_types() -> None:
    model = parse("main (float[4] x) => (float[4] y) <float[4] r> { r = Relu (x) y = Neg (r) }")
    model.graph[0].outputs[0].metadata_props["dyncompile.decision"] = "kept"
    assert not OmitInnerTypes()(model).modified
    del model.graph[0].outputs[0].metadata_props["dyncompile.decision"]
    assert OmitInnerTypes()(model).modified
    assert [value.dtype for node in model.graph for value in node.outputs] == [
        None,
        ir.DataType.FLOAT,
    ]
