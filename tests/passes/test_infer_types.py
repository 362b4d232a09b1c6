from __future__ import annotations

import onnx_ir as ir

from dyncompile.passes import OmitInnerTypes
from dyncompile.passes.infer_types import InferTypes
from tests.support import parse

WEIGHT = "float[2,3,1,1] w = {1, 2, 3, 4, 5, 6}"


def test_types_that_were_left_out_come_back() -> None:
    model = parse(f"""main (bool t, float[n,3,4,4] x) => (float[a,b,c,d] y) <{WEIGHT}> {{
        r = Relu (x)
        y = If (t) <
            then_branch = on () => (float[e,f,g,h] on) {{ c1 = Conv (r, w) on = Abs (c1) }},
            else_branch = off () => (float[e,f,g,h] off) {{ off = Conv (x, w) }}>
    }}""")
    OmitInnerTypes()(model)
    assert InferTypes()(model).modified
    inner = {v.name: v for node in model.graph.all_nodes() for v in node.outputs}
    assert inner["r"].dtype == ir.DataType.FLOAT
    assert str(inner["c1"].shape) == "[n,2,4,4]"
    assert str(model.graph.outputs[0].shape) == "[a,b,c,d]"  # as it is declared
    assert not InferTypes()(model).modified


def test_views_of_outer_weights_are_known_in_branches() -> None:
    model = parse(f"""main (bool t, float[1,3] x) => (float[1,2] y)
        <{WEIGHT}, int64[2] s = {{3, 2}}> {{
        y = If (t) <
            then_branch = on () => (float[1,2] a) {{ v = Reshape (w, s) a = MatMul (x, v) }},
            else_branch = off () => (float[1,2] b) {{ u = Reshape (w, s) b = MatMul (x, u) }}>
    }}""")
    OmitInnerTypes()(model)
    InferTypes()(model)
    (v,) = (o for n in model.graph.all_nodes() for o in n.outputs if o.name == "v")
    assert v.shape == ir.Shape([3, 2])


def test_a_graph_that_contradicts_itself_stays() -> None:
    model = parse(
        "main (float[2,3] x, float[4,5] z) => (float[2,5] y) { h = MatMul (x, z) y = Relu (h) }"
    )
    InferTypes()(model)
    (h, _) = (value for node in model.graph for value in node.outputs)
    assert h.shape is None
