"""Networks with channel budgets, from export to the file: what is verified, said and measured."""

from __future__ import annotations

import functools
import itertools
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx_ir as ir
import pytest
import torch
from torch import nn

import dyncompile
from dyncompile import artifact, pipeline
from dyncompile.capture import capture_model
from dyncompile.describe import manifest_from_model
from dyncompile.dialect import attach_functions
from dyncompile.errors import InputError, VerificationError
from dyncompile.forcing import force_decisions
from dyncompile.manifest import Budgets, Manifest
from dyncompile.targets import ort
from dyncompile.verify import draw_samples, verify
from tests.budgeted_networks import (
    CLASSES,
    EXAMPLE,
    LEVELS,
    Budgeted,
    Choosing,
    ChoosingTwoNames,
    Layers,
    Switching,
    TwoNames,
)
from tests.support import ort_run

Lowering = Literal["switch", "slice"]
LOWERINGS: tuple[Lowering, ...] = ("switch", "slice")
SAMPLES = draw_samples({"x": EXAMPLE[0].numpy()}, 1)


@functools.cache
def captured(build: Any) -> ir.Model:  # noqa: ANN401
    return capture_model(build(), EXAMPLE, getattr(build, "knobs", {}))


def lowered(build: type[Layers], lowering: Lowering) -> tuple[ir.Model, Manifest]:
    kind: Any = build
    model = captured(kind).clone()
    for _ in pipeline.run(model, ort.passes(lowering)):
        pass
    return model, manifest_from_model(model, getattr(build, "knobs", {}), "onnx")


def written(build: type[Layers], lowering: Lowering, folder: Path) -> Path:
    model, manifest = lowered(build, lowering)
    for _ in pipeline.run(model, ort.FINISHING):
        pass
    artifact.write(model, manifest, folder / "net.onnx")
    return folder / "net.onnx"


@pytest.mark.parametrize("lowering", LOWERINGS)
@pytest.mark.parametrize("build", [Budgeted, Choosing, TwoNames, ChoosingTwoNames])
def test_every_level_is_forced_with_what_is_decided_in_it(
    build: type[Layers], lowering: Lowering
) -> None:
    report = verify(*lowered(build, lowering), build(), SAMPLES)
    assert (report.paths, report.complete) == (LEVELS * 2, True)
    assert report.unforced == ()
    assert report.near_ties == ()
    levels = {int(str(point["level"])) for point in report.operating_points if "level" in point}
    assert levels == (set(range(LEVELS)) if "level" in getattr(build, "knobs", {}) else set())


@pytest.mark.parametrize("lowering", LOWERINGS)
def test_a_gate_inside_is_one_decision_with_a_value_per_copy(
    lowering: Lowering, tmp_path: Path
) -> None:
    _, manifest = artifact.read(written(Budgeted, lowering, tmp_path))
    assert manifest is not None
    width, block = manifest.decisions
    assert (width.name, width.kind, width.values) == ("width", "switch", ("level",))
    assert len(block.values) == (LEVELS if lowering == "switch" else 2)
    macs = [side.macs for side in width.sides]
    assert macs == sorted(set(macs))
    (budgets,) = manifest.budgets
    assert (budgets.decision, budgets.levels, budgets.lowering) == ("width", LEVELS, lowering)
    assert budgets.why


@pytest.mark.parametrize("lowering", LOWERINGS)
def test_names_of_one_level_are_names_of_one_decision(lowering: Lowering, tmp_path: Path) -> None:
    net = dyncompile.load(written(TwoNames, lowering, tmp_path))
    decision = net.decisions[0]
    assert {decision.name, *(name for name, _ in decision.aliases)} == {"width", "depth"}
    _, taken = net.trace(EXAMPLE[0].numpy(), level=1)
    assert (taken["width"], taken["depth"]) == (1, 1)


@pytest.mark.parametrize("lowering", LOWERINGS)
def test_a_switch_on_the_level_of_budgets_is_the_same_decision(lowering: Lowering) -> None:
    model, manifest = lowered(Switching, lowering)
    decision = manifest.decisions[0]
    assert decision.name == manifest.budgets[0].decision == "after"
    assert [name for name, _ in decision.aliases] == ["width"]
    macs = [side.macs for side in decision.sides]
    assert macs == sorted(set(macs))
    assert verify(model, manifest, Switching(), SAMPLES).paths == LEVELS * 2


@pytest.mark.parametrize("lowering", LOWERINGS)
def test_a_weight_of_channels_that_only_high_levels_have_is_verified_there(
    lowering: Lowering,
) -> None:
    model, manifest = lowered(Budgeted, lowering)
    assert verify(model, manifest, Budgeted(), SAMPLES).largest_difference < 1e-6
    other = Budgeted()
    with torch.no_grad():
        other.head.weight[:, 5] += 1  # of 8, of which levels 0 and 1 have 2 and 4
    with pytest.raises(VerificationError, match=r"sample 0, level=2, output"):
        verify(model, manifest, other, SAMPLES)


@pytest.mark.parametrize("target", ["marked", "onnx"])
def test_a_level_that_data_choose_cuts_as_it_is_forced(target: Literal["marked", "onnx"]) -> None:
    module, model = Choosing(), captured(Choosing).clone()
    if target == "onnx":
        model, _ = lowered(Choosing, "slice")
    manifest = manifest_from_model(model, {}, target)
    attach_functions(model)
    inputs = force_decisions(model, manifest.decisions)
    x = EXAMPLE[0]
    outputs = []
    for level in range(LEVELS):
        forced = {name: np.asarray([level]) for name in inputs["width"]}
        forced |= {name: np.asarray([True]) for name in inputs["block"]}
        (y,) = ort_run(model, {"x": x.numpy(), **forced})
        with torch.no_grad(), dyncompile.follow({"width": level, "block": 1}):
            want = module(x)
        np.testing.assert_allclose(y, want.numpy(), atol=1e-6)
        outputs.append(y)
    assert all(abs(a - b).max() > 1e-3 for a, b in itertools.pairwise(outputs))


def test_a_marked_file_keeps_budgets_and_is_compiled_later(tmp_path: Path) -> None:
    marked, net = tmp_path / "marked.onnx", tmp_path / "net.onnx"
    module = Budgeted().eval()
    dyncompile.export(module, EXAMPLE, marked, target="marked")
    _, manifest = artifact.read(marked)
    assert manifest is not None
    assert manifest.budgets == (Budgets("width", LEVELS),)
    for lowering in LOWERINGS:
        dyncompile.export(marked, None, net, budgets=lowering)
        _, manifest = artifact.read(net)
        assert manifest is not None
        assert [budgets.lowering for budgets in manifest.budgets] == [lowering]
        loaded = dyncompile.load(net)
        for level in range(LEVELS):
            with torch.no_grad():
                want = module(EXAMPLE[0], torch.tensor(level)).numpy()
            got = np.asarray(loaded(EXAMPLE[0].numpy(), level=level))
            np.testing.assert_allclose(got, want, atol=1e-6)


def test_an_unknown_lowering_is_refused_before_anything_runs(tmp_path: Path) -> None:
    class Fails(nn.Module):
        def forward(self) -> None:
            raise AssertionError

    with pytest.raises(InputError, match=r"budgets: 'mask' is no way .* Give 'auto', 'switch'"):
        dyncompile.export(Fails(), (), tmp_path / "net.onnx", budgets="mask")  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_the_governor_picks_a_level_of_budgets(tmp_path: Path) -> None:
    net = dyncompile.load(written(Budgeted, "switch", tmp_path), threads=1)
    assert [point["level"] for point in net.operating_points] == list(range(LEVELS))
    with pytest.raises(InputError, match=r"not measured on this machine\. Give samples=") as caught:
        net.within(milliseconds=4)
    assert "\n" not in str(caught.value)
    x = EXAMPLE[0].numpy()
    best = net.within(milliseconds=1e9, samples={"x": np.stack([x, -x])}, quality=range(LEVELS))
    assert best.picked.point == {"level": LEVELS - 1}
    y = np.asarray(best(x))
    assert y.shape == (1, CLASSES)
    np.testing.assert_array_equal(y, np.asarray(net(x, level=LEVELS - 1)))
    with pytest.warns(RuntimeWarning, match="level=.* nothing fits"):
        tight = net.within(milliseconds=1e-9, quality=range(LEVELS))
    np.testing.assert_array_equal(
        np.asarray(tight(x)), np.asarray(net(x, **dict(tight.picked.point)))
    )
