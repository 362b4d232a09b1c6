"""``export(..., target="tensorrt")``: the ONNX that TensorRT accepts, held to the network."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
import torch

import dyncompile
from dyncompile import Threshold, artifact
from dyncompile.verify import NearTie
from tests.engine_networks import Leveled, Skipping, Slim, image
from tests.engines.graphs import DYNAMIC, GATE, written


def manifest_of(path: Path) -> dyncompile.manifest.Manifest:
    _, manifest = artifact.read(path)
    assert manifest is not None
    return manifest


@pytest.fixture(scope="module")
def marked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("marked") / "marked.onnx"
    dyncompile.export(Skipping(), image(), path, target="marked", verify=False)
    return path


@pytest.mark.parametrize("budgets", ["auto", "switch"])
def test_the_file_computes_what_the_network_does_at_every_level(
    budgets: Any,  # noqa: ANN401
    tmp_path: Path,
) -> None:
    path, model, x = tmp_path / "net.onnx", Slim(), image()
    report = dyncompile.export(model, x, path, target="tensorrt", budgets=budgets)
    assert report is not None
    assert report.complete
    manifest = manifest_of(path)
    assert manifest.target == "tensorrt"
    assert manifest.budgets[0].lowering == ("chain" if budgets == "auto" else budgets)
    net = dyncompile.load(path)
    for level in range(3):
        wanted = model(x, torch.tensor(level)).detach().numpy()
        np.testing.assert_allclose(net(x.numpy(), level=level), wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("form", ["onnx", "tensorrt", "default knobs"])
def test_a_lowered_file_of_ours_becomes_one_for_tensorrt(
    form: str, marked: Path, tmp_path: Path
) -> None:
    source, path = tmp_path / "lowered.onnx", tmp_path / "net.onnx"
    target: Any = "onnx" if form == "default knobs" else form
    dyncompile.export(marked, None, source, target=target, default_knobs=form == "default knobs")
    report = dyncompile.export(source, None, path, target="tensorrt")
    assert (report is None) == (form == "tensorrt"), "nothing was changed"
    if report is not None:
        assert (report.paths, report.complete, report.largest_difference) == (4, True, 0.0)
    graph = ir.load(path).graph
    assert [value.name for value in graph.inputs] == ["x", "threshold"]
    assert not any(value.is_initializer() for value in graph.inputs)
    assert manifest_of(path).decisions == manifest_of(source).decisions


def test_a_file_that_is_for_tensorrt_already_keeps_its_bytes(marked: Path, tmp_path: Path) -> None:
    once, twice = tmp_path / "once.onnx", tmp_path / "twice.onnx"
    dyncompile.export(marked, None, once, target="tensorrt")
    dyncompile.export(once, None, twice, target="tensorrt")
    assert once.read_bytes() == twice.read_bytes()
    dyncompile.export(once, None, twice, target="tensorrt", fp16=True)
    assert manifest_of(twice).precision == "float16"


@pytest.mark.parametrize("text", [GATE, DYNAMIC], ids=["fixed sizes", "free sizes"])
@pytest.mark.parametrize("fp16", [False, True], ids=["float32", "float16"])
def test_a_file_made_elsewhere_becomes_one_for_tensorrt(
    text: str, fp16: bool, tmp_path: Path
) -> None:
    source, path = written(text, tmp_path), tmp_path / "legal.onnx"
    report = dyncompile.export(source, None, path, target="tensorrt", fp16=fp16)
    assert report is not None
    assert (report.paths, report.complete) == (2, True)
    net, original = dyncompile.load(path), ir.load(source).graph
    assert list(net.inputs) == [value.name for value in original.inputs]
    assert net.operating_points == ({},)


def test_a_file_made_elsewhere_may_be_given_its_knobs(tmp_path: Path) -> None:
    text = GATE.replace("bool take", "float t").replace(
        "y = If (take)", "m = ReduceMax<keepdims = 0>(h)\n take = Greater(m, t)\n y = If (take)"
    )
    path = tmp_path / "legal.onnx"
    knobs = {"t": Threshold(0.5, 0, 1)}
    report = dyncompile.export(written(text, tmp_path), None, path, knobs, target="tensorrt")
    assert report is not None
    assert len(report.operating_points) == 3, "the default, and either infinity"
    assert dyncompile.load(path).knobs == knobs


def test_half_precision_computes_nearly_the_same_along_every_path(tmp_path: Path) -> None:
    full, half = tmp_path / "full.onnx", tmp_path / "half.onnx"
    for path in (full, half):
        dyncompile.export(
            Leveled(), image()[:, :, 0, 0], path, target="tensorrt", fp16=path == half
        )
    assert half.stat().st_size < full.stat().st_size + 4096
    x = image()[:, :, 0, 0].numpy()
    for level in range(3):
        wanted, got = (np.asarray(dyncompile.load(path)(x, level=level)) for path in (full, half))
        assert got.dtype == np.float32
        assert 0 < np.abs(got - wanted).max() < 1e-2


def test_a_decision_that_rounding_turns_is_a_near_tie(tmp_path: Path) -> None:
    source, path, x = tmp_path / "net.onnx", tmp_path / "half.onnx", image()
    model = Skipping()
    early = model.head(torch.where(x.mean() > 0, x + model.block(x).relu(), x).mean((2, 3)))
    score = float(early.softmax(1).amax().detach())
    ties: list[NearTie] = []
    for threshold in (score - 1e-7, score + 1e-7):  # float16 falls on one side of the two
        knobs = {"threshold": Threshold(threshold, 0, 1)}
        dyncompile.export(model, x, source, knobs, verify=False)
        samples = [{"x": x.numpy()}]
        report = dyncompile.export(
            source, None, path, target="tensorrt", fp16=True, samples=samples
        )
        assert report is not None
        ties += report.near_ties
    assert [tie.decision for tie in ties] == ["exit"]
    assert ties[0].margin < 1e-2


def test_no_two_values_or_nodes_have_one_name(marked: Path, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    dyncompile.export(marked, None, path, target="tensorrt")
    model = ir.load(path)
    nodes = [node.name for node in model.graph.all_nodes()]
    values = [value.name for node in model.graph.all_nodes() for value in node.outputs]
    assert None not in nodes
    assert "" not in nodes
    for names in (nodes, values):
        assert not [a for a, b in itertools.pairwise(sorted(map(str, names))) if a == b]


def test_a_file_with_free_sizes_stays_as_it_is(tmp_path: Path) -> None:
    once, twice = tmp_path / "once.onnx", tmp_path / "twice.onnx"
    shapes = {"x": {3: torch.export.Dim("w", min=8, max=64)}}
    dyncompile.export(Slim(), image(), once, target="tensorrt", dynamic_shapes=shapes)
    dyncompile.export(once, {"x": image().numpy()}, twice, target="tensorrt")
    assert twice.read_bytes() == once.read_bytes()


def test_a_file_in_form_keeps_the_costs_it_tells(marked: Path, tmp_path: Path) -> None:
    once, twice = tmp_path / "once.onnx", tmp_path / "twice.onnx"
    dyncompile.export(marked, None, once, target="tensorrt", verify=False)
    model, manifest = artifact.read(once)
    assert manifest is not None
    first, *others = manifest.decisions
    sides = tuple(dataclasses.replace(side, macs=side.macs + 7) for side in first.sides)
    told = (dataclasses.replace(first, sides=sides), *others)
    artifact.write(model, dataclasses.replace(manifest, decisions=told), once)
    dyncompile.export(once, None, twice, target="tensorrt")
    assert twice.read_bytes() == once.read_bytes()
