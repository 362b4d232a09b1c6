"""ONNX files as other tools make them, from text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx

HEADER = (
    '<ir_version: 8, opset_import: ["" : 17], producer_name: "elsewhere", doc_string: "kept">\n'
)
SIZE = 6


def matrix(name: str, seed: int) -> str:
    """Declare a square matrix of small whole numbers as an initializer."""
    numbers = np.random.default_rng(seed).integers(-2, 3, SIZE * SIZE)
    return f"float[{SIZE},{SIZE}] {name} = {{{', '.join(map(str, numbers))}}}"


def weights(*names: str) -> str:
    """Declare several, all different."""
    return ", ".join(matrix(name, seed) for seed, name in enumerate(names))


def write(path: Path, graph: str, header: str = HEADER) -> Path:
    """Write a graph in ONNX text syntax as a file."""
    model = onnx.parser.parse_model(header + graph)
    path.write_bytes(model.SerializeToString())
    return path


X = f"float[1,{SIZE}]"

# Two Ifs on the same comparison, computed twice; what feeds the first is needed on one side only.
TWO_IFS = f"""main ({X} x, float limit) => ({X} y) <{weights("w0", "w1", "w2")}> {{
    s = ReduceMean <keepdims = 0> (x)
    a = Greater (s, limit)
    before = MatMul (x, w0)
    h = If (a) <
        then_branch = on () => ({X} h1) {{ h1 = MatMul (before, w1) }},
        else_branch = off () => ({X} h0) {{ h0 = Identity (x) }}>
    s2 = ReduceMean <keepdims = 0> (x)
    b = Greater (s2, limit)
    y = If (b) <
        then_branch = on2 () => ({X} h1) {{ h1 = MatMul (h, w2) }},
        else_branch = off2 () => ({X} h0) {{ h0 = Identity (h) }}>
}}"""

# A residual block that is masked, and a choice between two products.
SELECTS = f"""main ({X} x, bool[1] keep, bool[1] which) => ({X} y) <
    {weights("w0", "w1", "w2")}, int64[1] one = {{1}}> {{
    f = MatMul (x, w0)
    mask = Cast <to = 1> (keep)
    wide = Unsqueeze (mask, one)
    g = Mul (wide, f)
    r = Add (x, g)
    p = MatMul (r, w1)
    q = MatMul (r, w2)
    y = Where (which, p, q)
}}"""

# Nothing to win: no control flow at all.
PLAIN = f"""main ({X} x) => ({X} y) <{weights("w0")}> {{
    f = MatMul (x, w0)
    y = Relu (f)
}}"""

# A custom operator in front of an If, and one inside of another.
CUSTOM_HEADER = '<ir_version: 8, opset_import: ["" : 17, "mine" : 1]>\n'
CUSTOM = f"""main ({X} x, bool take, bool other) => ({X} y) <{weights("w0", "w1")}> {{
    c = mine.Op (x)
    h = If (take) <
        then_branch = on () => ({X} h1) {{ h1 = MatMul (c, w0) }},
        else_branch = off () => ({X} h0) {{ h0 = Identity (x) }}>
    y = If (other) <
        then_branch = on2 () => ({X} y1) {{ k = MatMul (h, w1) y1 = mine.Op (k) }},
        else_branch = off2 () => ({X} y0) {{ y0 = Identity (h) }}>
}}"""
