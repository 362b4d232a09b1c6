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


def test_what_a_level_cuts_at_run_time_keeps_its_type() -> None:
    model = parse(
        """main (float[1,8] x, int64 level) => (float[1,2] y)
        <int64[2,1] table = {2, 4}, int64[1] zero = {0}, int64[1] one = {1}, int64[1] two = {2},
         int64[0] scalar = {}, float[1,M] a, float[1,2] b, int64[1] end, int64 row> {
            row = Reshape (level, scalar)
            end = Gather (table, row)
            a = Slice (x, zero, end, one)
            b = Slice (a, zero, two, one)
            y = Neg (b)
        }"""
    )
    first = model.graph.node(0)
    plain = model.clone()
    first.metadata_props["dyncompile.cuts"] = "level"
    for one, kept in ((model, {"a", "end"}), (plain, set())):
        assert OmitInnerTypes()(one).modified
        assert not OmitInnerTypes()(one).modified
        typed = {v.name for node in one.graph for v in node.outputs if v.dtype is not None}
        assert typed == kept | {"y"}


def test_what_exporters_noted_keeps_no_type() -> None:
    model = parse("main (float[4] x) => (float[4] y) <float[4] r> { r = Relu (x) y = Neg (r) }")
    value = model.graph[0].outputs[0]
    value.metadata_props["pkg.torch.onnx.original_node_name"] = "relu"
    assert OmitInnerTypes()(model).modified
    assert value.dtype is None
