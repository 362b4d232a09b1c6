"""Lowered files made legal: the same numbers, and nothing that is there for ONNX Runtime only."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
import torch
from torch import Tensor, nn

from dyncompile.describe import manifest_from_model
from dyncompile.dialect import DECISION
from dyncompile.knobs import Levels
from dyncompile.optimizing.foreign import read_foreign
from dyncompile.passes import DefaultKnobs
from dyncompile.targets import ort
from dyncompile.targets.trt.passes import CHECKING, DEEPEST, LEGALISING
from tests.optimizing.foreign_files import TWO_IFS, write
from tests.random_graphs import random_graph
from tests.random_networks import LEVELS, Network, marked_model
from tests.support import Feeds, assert_unique_names, every_feeds, ort_session
from tests.targets.trt.legal import assert_builds, checked, made_legal, parse, parser_accepts
from tests.test_random_networks import examples

NETWORKS = 12


def portable(marked: ir.Model) -> ir.Model:
    """Lower a marked graph for ONNX Runtime, as a file holds it."""
    return made_legal(marked, (*ort.passes(), *ort.FINISHING))


def assert_same(before: ir.Model, after: ir.Model, many_feeds: Sequence[Feeds]) -> None:
    first, second = ort_session(before), ort_session(after)
    for feeds in many_feeds:
        for wanted, got in zip(first(feeds), second(feeds), strict=True):
            np.testing.assert_array_equal(got, wanted)


def depth_of(model: ir.Model) -> int:
    def below(graph: ir.Graph) -> int:
        inner = [
            attribute.as_graph()
            for node in graph
            for attribute in node.attributes.values()
            if attribute.type == ir.AttributeType.GRAPH
        ]
        return max((1 + below(one) for one in inner), default=0)

    return below(model.graph)


@examples(NETWORKS)
def test_legalised_networks_compute_the_same_at_every_operating_point(network: Network) -> None:
    before = portable(marked_model(network))
    file = before.clone()
    DefaultKnobs((("level", Levels(tuple(range(LEVELS)))),))(file)
    passes = (*LEGALISING, *CHECKING) if depth_of(before) <= DEEPEST else LEGALISING
    after = made_legal(file, passes)
    assert_same(before, after, network.feeds())
    assert_unique_names(after)
    wanted, got = (manifest_from_model(model, {}, "onnx").decisions for model in (before, after))
    assert got == wanted


@pytest.mark.parametrize("seed", range(4))
def test_legalised_graphs_that_share_everything_compute_the_same(seed: int) -> None:
    before = portable(random_graph(seed, 30))
    after = made_legal(before)
    assert_same(before, after, every_feeds(before, samples=1))
    assert_unique_names(after)


def test_nothing_is_left_to_do_the_second_time() -> None:
    legal = made_legal(portable(random_graph(5, 30)))
    for one in LEGALISING:
        assert not one(legal).modified, type(one).__name__


def test_what_only_onnx_runtime_needs_is_gone() -> None:
    marked = """main (bool take, float[1,16,4,4] x) => (float[1,16,4,4] y)
        <float[1,16,4,4] a, float[1,16,4,4] f, float[1,16,4,4] r, float[1,16,4,4] g,
         float[1,16,4,4] s, float[16,16,1,1] w = {WEIGHT}> {
        a = Relu (x) f = Conv (a, w) r = Add (f, a) g = Neg (a) s = Conv (g, w)
        y = dyncompile.Gate <name = "block"> (take, r, s) }""".replace(
        "{WEIGHT}", "{" + ", ".join(["0.5"] * 256) + "}"
    )
    before = portable(parse(marked))
    operators = [node.op_type for node in before.graph.all_nodes()]
    assert "AveragePool" in operators
    assert "Reshape" in operators
    after = checked(before)
    left = [node.op_type for node in after.graph.all_nodes()]
    assert sorted(left) == ["Add", "Conv", "Conv", "If", "Neg", "Relu"]
    assert set(after.graph.initializers) == {"w"}
    assert set(after.opset_imports) == {""}
    assert_same(before, after, every_feeds(before))
    assert not assert_builds(after).warnings


def test_decisions_of_foreign_ifs_are_noted(tmp_path: Path) -> None:
    model, _ = read_foreign(write(tmp_path / "two.onnx", TWO_IFS))
    legal = checked(model)
    manifest = manifest_from_model(legal, {}, "tensorrt")
    assert len(manifest.decisions) == 2
    assert [node.op_type for node in legal.graph].count("If") == 2
    assert_same(model, legal, every_feeds(model))
    assert_builds(legal)


class Cond(nn.Module):
    """What torch.cond makes of a choice."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.on, self.off = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        """Apply one layer or the other."""
        chosen: Tensor = torch.cond(x.sum() > 0, self.on, self.off, (x,))
        return chosen


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")  # of torch
def test_files_of_torch_cond_build(tmp_path: Path) -> None:
    path = tmp_path / "cond.onnx"
    x = torch.randn(2, 4)
    program = torch.onnx.export(Cond().eval(), (x,), dynamo=True, opset_version=18, verbose=False)
    assert program is not None
    program.save(path)
    model, _ = read_foreign(path)
    legal = checked(model)
    (choice,) = (node for node in legal.graph if node.op_type == "If")
    assert choice.metadata_props[DECISION]
    assert_same(model, legal, every_feeds(model, samples=6))
    assert_builds(legal)


def test_sizes_of_nothing_are_said_without_a_warning() -> None:
    model = parse("""main (bool t, float[1,1] x) => (float y) {
        y = If (t) <
            then_branch = on () => (float a) {
                none = Constant <value = int64[0] {}> () a = Reshape (x, none) },
            else_branch = off () => (float b) {
                nothing = Constant <value = int64[0] {}> () n = Neg (x) b = Reshape (n, nothing) }>
    }""")
    legal = checked(model)
    assert_same(model, legal, every_feeds(model))
    assert not assert_builds(legal).warnings


def test_inputs_that_are_left_out_are_not_written() -> None:
    model = parse("""main (float[1,4] x) => (float[1,4] y) <float s = {0.5}, int8[4,4] q = {
        1,2,3,4,1,2,3,4,1,2,3,4,1,2,3,4}> { w = DequantizeLinear (q, s) y = MatMul (x, w) }""")
    dequantise = next(iter(model.graph))
    dequantise.resize_inputs(3)
    assert not parser_accepts(model)
    assert_builds(checked(model))


def test_values_that_are_absent_on_one_side_do_not_stop_the_builder() -> None:
    marked = """main (bool t, bool u, float[1,6] x, float[1] z) => (float[1,6] y) <
        float[6,6] w = {WEIGHT}, float[1,6] a, float[1,6] b, float[1,6] c, float[1,6] d,
        float[1,6] e> {
        a = MatMul (x, w) b = Relu (a) c = Neg (x)
        d = dyncompile.Gate <name = "one"> (t, b, c)
        e = dyncompile.Gate <name = "two"> (u, d, x)
        f = Exp (a) g = dyncompile.Gate <name = "one"> (t, f, e)
        y = Add (g, e)
    }""".replace("{WEIGHT}", "{" + ", ".join(["0.5"] * 36) + "}").replace(
        "float[1,6] e>", "float[1,6] e, float[1,6] f, float[1,6] g>"
    )
    model = portable(parse(marked))
    assert "Constant" in [node.op_type for node in model.graph.all_nodes()]
    legal = checked(model)
    assert_same(model, legal, every_feeds(model))
    assert_builds(legal)
