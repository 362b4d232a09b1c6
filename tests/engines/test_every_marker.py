"""An engine of every marker, and of a whole network; its graph held against the portable file."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest
from torch import Tensor, nn

from benchmarks.engine_networks import MARKERS, marker_network
from benchmarks.harness import image
from benchmarks.networks import DecisionGates, ScoredExits, resnet20, seeded
from dyncompile import artifact
from dyncompile.engine_file import read_engine
from dyncompile.engines.building import build
from dyncompile.exporting import export
from dyncompile.file_reference import FileReference
from dyncompile.verify import draw_samples, verify

pytest.importorskip("tensorrt_rtx")

WHOLE = "ResNet-20 with decision gates"
HALF = pytest.mark.parametrize("fp16", [False, True], ids=["float32", "float16"])
EVERY = pytest.mark.parametrize("name", [*MARKERS, WHOLE])


def _network(name: str) -> tuple[nn.Module, Tensor]:
    if name == WHOLE:
        net = seeded(lambda: DecisionGates(resnet20(), (3, 6)))
        return ScoredExits(net).eval(), image(32)
    return marker_network(name)


@EVERY
def test_the_graph_for_tensorrt_does_what_the_portable_file_does(name: str, tmp_path: Path) -> None:
    net, x = _network(name)
    portable, legal = tmp_path / "net.onnx", tmp_path / "legal.onnx"
    export(net, (x,), portable, verify=False)
    export(net, (x,), legal, target="tensorrt", verify=False)
    graph, manifest = artifact.read(legal)
    original, described = artifact.read(portable)
    assert manifest is not None
    assert described is not None
    assert {one.name for one in manifest.decisions} == {one.name for one in described.decisions}
    with ExitStack() as stack:
        reference = FileReference(original, described.decisions, stack)
        report = verify(graph, manifest, reference, draw_samples({"x": x.numpy()}))
    assert report.complete
    points = [dict(point) for point in report.operating_points]
    assert all(dict(point) in points for point in described.operating_points)


@HALF
@EVERY
def test_an_engine_keeps_its_knob_and_its_laziness(name: str, fp16: bool, tmp_path: Path) -> None:
    net, x = _network(name)
    report = build(net, tmp_path / "net.engine", (x,), fp16=fp16, flavor="tensorrt-rtx")
    assert report.verification is not None
    assert report.verification.complete
    knobs = set(report.engine.manifest.knobs)
    places = {one.name: one.location for one in report.engine.inputs if one.name in knobs}
    assert places == dict.fromkeys(knobs, "device")
    assert report.lazy > 0 or name == "per_level"  # where a level chooses among statistics
    assert report.built.repaired == ()
    assert report.built.warnings == ()
    assert read_engine(tmp_path / "net.engine") == report.engine


@EVERY
def test_every_engine_is_built_for_the_oldest_chip_too(name: str, tmp_path: Path) -> None:
    net, x = _network(name)
    legal, path = tmp_path / "legal.onnx", tmp_path / "net.engine"
    export(net, (x,), legal, target="tensorrt", verify=False)
    report = build(legal, path, chips=("sm75", "sm120"), flavor="tensorrt-rtx")
    assert report.engine.chips == ("sm75", "sm120")
    assert report.verification is not None
    assert report.verification.complete
