"""Small networks with branches, as files that a builder can read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir

_CONV = "Conv<pads = [1, 1, 1, 1]>"
_WEIGHTS = "float[4, 4, 3, 3] w0, float[4, 4, 3, 3] w1, float[4, 4, 3, 3] w2, float[4, 4, 3, 3] w3"
_X = "float[1, 4, 8, 8]"

PLAIN = f"g ({_X} x, {_WEIGHTS}) => ({_X} y) {{ y = {_CONV}(x, w0) }}"

GATE = f"""g ({_X} x, bool take, {_WEIGHTS}) => ({_X} y) {{
  h = {_CONV}(x, w0)
  y = If (take) <
    then_branch = on () => ({_X} a) {{ a = {_CONV}(h, w1) }},
    else_branch = off () => ({_X} b) {{ b = Identity(h) }}
  >
}}"""

RETURNS_OUTER = f"""g ({_X} x, bool take, {_WEIGHTS}) => ({_X} y) {{
  h = {_CONV}(x, w0)
  y = If (take) <
    then_branch = on () => ({_X} a) {{ a0 = Relu(h) a = {_CONV}(a0, w1) }},
    else_branch = off () => ({_X} h) {{ }}
  >
}}"""

SEVERAL_OUTPUTS = f"""g ({_X} x, bool take, {_WEIGHTS}) => ({_X} y, {_X} z) {{
  h = {_CONV}(x, w0)
  y, z = If (take) <
    then_branch = on () => ({_X} a, {_X} b) {{ a = {_CONV}(h, w1) b = {_CONV}(a, w2) }},
    else_branch = off () => ({_X} c, {_X} d) {{ c = {_CONV}(h, w3) d = Relu(x) }}
  >
}}"""

SWITCH = f"""g ({_X} x, int64 level, {_WEIGHTS}) => ({_X} y)
<int64 one = {{1}}, int64 two = {{2}}> {{
  first = Less(level, one)
  y = If (first) <
    then_branch = t () => ({_X} a) {{ a = {_CONV}(x, w1) }},
    else_branch = e () => ({_X} b) {{
      r = Relu(x)
      k = {_CONV}(r, w0)
      second = Less(level, two)
      b = If (second) <
        then_branch = tt () => ({_X} c) {{ c = {_CONV}(k, w2) }},
        else_branch = ee () => ({_X} d) {{ d0 = {_CONV}(x, w3) d = Add(d0, k) }}
      >
    }}
  >
}}"""

DYNAMIC = f"""g (float[N, 4, H, W] x, bool take, {_WEIGHTS}) => (float[N, 4, H, W] y) {{
  y = If (take) <
    then_branch = on () => (float[N, 4, H, W] a) {{ a = {_CONV}(x, w1) }},
    else_branch = off () => (float[N, 4, H, W] b) {{ b = Identity(x) }}
  >
}}"""

UNPADDED = """g (float[N, 4, H, W] x, bool take, float[4, 4, 3, 3] w0, float[4, 4, 3, 3] w1)
  => (float[N, 4, P, Q] y) {
  h = Conv(x, w0)
  y = If (take) <
    then_branch = on () => (float[N, 4, P, Q] a) { a = Conv<pads = [1, 1, 1, 1]>(h, w1) },
    else_branch = off () => (float[N, 4, P, Q] b) { b = Identity(h) }
  >
}"""

SHAPE_INPUT = f"""g (float[1, 4, 8, 8] x, int64[1] count, {_WEIGHTS}) => (float[1, C, 8, 8] y)
<int64[1] zero = {{0}}, int64[1] axis = {{1}}> {{
  h = {_CONV}(x, w0)
  y = Slice(h, zero, count, axis)
}}"""

IN_LOOP = f"""g ({_X} x, int64 n, bool go, {_WEIGHTS}) => ({_X} y) <int64 two = {{2}}> {{
  y = Loop (n, go, x) <body = b (int64 i, bool g, {_X} s) => (bool h, {_X} r) {{
    h = Identity(g)
    take = Less(i, two)
    r = If (take) <
      then_branch = on () => ({_X} a) {{ a = {_CONV}(s, w0) }},
      else_branch = off () => ({_X} b) {{ b = Identity(s) }}
    >
  }}>
}}"""

PRODUCTS = """g (float[1, 4] x, bool take, float[4, 4] w0, float[4] w1) => (float[1, 4] y) {
  y = If (take) <
    then_branch = on () => (float[1, 4] a) { a = Gemm<transB = 1>(x, w0, w1) },
    else_branch = off () => (float[1, 4] b) {
      c = Einsum<equation = "ij,jk->ik">(x, w0)
      b = MatMul(c, w0)
    }
  >
}"""

QUANTISED = f"""g ({_X} x, bool take, {_WEIGHTS}) => ({_X} y) <float s = {{0.1}}, int8 z = {{0}}> {{
  y = If (take) <
    then_branch = on () => ({_X} a) {{
      q = QuantizeLinear(x, s, z)
      d = DequantizeLinear(q, s, z)
      v = QuantizeLinear(w0, s, z)
      u = DequantizeLinear(v, s, z)
      a = {_CONV}(d, u)
    }},
    else_branch = off () => ({_X} b) {{ b = ConvTranspose<pads = [1, 1, 1, 1]>(x, w1) }}
  >
}}"""

LSTM = """g (float[1, 1, 4] x, bool take, float[1, 16, 4] w0, float[1, 16, 4] w1)
  => (float[1, 1, 4] y) {
  y = If (take) <
    then_branch = on () => (float[1, 1, 4] a) { o, a, c = LSTM<hidden_size = 4>(x, w0, w1) },
    else_branch = off () => (float[1, 1, 4] b) { b = Identity(x) }
  >
}"""

BRANCHED = {
    "gate": GATE,
    "a branch returns an outer value": RETURNS_OUTER,
    "several outputs": SEVERAL_OUTPUTS,
    "nested": SWITCH,
}
MORE_BRANCHED = BRANCHED | {
    "in a loop": IN_LOOP,
    "products": PRODUCTS,
    "quantised": QUANTISED,
    "recurrent": LSTM,
}


def network(text: str) -> ir.Model:
    """Return a graph whose inputs w0, w1, ... are weights and whose nodes have names."""
    model = ir.from_onnx_text('<ir_version: 10, opset_import: ["" : 20]>\n' + text)
    random = np.random.default_rng(0)
    for value in [value for value in model.graph.inputs if str(value.name).startswith("w")]:
        model.graph.inputs.remove(value)
        assert value.shape is not None
        data = random.standard_normal(value.shape.numpy()).astype(np.float32)
        value.const_value = ir.tensor(data, name=value.name)
        if value.uses():
            model.graph.register_initializer(value)
    for node in model.graph.all_nodes():
        node.name = f"{node.op_type.lower()}_{node.outputs[0].name}"
    return model


def written(text: str, folder: Path) -> Path:
    """Write the network of a text into a folder; returns the file."""
    path = folder / "net.onnx"
    ir.save(network(text), path)
    return path
