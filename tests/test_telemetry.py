"""Artifacts that report in each call what it decided."""

from __future__ import annotations

import dataclasses
import functools
import json
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest
import torch
from click.testing import CliRunner
from hypothesis import HealthCheck, Phase, assume, given, settings
from torch import Tensor, nn

import dyncompile
from benchmarks.engine_networks import MARKERS, marker_network
from dyncompile import (
    ArtifactError,
    InputError,
    Levels,
    Threshold,
    VerificationError,
    artifact,
    early_exit,
    gate,
    pipeline,
    switch,
)
from dyncompile.cli import main
from dyncompile.describe import manifest_from_model
from dyncompile.engine_file import read_engine
from dyncompile.knobs import Knob
from dyncompile.manifest import Manifest, TargetName
from dyncompile.passes.drop_reports import drop_reports
from dyncompile.passes.report_decisions import NOT_REACHED, report_decisions
from dyncompile.runtime import Net, load
from dyncompile.targets import ort as portable
from dyncompile.targets.trt.lowering import lowering
from dyncompile.verify import draw_samples, verify
from tests.engine_networks import Leveled, Skipping, image
from tests.lowered import NESTED_DECISIONS, NESTED_MANIFEST, nested
from tests.measuring.networks import WIDTH, Masked
from tests.random_networks import LEVELS, Network, marked_model, networks
from tests.support import parse

TARGETS = pytest.mark.parametrize("target", ["onnx", "tensorrt"])
X = image().numpy()


class Nested(nn.Module):
    """A gate in a gate, and behind an exit another one with a switch behind it."""

    knobs = {"threshold": Threshold(0.4, 0, 1)}  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.ModuleList(nn.Conv2d(4, 4, 3, padding=1) for _ in range(5))
        self.heads = nn.ModuleList(nn.Linear(4, 3) for _ in range(3))

    def forward(self, x: Tensor, threshold: Tensor) -> Tensor:
        a, b, c, d, e = self.layers
        hidden = b(x).relu()
        deeper = hidden + c(hidden).relu()
        hidden = gate(hidden.mean((0, 1, 2, 3)) > 0.1, deeper, hidden, name="inner")
        x = gate(a(x).mean((0, 1, 2, 3)) > 0, x + hidden, x, name="outer")
        first = self.heads[0](x.mean((2, 3)))
        x = d(x).relu()
        second = self.heads[1](x.mean((2, 3)))
        score = x.mean((0, 1, 2, 3))
        index = (score > 0.2).long() + (score > 0.3).long()
        x = switch(index, [e(x), e(x).relu() + x, x * 2], name="way")
        last = self.heads[2](x.mean((2, 3)))
        y = early_exit(_surest(second) > threshold, second, last, name="second")
        result: Tensor = early_exit(_surest(first) > threshold, first, y, name="first")
        return result


class Clashing(nn.Module):
    """A network whose outputs have the names that reports would have."""

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        taken = gate(x.mean((1, 2, 3)) > 0, x.exp(), x, name="skip")
        return {"skip.option": taken, "skip.option.2": x + 1}


def _surest(logits: Tensor) -> Tensor:
    return logits.softmax(1).amax((0, 1))


MODULES: dict[str, Callable[[], tuple[nn.Module, Tensor]]] = {
    "skipping": lambda: (Skipping(), image()),
    "leveled": lambda: (Leveled(), torch.ones(1, 4)),
    "nested": lambda: (Nested(), image()),
    "clashing": lambda: (Clashing(), image()),
    **{name: partial(marker_network, name) for name in MARKERS},
}
FREE = {"x": {0: torch.export.Dim("n", max=8), 2: torch.export.Dim("h", min=4, max=32)}}

Marked = Callable[[str], Path]


@pytest.fixture(scope="module")
def marked(tmp_path_factory: pytest.TempPathFactory) -> Marked:
    """Return what captures a network of a name, once."""
    folder = tmp_path_factory.mktemp("marked")

    @functools.cache
    def captured(name: str) -> Path:
        path = folder / f"{len(list(folder.glob('*.onnx')))}.onnx"
        options: Any = {"target": "marked", "verify": False}
        if name == "free":
            dyncompile.export(Nested(), (image(2),), path, dynamic_shapes=FREE, **options)
        else:
            model, x = MODULES[name]()
            dyncompile.export(model, (x,), path, **options)
        return path

    return captured


@functools.cache
def compiled(source: Path, target: TargetName, telemetry: bool) -> bytes:
    """Return the file that a marked one becomes, made once."""
    path = source.with_suffix(f".{target}.{telemetry}")
    dyncompile.export(source, None, path, target=target, telemetry=telemetry)
    return path.read_bytes()


def both(
    folder: Path,
    source: Path,
    target: TargetName,
    **options: Any,  # noqa: ANN401
) -> tuple[Net, Net]:
    """Compile a file with telemetry and without."""
    nets = []
    for name, telemetry in (("with", True), ("without", False)):
        path = folder / f"{name}.{target}.onnx"
        if options:
            dyncompile.export(source, None, path, target=target, telemetry=telemetry, **options)
        else:
            path.write_bytes(compiled(source, target, telemetry))
        nets.append(load(path, threads=1))
    return nets[0], nets[1]


def read(net: Net) -> tuple[ir.Model, Manifest]:
    model, manifest = artifact.read(net.path)
    assert manifest is not None
    return model, manifest


def settings_of(net: Net) -> list[dict[str, Any]]:
    """Return values of the knobs that lead elsewhere."""
    found: list[dict[str, Any]] = [{}]
    for name, knob in net.knobs.items():
        values = range(len(knob.values)) if isinstance(knob, Levels) else (-np.inf, np.inf)
        found += [{name: value} for value in values]
    return found


def assert_same(one: Net, other: Net, samples: int = 6, shape: Any = None) -> set[tuple[int, ...]]:  # noqa: ANN401
    """Compare outputs and paths; return the paths."""
    rng, paths = np.random.default_rng(0), set()
    for point in settings_of(one):
        for _ in range(samples):
            sizes = shape or list(one._arguments.inputs[0].shape)  # noqa: SLF001
            x = (rng.normal(size=sizes) + rng.normal()).astype(np.float32)
            got, taken = one.trace(x, **point)
            want, path = other.trace(x, **point)
            assert taken == path
            np.testing.assert_array_equal(got, want)
            np.testing.assert_array_equal(one(x, **point), want)
            paths.add(tuple(taken.values()))
    return paths


# --- right on every marker, and in branches of branches --------------------------------------


@TARGETS
@pytest.mark.parametrize("name", MARKERS)
def test_a_trace_of_every_marker_is_that_of_the_second_session(
    name: str, target: TargetName, marked: Marked, tmp_path: Path
) -> None:
    one, other = both(tmp_path, marked(name), target, verify=False)
    assert one.outputs == other.outputs
    assert len(assert_same(one, other, samples=2)) > 1
    assert one._tracing is not None  # noqa: SLF001
    assert one._tracing[0] == one._run, "no second session"  # noqa: SLF001


@TARGETS
@pytest.mark.parametrize("free", [False, True], ids=["fixed sizes", "free sizes"])
def test_branches_in_branches_report_through_all_of_them(
    free: bool, target: TargetName, marked: Marked, tmp_path: Path
) -> None:
    source, shape = marked("free" if free else "nested"), (3 if free else 1, 4, 8, 8)
    one, other = both(tmp_path, source, target)
    paths = assert_same(one, other, 20, shape)
    assert len(paths) >= 6
    names = [decision.name for decision in one.decisions]
    for decision in one.decisions:
        place = names.index(decision.name)
        seen = {path[place] for path in paths}
        is_always = decision.name in {"outer", "first"}
        assert (NOT_REACHED in seen) != is_always
    if target == "tensorrt":
        portable_net = both(tmp_path, source, "onnx")[0]
        rng = np.random.default_rng(1)
        for _ in range(10):
            x = (rng.normal(size=shape) + rng.normal()).astype(np.float32)
            assert one.trace(x)[1] == portable_net.trace(x)[1]


@settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(network=networks())
@pytest.mark.parametrize("target", ["onnx", "tensorrt"])
def test_random_networks_report_what_the_second_session_finds(
    tmp_path_factory: pytest.TempPathFactory, target: TargetName, network: Network
) -> None:
    knobs: dict[str, Knob] = {
        "level": Levels(tuple(range(LEVELS))),
        "threshold": Threshold(0.0),
    }
    model = marked_model(network)
    passes = lowering() if target == "tensorrt" else portable.passes()
    for _ in pipeline.run(model, passes):
        pass
    manifest = manifest_from_model(model, knobs, target)
    assume(manifest.decisions)
    plain = model.clone()
    reports = report_decisions(model, manifest.decisions)
    told = dataclasses.replace(manifest, telemetry=reports)
    for graph in plain, model:
        for _ in pipeline.run(graph, portable.FINISHING):
            pass
    folder = tmp_path_factory.mktemp("random")
    artifact.write(plain, manifest, folder / "without.onnx")
    artifact.write(model, told, folder / "with.onnx")
    one, other = load(folder / "with.onnx", threads=1), load(folder / "without.onnx", threads=1)
    for feeds in network.feeds():
        if feeds["level"] in range(LEVELS):
            got, taken = one.trace(**feeds)
            want, path = other.trace(**feeds)
            assert taken == path
            np.testing.assert_array_equal(got, want)
    again, _ = artifact.read(folder / "with.onnx")
    drop_reports(again, reports.values())
    artifact.write(again, manifest, folder / "again.onnx")
    assert (folder / "again.onnx").read_bytes() == (folder / "without.onnx").read_bytes()


# --- what the file is ------------------------------------------------------------------------


def test_onnx_runtime_alone_shows_the_reports(marked: Marked, tmp_path: Path) -> None:
    one, other = both(tmp_path, marked("skipping"), "onnx")
    session = ort.InferenceSession(str(one.path))
    kinds = [(output.name, output.type, output.shape) for output in session.get_outputs()]
    assert kinds == [
        ("output", "tensor(float)", [1, 3]),
        ("skip.option", "tensor(int64)", []),
        ("exit.option", "tensor(int64)", []),
    ]
    for threshold in (0.0, 0.4, 1.0):
        feeds = {"x": X, "threshold": np.asarray(threshold, np.float32)}
        y, skip, exit_ = session.run(None, feeds)
        want, path = other.trace(X, threshold=threshold)
        np.testing.assert_array_equal(y, want)
        assert path == {"skip": int(skip), "exit": int(exit_)}


def test_the_manifest_says_which_output_reports_which_decision(
    marked: Marked, tmp_path: Path
) -> None:
    one, other = both(tmp_path, marked("skipping"), "onnx")
    (_, told), (_, plain) = read(one), read(other)
    assert told.telemetry == {"skip": "skip.option", "exit": "exit.option"}
    assert dataclasses.replace(told, telemetry={}) == plain
    assert "telemetry" in json.loads(told.to_json())
    assert "telemetry" not in json.loads(plain.to_json())


def test_without_it_nothing_changes_and_with_it_nothing_else(
    marked: Marked, tmp_path: Path
) -> None:
    one, other = both(tmp_path, marked("nested"), "onnx")
    model, told = read(one)
    drop_reports(model, told.telemetry.values())
    artifact.write(model, dataclasses.replace(told, telemetry={}), tmp_path / "again.onnx")
    assert (tmp_path / "again.onnx").read_bytes() == other.path.read_bytes()


def test_calls_hide_the_reports(marked: Marked, tmp_path: Path) -> None:
    one, _ = both(tmp_path, marked("skipping"), "onnx")
    assert one.outputs == ("output",)
    assert isinstance(one(X), np.ndarray)
    assert ".option" not in repr(one)


def test_a_trace_needs_neither_onnx_nor_the_file(marked: Marked, tmp_path: Path) -> None:
    one, _ = both(tmp_path, marked("skipping"), "onnx")
    program = f"""
import sys
sys.modules["onnx"] = sys.modules["onnx_ir"] = None
import dyncompile, numpy, pathlib
net = dyncompile.load({str(one.path)!r})
pathlib.Path({str(one.path)!r}).unlink()
print(sorted(net.trace(numpy.ones((1, 4, 8, 8), numpy.float32))[1]))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.stdout == "['exit', 'skip']\n", done.stderr


def test_a_network_that_decides_nothing_is_traced_without_a_second_session(tmp_path: Path) -> None:
    model = parse("main (float[1,4] x) => (float[1,4] y) { y = Neg (x) }")
    artifact.write(model, Manifest("onnx"), tmp_path / "net.onnx")
    net = load(tmp_path / "net.onnx")
    (tmp_path / "net.onnx").unlink()
    x = np.ones((1, 4), np.float32)
    y, path = net.trace(x)
    np.testing.assert_array_equal(y, -x)
    assert path == {}


def test_other_names_of_a_decision_are_traced_too(tmp_path: Path) -> None:
    aliased = dataclasses.replace(NESTED_DECISIONS[0], aliases=(("not outer", (1, 0)),))
    decisions = (aliased, *NESTED_DECISIONS[1:])
    model = nested()
    reports = report_decisions(model, decisions)
    manifest = dataclasses.replace(NESTED_MANIFEST, decisions=decisions, telemetry=reports)
    artifact.write(model, manifest, tmp_path / "net.onnx")
    _, path = load(tmp_path / "net.onnx").trace(np.ones((1, 4), np.float32))
    assert path == {"outer": 1, "not outer": 0, "inner": 1, "exit": 0, "deep": 1}


@TARGETS
def test_a_name_that_an_output_has_already_is_numbered(
    target: TargetName, marked: Marked, tmp_path: Path
) -> None:
    one, other = both(tmp_path, marked("clashing"), target)
    assert one.outputs == other.outputs == ("skip.option", "skip.option.2")
    assert read(one)[1].telemetry == {"skip": "skip.option.3"}
    assert one.trace(X)[1] == other.trace(X)[1]


@pytest.mark.parametrize("option", ["default_knobs", "external_data"])
def test_it_goes_with_other_options(option: str, marked: Marked, tmp_path: Path) -> None:
    options: dict[str, Any] = {option: True}
    one, other = both(tmp_path, marked("leveled"), "onnx", **options)
    assert len(assert_same(one, other)) == 6


def test_half_precision_reports_too(marked: Marked, tmp_path: Path) -> None:
    one, other = both(tmp_path, marked("skipping"), "tensorrt", fp16=True)
    assert_same(one, other)


# --- from one file to another ----------------------------------------------------------------


def test_a_module_is_compiled_with_it(marked: Marked, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    report = dyncompile.export(Skipping(), (image(),), path, telemetry=True)
    assert report is not None
    assert report.complete
    one, other = both(tmp_path, marked("skipping"), "onnx")
    assert path.read_bytes() == one.path.read_bytes()
    assert_same(load(path), other)


def test_a_lowered_file_keeps_it_on_its_way_to_tensorrt(marked: Marked, tmp_path: Path) -> None:
    one, other = both(tmp_path, marked("nested"), "onnx")
    wanted = both(tmp_path, other.path, "tensorrt")[0].path.read_bytes()
    path = tmp_path / "kept.onnx"
    report = dyncompile.export(one.path, None, path, target="tensorrt")
    assert report is not None
    assert path.read_bytes() == wanted
    again = tmp_path / "again.onnx"
    assert dyncompile.export(path, None, again, target="tensorrt") is None
    assert again.read_bytes() == wanted


def test_a_file_in_form_gets_it_and_is_verified_once_more(marked: Marked, tmp_path: Path) -> None:
    one, other = both(tmp_path, marked("skipping"), "tensorrt")
    path = tmp_path / "later.onnx"
    report = dyncompile.export(other.path, None, path, target="tensorrt", telemetry=True)
    assert report is not None
    assert report.complete
    assert path.read_bytes() == one.path.read_bytes()


def test_a_marked_file_takes_no_path_to_report(tmp_path: Path) -> None:
    path = tmp_path / "marked.onnx"
    with pytest.raises(InputError) as caught:
        dyncompile.export(Skipping(), (image(),), path, target="marked", telemetry=True)
    assert str(caught.value) == (
        "telemetry: target marked is dense: a call takes no path that could be reported."
        " Leave it out, and ask for it when the file is compiled."
    )
    assert not path.exists()


# --- verification ----------------------------------------------------------------------------


def samples() -> list[dict[str, Any]]:
    return draw_samples({"x": image().numpy()})


def test_a_verification_of_the_file_compares_the_outputs_of_the_model(
    marked: Marked, tmp_path: Path
) -> None:
    one, _ = both(tmp_path, marked("nested"), "onnx")
    report = verify(*read(one), Nested(), samples())
    assert report.complete
    assert report.paths > 6


def test_reports_that_are_exchanged_are_found(marked: Marked, tmp_path: Path) -> None:
    one, _ = both(tmp_path, marked("skipping"), "onnx")
    model, manifest = read(one)
    wrong = dataclasses.replace(manifest, telemetry={"skip": "exit.option", "exit": "skip.option"})
    with pytest.raises(VerificationError, match=r"the decision '(skip|exit)' is [01] in the art"):
        verify(model, wrong, Skipping(), samples())


@pytest.mark.parametrize("name", ["skip", "exit"])
def test_a_report_that_is_missing_is_found_on_a_forced_path(
    name: str, marked: Marked, tmp_path: Path
) -> None:
    one, _ = both(tmp_path, marked("skipping"), "onnx")
    model, manifest = read(one)
    old = next(value for value in model.graph.outputs if value.name == f"{name}.option")
    old.name = "lost"
    never = ir.node("Constant", [], {"value": ir.tensor(NOT_REACHED)})
    never.outputs[0].name = f"{name}.option"
    model.graph.append(never)
    old.replace_all_uses_with(never.outputs[0], replace_graph_outputs=True)
    expected = rf"reports that the decision '{name}' is not reached, where it is [01]"
    with pytest.raises(VerificationError, match=expected):
        verify(model, manifest, Skipping(), samples())


def test_decisions_without_a_marker_are_reported_and_not_forced(tmp_path: Path) -> None:
    torch.manual_seed(4)
    path, model = tmp_path / "net.onnx", Masked().eval()
    report = dyncompile.export(model, (torch.ones(1, WIDTH),), path, telemetry=True)
    assert report is not None
    (mask,) = report.unforced
    assert mask in load(path).trace(np.ones((1, WIDTH), np.float32))[1]


# --- files that do not fit -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("output", "message"),
    [
        pytest.param("gone", "as int64[]; the graph has no such output.", id="missing"),
        pytest.param("y", "as int64[]; the graph has it as float32[1, 4].", id="another type"),
    ],
)
def test_an_output_that_cannot_report_is_refused(output: str, message: str, tmp_path: Path) -> None:
    model, path = nested(), tmp_path / "net.onnx"
    reports = {**report_decisions(model, NESTED_DECISIONS), "inner": output}
    artifact.write(model, dataclasses.replace(NESTED_MANIFEST, telemetry=reports), path)
    with pytest.raises(ArtifactError) as caught:
        load(path)
    assert str(caught.value) == (
        f"{path}: the manifest has the output {output!r} report 'inner' {message}"
        " Export the network again."
    )


@pytest.mark.parametrize(
    ("telemetry", "message"),
    [
        pytest.param([], "telemetry is list, not dict", id="a list"),
        pytest.param({"outer": 3}, "is int, not str", id="a number"),
        pytest.param({"other": "o"}, "reports 'other', which is not a decision", id="unknown"),
        pytest.param({"outer": "o"}, "does not report the decision", id="not all"),
        pytest.param(
            dict.fromkeys(("outer", "inner", "exit", "deep"), "o"),
            "reports two decisions by one output",
            id="one output twice",
        ),
    ],
)
def test_a_damaged_manifest_is_refused(telemetry: object, message: str) -> None:
    entry = {**json.loads(NESTED_MANIFEST.to_json()), "telemetry": telemetry}
    with pytest.raises(ArtifactError, match=message):
        Manifest.from_json(json.dumps(entry), "net.onnx")


# --- the commands ----------------------------------------------------------------------------


def test_the_command_writes_and_inspect_shows_it(marked: Marked, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    command = ["export", str(marked("skipping")), "--telemetry", "-o", str(path)]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    for shown in (result.output, CliRunner().invoke(main, ["inspect", str(path)]).output):
        assert "Telemetry: each call reports the option that every decision took." in shown
        assert "report │ exit.option" in shown
        assert "output │ output" in shown
    np.save(tmp_path / "x.npy", X)
    command = ["run", str(path), str(tmp_path / "x.npy"), "--trace"]
    lines = CliRunner().invoke(main, command).output.splitlines()
    assert [line.split(" ")[0] for line in lines] == ["output:", "skip", "exit"]


# --- engines ---------------------------------------------------------------------------------


@pytest.mark.parametrize("keeps", [False, True], ids=["asked for", "kept from a file"])
def test_an_engine_has_the_reports_as_outputs(keeps: bool, marked: Marked, tmp_path: Path) -> None:
    pytest.importorskip("tensorrt_rtx")
    path, source = tmp_path / "net.engine", marked("nested")
    if keeps:
        source = both(tmp_path, source, "onnx")[0].path
    report = dyncompile.build(source, path, flavor="tensorrt-rtx", telemetry=not keeps)
    engine = read_engine(path)
    reports = engine.manifest.telemetry
    assert set(reports) == {"outer", "inner", "first", "second", "way"}
    kinds = {one.name: (one.dtype, one.shape) for one in engine.outputs}
    assert kinds.pop("output") == ("float32", (1, 3))
    assert kinds == dict.fromkeys(reports.values(), ("int64", ()))
    assert report.lazy == 7
    assert (report.built.repaired, report.built.warnings) == ((), ())
    shown = CliRunner().invoke(main, ["inspect", str(path)]).output
    assert "Telemetry: each call reports" in shown
    assert "report │ way.option" in shown


def test_reports_of_branches_after_each_other_are_built(marked: Marked, tmp_path: Path) -> None:
    pytest.importorskip("tensorrt_rtx")
    path = tmp_path / "net.engine"
    report = dyncompile.build(
        marked("free"),
        path,
        flavor="tensorrt-rtx",
        shapes={"x": [(1, 4, 8, 8), (2, 4, 8, 8), (4, 4, 16, 8)]},
        telemetry=True,
    )
    assert (report.built.repaired, report.built.warnings) == ((), ())
    assert report.lazy == 7
    assert len(report.engine.outputs) == 1 + len(report.engine.manifest.telemetry) == 6


@pytest.mark.parametrize("name", ["switch", "channel_budget, a chain"])
def test_an_engine_of_a_marker_stays_as_lazy(name: str, marked: Marked, tmp_path: Path) -> None:
    pytest.importorskip("tensorrt_rtx")
    path, source = tmp_path / "net.engine", marked(name)
    told = dyncompile.build(source, path, flavor="tensorrt-rtx", telemetry=True, verify=False)
    plain = dyncompile.build(source, path, flavor="tensorrt-rtx", verify=False)
    assert told.lazy == plain.lazy > 0
    assert told.built.repaired == ()
