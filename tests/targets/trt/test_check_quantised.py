from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from tests.targets.trt.legal import assert_builds, assert_refused, checked, parse

_T = ir.DataType
IMAGE = "float[1,4,3,3]"
NUMBERS = "{" + ", ".join(["3"] * 16) + "}"
CONSTANTS = (
    f"float s = {{0.1}}, int8 z = {{0}}, int8 three = {{3}}, uint8 u = {{0}},"
    f" int8[4,4,1,1] qw = {NUMBERS}, float[4,4,1,1] fw = {NUMBERS},"
    " float[2] scales = {0.1, 0.2}, int64[1] zero = {0},"
    " int64[1] two = {2}, float[4] each = {0.1, 0.1, 0.2, 0.2}, int8[4] zeros = {0, 0, 0, 0},"
    " int32[4] qb = {1, 2, 3, 4}"
)


def graph(body: str, *inputs: str) -> str:
    listed = ", ".join([f"{IMAGE} x", *inputs])
    return f"main ({listed}) => (float[a,b,c,d] y) <{CONSTANTS}> {{ {body} }}"


X = "q = QuantizeLinear (x, s, z) dx = DequantizeLinear (q, s, z)"
W = "w = DequantizeLinear (qw, s, z)"


@pytest.mark.parametrize(
    ("body", "inputs", "words"),
    [
        pytest.param(
            "[n] q = QuantizeLinear (x, s, three) y = DequantizeLinear (q, s, three)",
            [],
            ["not 0", "symmetrically"],
            id="zero point",
        ),
        pytest.param(
            "[n] q = QuantizeLinear (x, s, p) y = DequantizeLinear (q, s, p)",
            ["int8 p"],
            ["no constant"],
            id="zero point that is fed",
        ),
        pytest.param(
            "[n] q = QuantizeLinear (x, s, u) y = DequantizeLinear (q, s, u)",
            [],
            ["uint8"],
            id="uint8",
        ),
        pytest.param(
            "[n] q = QuantizeLinear (x, s) y = DequantizeLinear (q, s)",
            [],
            ["uint8"],
            id="uint8 unsaid",
        ),
        pytest.param(
            f"{W} [n] b = DequantizeLinear (qb, s) y = Conv (x, w, b)",
            [],
            ["int32", "float"],
            id="bias of int32",
        ),
        pytest.param(
            "[n] cut = Slice (qw, zero, two, zero) w = DequantizeLinear (cut, s, z)"
            " y = Conv (x, w)",
            [],
            ["'qw'"],
            id="a cut between",
        ),
        pytest.param(
            "q = QuantizeLinear (x, t, z) dx = DequantizeLinear (q, t, z)"
            f" {W} [n] y = Conv (dx, w)",
            ["float t"],
            ["'t'", "no constant"],
            id="a scale that is fed, which crashes the builder",
        ),
        pytest.param(
            "t = Gather (scales, k) q = QuantizeLinear (x, t, z) dx = DequantizeLinear (q, t, z)"
            f" r = Reshape (dx, k4) {W} [n] y = Conv (r, w)",
            ["int64 k", "int64[4] k4"],
            ["no constant"],
            id="a scale that is gathered, and a view",
        ),
        pytest.param(
            f"{X} w = DequantizeLinear (qw, t, z) [n] y = Conv (dx, w)",
            ["float t"],
            ["'t'"],
            id="a scale of weights that is fed",
        ),
    ],
)
def test_what_tensorrt_lacks_is_refused(body: str, inputs: list[str], words: list[str]) -> None:
    assert_refused(parse(graph(body, *inputs)), "'n'", *words)


@pytest.mark.parametrize(
    ("body", "inputs"),
    [
        pytest.param(f"{X} {W} y = Conv (dx, w)", [], id="int8"),
        pytest.param(f"{W} y = Conv (x, w)", [], id="weights only"),
        pytest.param(
            "w = DequantizeLinear <axis = 0> (qw, each, zeros) y = Conv (x, w)",
            [],
            id="per channel",
        ),
        pytest.param(
            "q = QuantizeLinear <axis = 1> (x, each, zeros)"
            " y = DequantizeLinear <axis = 1> (q, each, zeros)",
            [],
            id="activations per channel",
        ),
        pytest.param(
            "q = QuantizeLinear <output_dtype = 3> (x, s) y = DequantizeLinear (q, s)",
            [],
            id="without zero point",
        ),
        pytest.param(
            "q = QuantizeLinear (x, t, z) dx = DequantizeLinear (q, t, z) y = Conv (dx, fw)",
            ["float t"],
            id="a scale that is fed in front of float weights",
        ),
        pytest.param(
            f"t = Mul (s, s) q = QuantizeLinear (x, t, z) dx = DequantizeLinear (q, t, z) {W}"
            " y = Conv (dx, w)",
            [],
            id="a scale that is computed from constants",
        ),
    ],
)
def test_neighbours_build(body: str, inputs: list[str]) -> None:
    assert_builds(checked(parse(graph(body, *inputs))))


def product(
    operator: str,
    weights: ir.DataType,
    activations: ir.DataType | None = None,
    blocks: tuple[int, int] | None = None,
) -> ir.Model:
    """Multiply by quantised weights, what is quantised too or not."""
    shape, size = ((4, 4, 1, 1), [1, 4, 3, 3]) if operator == "Conv" else ((16, 16), [1, 16])
    scales = [n // blocks[1] if blocks and axis == blocks[0] else n for axis, n in enumerate(shape)]
    ones = np.ones(shape).astype(weights.numpy())
    constants = {
        "qw": ir.Tensor(ones, dtype=weights),
        "s": ir.tensor(np.full(scales if blocks else [], 0.5, np.float32)),
        "t": ir.tensor(np.float32(0.5)),
    }
    values = {
        name: ir.val(name, dtype=t.dtype, shape=[int(n) for n in t.shape.numpy()], const_value=t)
        for name, t in constants.items()
    }
    x = ir.val("x", dtype=_T.FLOAT, shape=size)
    attributes = {} if blocks is None else {"axis": blocks[0], "block_size": blocks[1]}
    nodes = [ir.node("DequantizeLinear", [values["qw"], values["s"]], attributes, name="weights")]
    read = x
    if activations is not None:
        kind = {"output_dtype": int(activations)}
        nodes.append(ir.node("QuantizeLinear", [x, values["t"]], kind, name="quantise"))
        nodes.append(ir.node("DequantizeLinear", [nodes[-1].outputs[0], values["t"]], name="back"))
        read = nodes[-1].outputs[0]
    nodes.append(ir.node(operator, [read, nodes[0].outputs[0]], name="product"))
    y = nodes[-1].outputs[0]
    y.name, y.dtype, y.shape = "y", _T.FLOAT, ir.Shape(size)
    used = [value for value in values.values() if value.uses()]
    main = ir.Graph([x], [y], nodes=nodes, initializers=used, opset_imports={"": 23}, name="main")
    return ir.Model(main, ir_version=11)


@pytest.mark.parametrize(
    ("model", "node"),
    [
        pytest.param(product("Conv", _T.UINT4), "qw", id="uint4"),
        pytest.param(product("MatMul", _T.FLOAT8E5M2), "qw", id="float8 of another kind"),
        pytest.param(product("Conv", _T.INT4, blocks=(1, 2)), "weights", id="blocks of a kernel"),
        pytest.param(product("Conv", _T.INT4, _T.INT8), "product", id="int4 by int8"),
        pytest.param(product("Conv", _T.INT4, _T.INT4), "product", id="int4 convolution"),
        pytest.param(product("MatMul", _T.INT4, _T.INT8), "product", id="int4 by int8 matrices"),
        pytest.param(product("MatMul", _T.INT8, _T.FLOAT8E4M3FN), "product", id="int8 by float8"),
    ],
)
def test_other_widths_are_refused(model: ir.Model, node: str) -> None:
    assert_refused(model, node)


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(product("Conv", _T.INT4), id="int4 kernel"),
        pytest.param(product("MatMul", _T.INT4, blocks=(0, 8)), id="int4 blocks"),
        pytest.param(product("MatMul", _T.INT4, _T.INT4), id="int4 matrices"),
        pytest.param(product("Conv", _T.FLOAT8E4M3FN, _T.FLOAT8E4M3FN), id="float8"),
    ],
)
def test_other_widths_that_build(model: ir.Model) -> None:
    assert_builds(checked(model))


def test_a_quantised_constant_in_two_branches_is_refused() -> None:
    model = parse(f"""main (bool take, {IMAGE} x) => ({IMAGE} y) <{CONSTANTS}> {{
        y = If (take) <
            then_branch = on () => ({IMAGE} a) {{
                [n] w = DequantizeLinear (qw, s, z) a = Conv (x, w) }},
            else_branch = off () => ({IMAGE} b) {{
                v = DequantizeLinear (qw, s, z) r = Relu (x) b = Conv (r, v) }}>
    }}""")
    assert_refused(model, "'n'", "several branches")
