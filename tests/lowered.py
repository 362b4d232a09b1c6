"""Lowered models written by hand: exits inside skippable blocks, and a switch."""

from __future__ import annotations

from collections.abc import Iterable

import onnx_ir as ir

from dyncompile.knobs import Levels, Threshold
from dyncompile.manifest import Decision, Manifest, Side
from tests.support import parse

NO_COST = (Side(0, 0), Side(0, 0))

# `outer` gates the first half. Inside, `inner` is computed on either side (two clones).
# `exit` is a decision of the main graph; `deep` is computed only where the exit is not taken,
# inside one more untagged If.
NESTED = """main (float[1,4] x, float threshold) => (float[1,4] y) {
    mean = ReduceMean <keepdims = 0> (x)
    outer_take = Greater (mean, threshold)
    zero = Constant <value_float = 0.0> ()
    h = If (outer_take) <
        then_branch = on () => (float[1,4] h_on) {
            big = ReduceMax <keepdims = 0> (x)
            inner_a = Greater (big, zero)
            h_on = If (inner_a) <
                then_branch = a_on () => (float[1,4] a1) { a1 = Relu (x) },
                else_branch = a_off () => (float[1,4] a0) { a0 = Identity (x) }>
        },
        else_branch = off () => (float[1,4] h_off) {
            small = ReduceMin <keepdims = 0> (x)
            inner_b = Greater (small, zero)
            h_off = If (inner_b) <
                then_branch = b_on () => (float[1,4] b1) { b1 = Neg (x) },
                else_branch = b_off () => (float[1,4] b0) { b0 = Identity (x) }>
        }>
    top = ReduceMax <keepdims = 0> (h)
    exit_take = Less (top, zero)
    y = If (exit_take) <
        then_branch = leave () => (float[1,4] y1) { y1 = Abs (h) },
        else_branch = go_on () => (float[1,4] y0) {
            always = Constant <value = bool {1}> ()
            y0 = If (always) <
                then_branch = wrap () => (float[1,4] w1) {
                    last = ReduceSum <keepdims = 1> (h)
                    shape = Constant <value_ints = [1]> ()
                    score = Reshape (last, shape)
                    deep_take = Greater (score, zero)
                    w1 = If (deep_take) <
                        then_branch = d_on () => (float[1,4] d1) { d1 = Exp (h) },
                        else_branch = d_off () => (float[1,4] d0) { d0 = Tanh (h) }>
                },
                else_branch = never () => (float[1,4] w0) { w0 = Identity (h) }>
        }>
}"""

NESTED_DECISIONS = (
    Decision("outer", "gate", ("outer_take",), (), NO_COST),
    Decision("inner", "gate", ("inner_a", "inner_b"), (), NO_COST),
    Decision("exit", "gate", ("exit_take",), (), NO_COST),
    Decision("deep", "gate", ("deep_take",), (("exit", 0),), NO_COST),
)

# A switch over three options as a tree of two Ifs; the index is a knob.
SWITCH = """main (float[1,4] x, int64 level) => (float[1,4] y) {
    one = Constant <value = int64 {1}> ()
    two = Constant <value = int64 {2}> ()
    upper = GreaterOrEqual (level, one)
    y = If (upper) <
        then_branch = high () => (float[1,4] y12) {
            highest = GreaterOrEqual (level, two)
            y12 = If (highest) <
                then_branch = l2 () => (float[1,4] y2) { y2 = Exp (x) },
                else_branch = l1 () => (float[1,4] y1) { y1 = Neg (x) }>
        },
        else_branch = l0 () => (float[1,4] y0) { y0 = Abs (x) }>
}"""

SWITCH_DECISIONS = (
    Decision("level", "switch", ("level",), (), (Side(0, 0), Side(0, 0), Side(0, 0))),
)

NESTED_MANIFEST = Manifest("onnx", {"threshold": Threshold(0.5, 0, 1)}, NESTED_DECISIONS)
SWITCH_MANIFEST = Manifest("onnx", {"level": Levels((0.25, 0.5, 1.0))}, SWITCH_DECISIONS)


def tagged(model: ir.Model, tags: Iterable[tuple[str, str, str, str]]) -> ir.Model:
    """Note on each If, named by its output, the decision and the options of its branches."""
    nodes = {node.outputs[0].name: node for node in model.graph.all_nodes()}
    for output, decision, then, otherwise in tags:
        nodes[output].metadata_props.update(
            {
                "dyncompile.decision": decision,
                "dyncompile.then": then,
                "dyncompile.else": otherwise,
            }
        )
    return model


def nested() -> ir.Model:
    """Two decisions side by side, two more inside of them."""
    return tagged(
        parse(NESTED),
        [
            ("h", "outer", "1", "0"),
            ("h_on", "inner", "1", "0"),
            ("h_off", "inner", "1", "0"),
            ("y", "exit", "1", "0"),
            ("w1", "deep", "1", "0"),
        ],
    )


def switched() -> ir.Model:
    """A switch whose index is a knob."""
    return tagged(parse(SWITCH), [("y", "level", "1,2", "0"), ("y12", "level", "2", "1")])
