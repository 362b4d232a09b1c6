"""Float16 where it gains, float32 where it decides: types, numbers along every path, engines."""

from __future__ import annotations

import dataclasses
import functools
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from torch import Tensor, nn

import dyncompile
from dyncompile import pipeline
from dyncompile.agreement import difference, tolerance_of
from dyncompile.capture import capture_model
from dyncompile.describe import manifest_from_model
from dyncompile.errors import TargetError, VerificationError
from dyncompile.forcing import force_decisions
from dyncompile.knobs import Levels, Threshold
from dyncompile.manifest import Manifest
from dyncompile.passes import HalfPrecision, OmitInnerTypes
from dyncompile.passes.decision_values import values_by_name
from dyncompile.paths import DecisionTree
from dyncompile.targets import ort
from dyncompile.verify import draw_samples, verify
from tests.budgeted_networks import EXAMPLE, Budgeted, Switching, TwoNames
from tests.random_graphs import random_graph
from tests.random_networks import Network, marked_model, networks
from tests.support import (
    Feeds,
    assert_unique_names,
    ort_session,
    parse,
    random_feeds,
    runnable_proto,
)

FLOAT, HALF = ir.DataType.FLOAT, ir.DataType.FLOAT16
W = "float[2,2] w = {1, 2, 3, 4}"
V = "float[2,2] v = {1, 0, 1, 1}"
AXES = "int64[1] axes = {1}"


def graph(constants: str, body: str, inputs: str = "float[1,2] x", out: str = "y") -> str:
    return f"main ({inputs}) => (float[1,2] {out}) <{constants}> {{ {body} }}"


def halved(model: ir.Model) -> ir.Model:
    """Return a copy in float16, of which everything that any case promises holds."""
    copy = model.clone()
    outer = [(v.name, v.type, v.shape) for v in (*copy.graph.inputs, *copy.graph.outputs)]
    HalfPrecision()(copy)
    assert_strict(copy)
    once = runnable_proto(copy).SerializeToString(deterministic=True)
    assert not HalfPrecision()(copy).modified
    assert runnable_proto(copy).SerializeToString(deterministic=True) == once
    now = [(v.name, v.type, v.shape) for v in (*copy.graph.inputs, *copy.graph.outputs)]
    assert now == outer
    return copy


def assert_strict(model: ir.Model) -> None:
    """Check that the graph says of all values the types that they have, and no Cast twice."""
    proto = runnable_proto(model)
    onnx.checker.check_model(proto, full_check=True)
    onnx.shape_inference.infer_shapes(proto, check_type=True, strict_mode=True)
    assert_unique_names(model)
    casts = [
        (node.inputs[0], node.outputs[0].dtype, node.graph)
        for node in model.graph.all_nodes()
        if node.op_type == "Cast"
    ]
    assert len(set(casts)) == len(casts)


def assert_near(before: ir.Model, after: ir.Model, feeds: Feeds) -> None:
    wanted, got = ort_session(before)(feeds), ort_session(after)(feeds)
    for want, have in zip(wanted, got, strict=True):
        assert have.dtype == want.dtype
        assert difference(have, want) <= tolerance_of("float16")


def halves(model: ir.Model) -> set[str]:
    """Return the values of float16, without what Casts give."""
    return {
        name
        for name, value in values_by_name(model).items()
        if value.dtype == HALF and getattr(value.producer(), "op_type", "") != "Cast"
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            graph(W, "a = MatMul (x, w) b = Relu (a) y = Add (b, b)"),
            "w a b y.half",
            id="what follows a product",
        ),
        pytest.param(
            graph(f"{W}, float s = {{3}}", "a = Sub (x, s) b = Relu (a) y = MatMul (b, w)"),
            "w y.half",
            id="not what comes before the first",
        ),
        pytest.param(
            graph(f"{W}, {V}", "a = MatMul (x, w) b = Add (x, a) y = MatMul (b, v)"),
            "w a b v y.half",
            id="a residual on the way to the next",
        ),
        pytest.param(
            graph(W, "a = MatMul (x, w) y = Add (x, a)"),
            "w a",
            id="no residual of an input behind the last",
        ),
        pytest.param(
            graph(f"{W}, {V}", "a = MatMul (x, w) b = Softmax (a) y = MatMul (b, v)"),
            "w a v y.half",
            id="no softmax",
        ),
        pytest.param(
            graph(
                f"{W}, {V}, float two = {{2}}, float eps = {{0.001}}, {AXES}",
                "a = MatMul (x, w) m = ReduceMean (a, axes) c = Sub (a, m) p = Pow (c, two)"
                " q = ReduceMean (p, axes) e = Add (q, eps) s = Sqrt (e) n = Div (c, s)"
                " y = MatMul (n, v)",
            ),
            "w a v y.half",
            id="no normalisation in parts",
        ),
        pytest.param(
            graph(W, "a = MatMul (x, w) y = Mul (a, a)"), "w a", id="no square of a product"
        ),
        pytest.param(
            graph(f"{W}, float s = {{-1e9}}", "a = MatMul (x, w) b = Add (a, s) y = Softmax (b)"),
            "w a",
            id="no constant that is too large",
        ),
        pytest.param(
            graph(f"{W}, float s = {{1e-7}}", "a = MatMul (x, w) b = Relu (a) y = Add (b, s)"),
            "w a b",
            id="no constant that would vanish",
        ),
        pytest.param(
            graph(f"{W}, float[1,2] s = {{1e-7, 1}}", "a = MatMul (x, w) y = Add (a, s)"),
            "w a s y.half",
            id="a bias, though an element vanishes",
        ),
        pytest.param(
            graph(
                W,
                "a = MatMul (x, w) f = Cast <to = 1> (b) y = Mul (a, f)",
                inputs="float[1,2] x, bool b",
            ),
            "w a y.half",
            id="a mask",
        ),
        pytest.param(
            graph(W, "a = MatMul (x, w) b = MatMul (w, w) y = MatMul (a, b)"),
            "w.half a y.half",
            id="a weight that is computed at load stays, and what it is computed from",
        ),
        pytest.param(
            graph(f"{W}, int64[2] d = {{2, 2}}", "r = Reshape (w, d) y = MatMul (x, r)"),
            "w r y.half",
            id="a view of a weight",
        ),
        pytest.param(
            graph(
                "float[4,2] w = {1, 2, 3, 4, 5, 6, 7, 8}, float[2,2] v = {1, 0, 1, 1}",
                "e = Gather (w, i) y = MatMul (e, v)",
                inputs="int64[1] i",
            ),
            "w e v y.half",
            id="a table that is looked up",
        ),
        pytest.param(
            graph(
                f"{W}, float scale = {{0.5}}, int8 zero = {{0}}, int8[2,2] q = {{1, 2, 3, 4}}",
                "a = MatMul (x, w) b = QuantizeLinear (a, scale, zero)"
                " c = DequantizeLinear (b, scale, zero) d = DequantizeLinear (q, scale, zero)"
                " y = MatMul (c, d)",
            ),
            "w a scale c d y.half",
            id="scales follow what they scale",
        ),
        pytest.param(
            graph(
                f"{V}, float scale = {{0.5}}, int8 zero = {{0}}",
                "b = QuantizeLinear (x, scale, zero) c = DequantizeLinear (b, scale, zero)"
                " y = MatMul (c, v)",
            ),
            "v scale.half c y.half",
            id="the scale of an input in both types",
        ),
        pytest.param(
            graph(
                f"{W}, float[2] s = {{1, 2}}, float[2] z = {{0, 0}}, float[2] o = {{1, 1}}",
                "a = MatMul (x, w) y = BatchNormalization (a, s, z, z, o)",
            ),
            "w a s z o y.half",
            id="a batch normalisation with its statistics",
        ),
    ],
)
def test_float16_is(text: str, expected: str) -> None:
    model = parse(text)
    after = halved(model)
    assert halves(after) == set(expected.split())
    assert_near(model, after, random_feeds(model, i=[2]))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            graph(
                f"{W}, {V}, {AXES}, float[1] t = {{0.5}}",
                "a = MatMul (x, w) s = ReduceSum <keepdims = 0> (a, axes) g = Greater (s, t)"
                " b = MatMul (a, v) y = dyncompile.Gate <name = 'd'> (g, b, a)",
            ),
            "w a v b",
            id="a sum of features",
        ),
        pytest.param(
            graph(
                f"{W}, {V}, {AXES}, float[1] t = {{0.5}}",
                "a = Relu (x) f = MatMul (a, w) h = MatMul (f, v) p = Softmax (h)"
                " s = ReduceMax <keepdims = 0> (p, axes) g = Greater (s, t)"
                " y = dyncompile.Gate <name = 'd'> (g, h, f)",
            ),
            "w f",
            id="the head of an exit",
        ),
        pytest.param(
            graph(
                f"{W}, {V}, {AXES}, float[1] t = {{0.5}}",
                "f = MatMul (x, w) h = MatMul (f, v)"
                " s = ReduceMax <keepdims = 0> (h, axes) g = Greater (s, t)"
                " b = MatMul (h, w) y = dyncompile.Gate <name = 'd'> (g, b, f)",
            ),
            "w f v h b",
            id="not a product that the trunk reads",
        ),
        pytest.param(
            graph(
                f"{W}, {V}, {AXES}, float[1] t = {{0.5}}",
                "f = MatMul (x, w) r = Relu (f) h = MatMul (r, w)"
                " s = ReduceMax <keepdims = 0> (h, axes) g = Greater (s, t)"
                " b = MatMul (f, v) y = dyncompile.Gate <name = 'd'> (g, b, f)",
            ),
            "w.half f r v b",
            id="a head that shares its weight",
        ),
        pytest.param(
            graph(
                f"{W}, {V}, {AXES}",
                "f = MatMul (x, w) h = MatMul (f, v) i = ArgMax <keepdims = 0, axis = 1> (h)"
                " y = dyncompile.Switch2 <name = 'd'> (i, f, x)",
            ),
            "w f",
            id="an index",
        ),
        pytest.param(
            graph(
                f"{W}, {V}, {AXES}, float[1] t = {{0.5}}",
                "f = MatMul (x, w) h = If (c) <then_branch = p () => (float[1,2] on)"
                " { on = MatMul (f, v) }, else_branch = q () => (float[1,2] off)"
                " { off = Relu (f) }> s = ReduceMax <keepdims = 0> (h, axes)"
                " g = Greater (s, t) y = dyncompile.Gate <name = 'd'> (g, h, f)",
                inputs="float[1,2] x, bool c",
            ),
            "w f",
            id="a score out of a branch",
        ),
    ],
)
def test_what_decides_is_float32(text: str, expected: str) -> None:
    model = parse(text.replace("'", '"'))
    after = halved(model)
    assert halves(after) == set(expected.split())
    assert_near(model, after, random_feeds(model, c=False))
    assert_near(model, after, random_feeds(model, c=True))


def test_both_sides_of_a_branch_give_one_type() -> None:
    model = parse(
        f"""main (float[1,2] x, bool c) => (float[1,2] y) <{W}, {V}, int64[2] d = {{2, 2}}> {{
        a = MatMul (x, w)
        h = If (c) <
            then_branch = on () => (float[1,2] p) {{ r = Reshape (v, d) p = MatMul (a, r) }},
            else_branch = off () => (float[1,2] q) {{ q = Softmax (a) }}>
        t = Reshape (v, d)
        y = MatMul (h, t)
        }}"""
    )
    after = halved(model)
    node = next(node for node in after.graph if node.op_type == "If")
    types = {branch.as_graph().outputs[0].dtype for branch in node.attributes.values()}
    assert types == {node.outputs[0].dtype}
    assert halves(after) == {"w", "a", "v", "r", "p", "h", "t", "y.half"}
    for taken in (False, True):
        assert_near(model, after, random_feeds(model, c=taken))


def test_an_outer_value_has_one_cast_for_several_branches_around_it() -> None:
    model = parse(
        f"""main (float[1,2] x, bool c) => (float[1,2] y) <{W}, {V}> {{
        a = MatMul (x, w)
        y = If (c) <
            then_branch = on () => (float[1,2] p) {{
                p = If (c) <
                    then_branch = on2 () => (float[1,2] p1) {{ p1 = MatMul (x, v) }},
                    else_branch = off2 () => (float[1,2] p2) {{ p2 = Relu (a) }}> }},
            else_branch = off () => (float[1,2] q) {{ q = MatMul (x, w) }}>
        }}"""
    )
    after = halved(model)
    casts = [node for node in after.graph.all_nodes() if node.op_type == "Cast"]
    assert len([node for node in casts if node.inputs[0] is after.graph.inputs[0]]) == 1
    for taken in (False, True):
        assert_near(model, after, random_feeds(model, c=taken))


def test_what_only_branches_read_is_cast_in_them() -> None:
    model = parse(
        f"""main (float[1,2] x, bool c) => (float[1,2] y) <{W}, {V}> {{
        h = If (c) <
            then_branch = on () => (float[1,2] p) {{ p = MatMul (x, v) }},
            else_branch = off () => (float[1,2] q) {{ q = Identity (x) }}>
        y = MatMul (h, w)
        }}"""
    )
    after = halved(model)
    assert [node.op_type for node in after.graph] == ["If", "MatMul", "Cast"]
    for taken in (False, True):
        assert_near(model, after, random_feeds(model, c=taken))


def test_what_a_loop_carries_has_one_type() -> None:
    model = parse(
        f"""main (float[1,2] x, int64 n) => (float[1,2] y, float[k,1,2] z)
        <float[3,2,2] w = {{1, 0, 0, 1, 0.5, 0, 0, 1, 1, 1, 0, 1}}, {V}> {{
        yes = Constant <value = bool {{1}}> ()
        last, z = Loop (n, yes, x) <body = round (int64 i, bool go, float[1,2] h)
            => (bool on, float[1,2] next, float[1,2] scan) {{
                on = Identity (go)
                u = Gather (w, i)
                m = MatMul (h, u)
                next = Add (m, h)
                scan = Exp (m)
            }}>
        y = MatMul (last, v)
        }}"""
    )
    after = halved(model)
    assert halves(after) == {"w", "v", "u", "m", "next", "h", "last", "y.half"}
    assert_near(model, after, random_feeds(model, n=3))


def test_a_scan_over_weights_has_them_in_float16() -> None:
    model = parse(
        """main (float[1,2] x) => (float[1,2] y) <float[3,2,2] w = {1, 0, 0, 1, 0.5, 0, 0, 1,
        1, 1, 0, 1}> {
        y = Scan <num_scan_inputs = 1, body = round (float[1,2] h, float[2,2] u)
            => (float[1,2] next) { next = MatMul (h, u) }> (x, w)
        }"""
    )
    after = halved(model)
    assert {"w", "u", "next"} <= halves(after)
    assert_near(model, after, random_feeds(model))


def test_a_way_to_float32_and_back_is_left_out() -> None:
    model = parse(
        f"""main (float16[1,2] x) => (float16[1,2] y) <{W}> {{
        f = Cast <to = 1> (x)
        m = MatMul (f, w)
        y = Cast <to = 10> (m)
        }}"""
    )
    HalfPrecision()(model)
    nodes = list(model.graph)
    assert [node.op_type for node in nodes] == ["MatMul", "Cast"]
    assert nodes[0].inputs[0] is model.graph.inputs[0]
    assert_strict(model)


def test_a_float32_network_that_multiplies_nothing_stays() -> None:
    model = parse(
        "main (float[1,2] x) => (float[1,2] y) <float[1,2] a> { a = Relu (x) y = Exp (a) }"
    )
    assert not HalfPrecision()(model).modified


def test_a_resize_keeps_its_scales() -> None:
    model = parse(
        """main (float[1,1,2,2] x) => (float[1,1,4,4] y)
        <float[1,1,3,3] w = {2, 1, 2, 1, 2, 1, 2, 1, 2}, float[4] s = {1, 1, 2, 2}> {
        a = Conv <pads = [1, 1, 1, 1]> (x, w)
        y = Resize <mode = "linear"> (a, , s)
        }"""
    )
    after = halved(model)
    assert halves(after) == {"w", "a", "y.half"}
    assert_near(model, after, random_feeds(model))


@pytest.mark.parametrize("channels", [4, 5])
def test_a_pointwise_convolution_of_few_channels_gains_nothing(channels: int) -> None:
    """TensorRT for RTX 1.7 does not build it in float16, where a branch reads its result."""
    weight = f"float[2,{channels},1,1] w = {{{', '.join(['1'] * 2 * channels)}}}"
    model = parse(
        f"""main (float[1,{channels},2,2] x, bool take) => (float[1,2,2,2] y) <{weight}> {{
        a = Conv (x, w)
        y = If (take) <
            then_branch = on () => (float[1,2,2,2] b) {{ b = Exp (a) }},
            else_branch = off () => (float[1,2,2,2] c) {{ c = Neg (a) }}>
        }}"""
    )
    after = halved(model)
    assert ("w" in halves(after)) == (channels == 5)
    trt = pytest.importorskip("tensorrt_rtx")
    log = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(log)
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, log)
    assert parser.parse(runnable_proto(after).SerializeToString())
    assert builder.build_serialized_network(network, builder.create_builder_config()) is not None


@pytest.mark.parametrize("through", ["", "v = Reshape (w, d)"], ids=["itself", "a view"])
def test_a_weight_that_is_too_large_is_refused(through: str) -> None:
    text = graph(
        "float[2,2] w = {1, 2, -70000, 4}, int64[2] d = {2, 2}",
        f"{through} y = MatMul (x, {'v' if through else 'w'})",
    )
    with pytest.raises(TargetError, match=r"weight 'w': it holds 70000, and float16 ends at 65504"):
        HalfPrecision()(parse(text))


def test_notes_on_values_and_nodes_stay() -> None:
    model = captured(Gated)
    before = [(n.name, dict(n.metadata_props)) for n in model.graph.all_nodes() if n.metadata_props]
    after = halved(model)
    assert before
    notes = {n.name: dict(n.metadata_props) for n in after.graph.all_nodes()}
    assert [(name, notes[name]) for name, _ in before] == before
    manifest = manifest_from_model(model, Gated.knobs, "onnx")
    again = manifest_from_model(after, Gated.knobs, "onnx")
    assert [(d.name, d.values) for d in again.decisions] == [
        (d.name, d.values) for d in manifest.decisions
    ]


# --- random graphs --------------------------------------------------------------------------

EXAMPLES = settings(
    max_examples=10,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def lowered(model: ir.Model) -> ir.Model:
    for _ in pipeline.run(model, ort.passes()):
        pass
    return model


def assert_near_on_every_path(model: ir.Model, many_feeds: list[Feeds], most: int = 6) -> None:
    """Force the paths of a lowered network in float32 and in float16."""
    after = halved(model)
    known = manifest_from_model(model, {}, "onnx").decisions
    paths = DecisionTree.from_model(model).paths().paths
    both = []
    for one in (model, after):
        copy = one.clone()
        both.append((force_decisions(copy, known), ort_session(copy), copy))
    for number, path in enumerate(paths[:: max(1, len(paths) // most)]):
        results = []
        for inputs, session, copy in both:
            feeds = dict(many_feeds[number % len(many_feeds)])
            shapes = {value.name: value for value in copy.graph.inputs}
            for name, options in inputs.items():
                for option in options:
                    value = shapes[option]
                    assert value.dtype is not None
                    assert value.shape is not None
                    shape = [1] * len(value.shape)
                    feeds[option] = np.full(shape, path.get(name, 0), value.dtype.numpy())
            results.append(session(feeds))
        for want, have in zip(*results, strict=True):
            assert have.dtype == want.dtype
            assert difference(have, want) <= tolerance_of("float16"), path


@EXAMPLES
@given(network=networks())
def test_random_networks_agree_along_forced_paths(network: Network) -> None:
    assert_near_on_every_path(lowered(marked_model(network)), network.feeds())


@pytest.mark.parametrize("seed", range(8))
def test_random_graphs_agree_along_forced_paths(seed: int) -> None:
    model = lowered(random_graph(seed, 30))
    assert_near_on_every_path(model, [random_feeds(model, k) for k in range(3)])


@EXAMPLES
@given(network=networks())
def test_a_marked_network_agrees_too(network: Network) -> None:
    model = marked_model(network)
    after = halved(model)
    for feeds in network.feeds()[::7]:
        assert_near(model, after, feeds)


# --- whole networks -------------------------------------------------------------------------

SAMPLES = draw_samples({"x": EXAMPLE[0].numpy()}, 2)


class Convolutional(nn.Module):
    """What the networks below are made of."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.blocks = nn.ModuleList(nn.Conv2d(8, 8, 3, padding=1) for _ in range(3))
        self.scores = nn.ModuleList(nn.Conv2d(8, 1, 1) for _ in range(3))
        self.heads = nn.ModuleList(nn.Linear(8, 5) for _ in range(4))
        self.early = nn.BatchNorm2d(8)


class Gated(Convolutional):
    """Blocks that are skipped by scores of 1x1 convolutions."""

    knobs: Mapping[str, Levels | Threshold] = {"threshold": Threshold(0.0, -1, 1)}

    def forward(self, x: Tensor, threshold: Tensor) -> Tensor:
        x = self.stem(x).relu()
        for number, (block, score) in enumerate(zip(self.blocks, self.scores, strict=True)):
            take = score(x).mean((1, 2, 3)) > threshold
            x = dyncompile.gate(take, (x + block(x)).relu(), x, name=f"g{number}")
        y: Tensor = self.heads[0](x.mean((2, 3)))
        return y


class Exits(Convolutional):
    """Heads that decide and are the result."""

    knobs: Mapping[str, Levels | Threshold] = {"threshold": Threshold(0.4, 0, 1)}

    def forward(self, x: Tensor, threshold: Tensor) -> Tensor:
        return self.rest(self.stem(x).relu(), threshold, 0)

    def rest(self, x: Tensor, threshold: Tensor, number: int) -> Tensor:
        y: Tensor = self.heads[number](x.mean((2, 3)))
        if number == len(self.blocks):
            return y
        late = self.rest(self.blocks[number](x).relu(), threshold, number + 1)
        confident = y.softmax(1).amax(1) > threshold
        return dyncompile.early_exit(confident, y, late, name=f"exit{number}")


class Switched(Convolutional):
    """A switch on a knob, of blocks, one with a normalisation of its own."""

    knobs: Mapping[str, Levels | Threshold] = {"level": Levels((1, 2, 3))}

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        x = self.stem(x).relu()
        a, b = self.blocks[0](x), self.blocks[1](x.sigmoid())
        x = dyncompile.switch(level, [self.early(x), a, self.blocks[2](b) + a], name="which")
        y: Tensor = self.heads[0](x.relu().mean((2, 3)))
        return y


@functools.cache
def captured(build: Any) -> ir.Model:  # noqa: ANN401
    """Return a lowered network; not to be changed."""
    return lowered(capture_model(build(), EXAMPLE, build.knobs))


def half_manifest(model: ir.Model, knobs: Mapping[str, Levels | Threshold]) -> Manifest:
    manifest = manifest_from_model(model, knobs, "onnx")
    return dataclasses.replace(manifest, precision="float16")


NETWORKS = [Gated, Exits, Switched, Budgeted, Switching, TwoNames]
FULL_PATHS = {"Gated": 8, "Exits": 4, "Switched": 3}


@pytest.mark.parametrize("build", NETWORKS)
def test_networks_are_verified_at_all_operating_points_and_paths(build: Any) -> None:  # noqa: ANN401
    module = build()
    after = halved(captured(build))
    report = verify(after, half_manifest(after, build.knobs), module, SAMPLES)
    assert 1e-5 < report.largest_difference < tolerance_of("float16")
    assert report.complete
    assert report.paths == FULL_PATHS.get(build.__name__, report.paths)


@pytest.mark.parametrize("build", [Gated, Exits])
def test_heads_that_decide_are_float32_and_the_trunk_is_float16(build: Any) -> None:  # noqa: ANN401
    after = halved(captured(build))
    weights = [n.inputs[1] for n in after.graph.all_nodes() if n.op_type in {"Conv", "Gemm"}]
    types: dict[str, set[object]] = {}
    for weight in weights:
        assert weight is not None
        layer = str(weight.name).split(".in.")[0].removesuffix(".weight")
        types.setdefault(layer, set()).add(weight.dtype)
    trunk = {"stem", "blocks.0", "blocks.1", "blocks.2"}
    trunk |= {"heads.0"} if build is Gated else {"heads.3"}
    decide = {"scores.0", "scores.1", "scores.2"} if build is Gated else set(types) - trunk
    assert types == {
        **{name: {HALF} for name in trunk},
        **{name: {FLOAT} for name in decide},
    }
    for node in after.graph.all_nodes():
        if node.op_type in {"Greater", "Less"}:
            assert {v.dtype for v in node.inputs if v is not None} == {FLOAT}


@pytest.mark.parametrize("build", [Gated, Switched, Budgeted])
def test_weights_take_half_the_bytes(build: Any) -> None:  # noqa: ANN401
    model = captured(build)
    assert 0.5 <= float_bytes(halved(model)) / float_bytes(model) < 0.56


def float_bytes(model: ir.Model) -> int:
    graphs = (model.graph, *model.graph.subgraphs())
    values = (value.const_value for graph in graphs for value in graph.initializers.values())
    return sum(one.nbytes for one in values if one is not None and one.dtype in {FLOAT, HALF})


def test_files_that_leave_out_types_are_converted_too() -> None:
    model = captured(Gated).clone()
    known = halves(halved(model))
    OmitInnerTypes()(model)
    assert halves(halved(model)) == known


@pytest.mark.parametrize(
    ("wrong", "amount"),
    [("blocks.1.weight", 0.5), ("heads.0.bias", 0.5), ("scores.2.weight", -50)],
    ids=["in a branch", "outside", "of a score"],
)
def test_a_wrong_weight_is_found(wrong: str, amount: float) -> None:
    after = halved(captured(Gated))
    value = values_by_name(after)[wrong]
    assert value.const_value is not None
    array = value.const_value.numpy().copy()
    array.flat[0] += amount
    value.const_value = ir.tensor(array, name=wrong)
    with pytest.raises(VerificationError, match=r"differ by|is [01] in the artifact"):
        verify(after, half_manifest(after, Gated.knobs), Gated(), SAMPLES)


def test_a_score_of_rounded_features_is_a_near_tie() -> None:
    module = Gated()
    after = halved(captured(Gated))
    scores = score_of(after, SAMPLES[0])
    with torch.no_grad():
        x = module.stem(torch.from_numpy(SAMPLES[0]["x"])).relu()
        exact = module.scores[0](x).mean().item()
    between = (float(scores) + exact) / 2
    assert scores != exact
    knobs = {"threshold": Threshold(between, -1, 1)}
    report = verify(after, half_manifest(after, knobs), module, SAMPLES[:1])
    assert [(tie.decision, tie.sample) for tie in report.near_ties] == [("g0", 0)]
    assert 0 < report.near_ties[0].margin < 1e-3


def score_of(model: ir.Model, sample: Feeds) -> float:
    """Return the first score that is compared with the threshold."""
    copy = model.clone()
    compare = next(node for node in copy.graph if node.op_type in {"Greater", "Less"})
    score = next(v for v in compare.inputs if v is not None and not v.is_graph_input())
    copy.graph.outputs.append(score)
    return float(ort_session(copy)({**sample, "threshold": np.zeros((), np.float32)})[-1].item())


@pytest.mark.parametrize("build", [Gated, Exits, Switched, Budgeted])
def test_tensorrt_builds_it_strongly_typed(build: Any) -> None:  # noqa: ANN401
    trt = pytest.importorskip("tensorrt_rtx")
    after = halved(captured(build))
    OmitInnerTypes()(after)
    log = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(log)
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, log)
    assert parser.parse(runnable_proto(after).SerializeToString())
    inputs = {network.get_input(k).name: network.get_input(k) for k in range(network.num_inputs)}
    assert set(inputs) == {"x", *build.knobs}
    assert inputs["x"].dtype == network.get_output(0).dtype == trt.float32
    kinds = Counter(
        str(layer.get_output(0).dtype)
        for layer in (network.get_layer(k) for k in range(network.num_layers))
        if layer.type == trt.LayerType.CONVOLUTION
    )
    assert kinds["DataType.HALF"]
    assert kinds["DataType.FLOAT"] == (3 if build is Gated else 0)
    assert builder.build_serialized_network(network, builder.create_builder_config()) is not None
