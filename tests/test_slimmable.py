"""Networks that slice their own weights, written with per_level."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import GraphProto, NodeProto, numpy_helper
from torch import Tensor, nn

import dyncompile
from dyncompile import Levels, MarkerError, Threshold, per_level
from tests import slimmable_networks as networks
from tests.slimmable_networks import Elastic, ManyPlaces, Slimmable

IMAGE = (1, 3, 16, 16)
STYLES: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
    "indexing and narrow": (Slimmable(networks.by_index, networks.by_narrow), IMAGE),
    "index_select and joined chunks": (
        Slimmable(networks.by_index_select, networks.by_chunks),
        IMAGE,
    ),
    "transposed and standardised": (
        Slimmable(networks.by_transposing, networks.standardised_whole),
        IMAGE,
    ),
    "standardised slices and smaller kernels": (
        Slimmable(networks.standardised_slices, networks.of_kernel),
        IMAGE,
    ),
    "mixed kernels": (Slimmable(networks.of_mixed_kernel), IMAGE),
    "depthwise and functional_call": (networks.SlimmableDepthwise(), IMAGE),
    "linear": (networks.SlimmableLinear(), (1, 4, 16)),
}
HEAVY = {"Conv", "FusedConv", "Gemm", "FusedGemm", "MatMul"}


@pytest.mark.parametrize("style", STYLES)
def test_every_width_runs_from_one_stored_weight_that_is_local_where_it_is_read(
    style: str, tmp_path: Path
) -> None:
    net, shape = STYLES[style]
    net.eval()
    path = tmp_path / "net.onnx"
    dyncompile.export(net, (torch.zeros(shape),), path, verify=False)
    _assert_equal_at_every_point(net, path, shape)
    assert len(_trees(path)) == 1
    _assert_stores_little_more_than(net, path)
    _assert_weights_are_local(_optimised(path))


def test_gates_and_exits_inside_of_a_width_are_named_after_it_and_forced(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    report = dyncompile.export(networks.SlimmableDynamic(), (torch.zeros(IMAGE),), path)
    assert report is not None
    assert report.complete
    assert report.paths == 4 * 4
    names = {decision.name for decision in dyncompile.load(path).decisions}
    assert names == {"root"} | {f"root[{k}]{number}" for k in range(4) for number in ("", "#2")}
    _assert_weights_are_local(_optimised(path))


def test_what_is_alike_at_all_levels_runs_once_outside(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    net = networks.SlimmableDynamic()
    dyncompile.export(net, (torch.zeros(IMAGE),), path, verify=False)
    main, *branches = _graphs(path)
    assert [node.op_type for node in main.node].count("Conv") == 1
    assert not any("stem" in name for g in branches for node in g.node for name in node.input)


def test_many_places_that_ask_one_knob_share_one_tree(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    net = ManyPlaces().eval()
    dyncompile.export(net, (torch.zeros(IMAGE),), path, verify=False)
    (tree,) = _trees(path)
    assert len(_ifs(tree)) == 1
    _assert_equal_at_every_point(net, path, IMAGE)


@pytest.mark.parametrize("outermost", ["depth", "width"])
def test_depth_and_width_nest_either_way(outermost: str, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    net = Elastic(outermost).eval()
    dyncompile.export(net, (torch.zeros(IMAGE),), path, verify=False)
    _assert_equal_at_every_point(net, path, IMAGE)
    _assert_stores_little_more_than(net, path)
    _assert_weights_are_local(_optimised(path))


class _Asking(nn.Module):
    """A network that asks for a level in a way that is given."""

    def __init__(self, ask: Callable[[Tensor, Tensor], Tensor], knob: Levels | Threshold) -> None:
        super().__init__()
        self.knobs = {"level": knob}
        self.ask = ask

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        return self.ask(x, level)


THREE = Levels((1, 2, 3))


@pytest.mark.parametrize(
    ("ask", "knob", "said"),
    [
        pytest.param(
            lambda x, level: per_level(level, lambda k: x * k, 3),
            Threshold(0.5),
            "the level is float32[].",
            id="a threshold",
        ),
        pytest.param(
            lambda x, level: per_level(level > 0, lambda k: x * k, 3),
            THREE,
            "the level is bool[].",
            id="a comparison",
        ),
        pytest.param(
            lambda x, level: per_level(cast(Tensor, 1), lambda k: x * k, 3) + level,
            THREE,
            "the level is int.",
            id="a Python number",
        ),
        pytest.param(
            lambda x, level: per_level(level + 0, lambda k: x * k),
            THREE,
            "the number of levels is unknown.",
            id="levels unknown",
        ),
        pytest.param(
            lambda x, level: per_level(level, lambda k: x * k, 5),
            THREE,
            "count= is 5, and the knob has 3 levels.",
            id="another count than the knob",
        ),
        pytest.param(
            lambda x, level: per_level(level, lambda k: x[:, :4] if k < 2 else x),
            THREE,
            "float32[1, 4] at level 0, 1; float32[1, 8] at level 2.",
            id="other shapes",
        ),
        pytest.param(
            lambda x, level: per_level(level, lambda k: (x,) * min(k + 1, 2))[0],
            THREE,
            "float32[1, 8] at level 0; float32[1, 8], float32[1, 8] at level 1, 2.",
            id="more tensors",
        ),
    ],
)
def test_a_level_that_cannot_be_asked_for_is_refused(
    ask: Callable[[Tensor, Tensor], Tensor],
    knob: Levels | Threshold,
    said: str,
    tmp_path: Path,
) -> None:
    with pytest.raises(MarkerError) as caught:
        dyncompile.export(_Asking(ask, knob), (torch.zeros(1, 8),), tmp_path / "net.onnx")
    assert said in str(caught.value)
    assert str(caught.value).startswith("per_level: ")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("level", "said"),
    [
        pytest.param(torch.tensor(1.0), "the level is float32[].", id="a float"),
        pytest.param(torch.tensor([0, 1]), "one level runs per call", id="one per sample"),
    ],
)
def test_eager_refuses_them_too(level: Tensor, said: str) -> None:
    with pytest.raises(MarkerError, match=said.replace("[", r"\[")):
        per_level(level, torch.zeros, 2)


def _assert_equal_at_every_point(net: nn.Module, path: Path, shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    loaded = dyncompile.load(path)
    knobs = {name: range(len(knob.values)) for name, knob in _knobs(net).items()}
    for point in itertools.product(*knobs.values()):
        chosen = dict(zip(knobs, point, strict=True))
        with torch.no_grad():
            tensors = {name: torch.tensor(level) for name, level in chosen.items()}
            wanted = net(torch.from_numpy(x), **tensors).numpy()
        np.testing.assert_allclose(loaded(x, **chosen), wanted, rtol=1e-4, atol=1e-5)


def _knobs(net: nn.Module) -> dict[str, Levels]:
    knobs = net.knobs
    assert isinstance(knobs, dict)
    return knobs


def _assert_stores_little_more_than(net: nn.Module, path: Path) -> None:
    weights = [weight for graph in _graphs(path) for weight in graph.initializer]
    stored = sum(numpy_helper.to_array(weight).nbytes for weight in weights)
    assert stored <= 1.05 * sum(value.nbytes for value in net.state_dict().values())


def _graphs(path: Path) -> list[GraphProto]:
    return list(_with_nested(onnx.load(path).graph))


def _with_nested(graph: GraphProto) -> Iterator[GraphProto]:
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from _with_nested(attribute.g)


def _trees(path: Path) -> list[NodeProto]:
    return [node for node in onnx.load(path).graph.node if node.op_type == "If"]


def _ifs(tree: NodeProto) -> list[NodeProto]:
    branches = [g for attribute in tree.attribute for g in _with_nested(attribute.g)]
    return [tree, *(node for g in branches for node in g.node if node.op_type == "If")]


def _optimised(path: Path) -> GraphProto:
    """Return the graph that ONNX Runtime makes of the file."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.optimized_model_filepath = str(path.with_suffix(".optimised.onnx"))
    ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return onnx.load(path.with_suffix(".optimised.onnx")).graph


def _assert_weights_are_local(graph: GraphProto) -> None:
    """Check that each layer reads a weight of the graph that it stands in, to prepack it."""
    seen = 0
    for inner in _with_nested(graph):
        local = {weight.name for weight in inner.initializer}
        for node in inner.node:
            if node.op_type in HEAVY:
                assert node.input[1] in local, f"{node.op_type} {node.name} reads {node.input[1]}"
                seen += 1
    assert seen
