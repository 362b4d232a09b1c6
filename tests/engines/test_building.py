"""Whole builds, with the real builder that needs no GPU."""

from __future__ import annotations

import dataclasses
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx_ir as ir
import pytest

import dyncompile
from dyncompile import ArtifactError, InputError, TargetError, VerificationError, artifact
from dyncompile.engine_file import read_engine
from dyncompile.engines import building
from dyncompile.engines.building import build
from dyncompile.engines.process import run_build
from dyncompile.engines.request import BuildRequest, BuildResult
from dyncompile.passes import branches_in_sequence
from dyncompile.targets import known
from tests.engine_networks import Skipping, Slim, image
from tests.engines.graphs import DYNAMIC, GATE, SWITCH, UNPADDED, written
from tests.engines.stand_in import load

KNOB = {"threshold"}


def sources(folder: Path) -> dict[str, Any]:
    """Write one network in every form."""
    files = {form: folder / f"{form}.onnx" for form in ("marked", "onnx", "tensorrt")}
    for form, file in files.items():
        model, example = (Skipping(), image()) if form == "marked" else (files["marked"], None)
        options: Any = {"target": form, "verify": False}
        dyncompile.export(model, example, file, **options)
    return {"module": Skipping(), **files}


@pytest.fixture(scope="module")
def forms(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return sources(tmp_path_factory.mktemp("forms"))


def plant(monkeypatch: pytest.MonkeyPatch, folder: Path, fault: str) -> None:
    """Put a builder that fails in the place of the real one."""
    from tests.engines.stand_in import package

    monkeypatch.syspath_prepend(package(folder, "tensorrt_rtx_1_7", fault=fault))
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", load("tensorrt_rtx_1_7"))


def seen(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Keep what the builder gets, and build nothing."""
    models: list[bytes] = []

    def run(request: BuildRequest, **_: object) -> BuildResult:
        models.append(request.model.read_bytes())
        raise TargetError("seen.", where=str(request.model), remedy="None.")

    monkeypatch.setattr(building, "run_build", run)
    return models


# --- what works ------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["module", "marked", "onnx", "tensorrt"])
def test_every_form_of_a_network_becomes_an_engine_with_its_knobs(
    form: str, forms: Mapping[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "net.engine"
    example = image() if form == "module" else None
    report = build(forms[form], path, example, flavor="tensorrt-rtx")
    engine = read_engine(path)
    assert engine == report.engine
    assert {file.name for file in tmp_path.iterdir()} == {"net.engine", "net.engine.json"}
    assert [binding.name for binding in engine.inputs] == ["x", "threshold"]
    assert set(engine.manifest.knobs) == KNOB
    assert [decision.name for decision in engine.manifest.decisions] == ["skip", "exit"]
    assert report.lazy == 2
    assert (report.verification is None) == (form == "tensorrt")  # which is built as it is
    if report.verification is not None:
        assert (report.verification.paths, report.verification.complete) == (4, True)


def test_an_engine_of_a_file_made_elsewhere_takes_the_knob_it_is_given(tmp_path: Path) -> None:
    path = tmp_path / "net.engine"
    report = build(written(GATE, tmp_path), path, flavor="tensorrt-rtx")
    assert [binding.name for binding in report.engine.inputs] == ["x", "take"]
    assert report.lazy == 1
    assert report.verification is not None
    assert report.verification.paths == 2


def test_half_precision_keeps_the_types_of_inputs_and_outputs(tmp_path: Path) -> None:
    path = tmp_path / "net.engine"
    report = build(Skipping(), path, image(), fp16=True, chips=["sm89", "sm120"])
    assert (report.engine.precision, report.engine.chips) == ("float16", ("sm89", "sm120"))
    assert {b.dtype for b in (*report.engine.inputs, *report.engine.outputs)} == {"float32"}
    assert report.verification is not None
    assert 0 < report.verification.largest_difference < 1e-2


@pytest.mark.parametrize("budgets", ["switch", "chain"])
def test_sizes_that_differ_are_free_in_the_engine(budgets: Any, tmp_path: Path) -> None:  # noqa: ANN401
    path = tmp_path / "net.engine"
    shapes = {"x": [(1, 4, 8, 8), (2, 4, 8, 8), (4, 4, 16, 8)]}
    report = build(Slim((4, 8)), path, {"x": image(2)}, budgets=budgets, shapes=shapes)
    assert [binding.shape for binding in report.engine.inputs] == [(-1, 4, -1, 8), ()]
    assert [one.lowering for one in report.engine.manifest.budgets] == [budgets]


def test_free_sizes_of_a_file_need_a_range(tmp_path: Path) -> None:
    source, path = written(DYNAMIC, tmp_path), tmp_path / "net.engine"
    with pytest.raises(InputError, match=r"^input 'x': .*no range of them is given"):
        build(source, path)
    shapes = {"x": [(1, 4, 8, 8), (2, 4, 8, 8), (4, 4, 16, 16)]}
    report = build(source, path, shapes=shapes)
    assert report.engine.inputs[0].shape == (-1, 4, -1, -1)


def test_a_file_is_verified_in_sizes_that_the_engine_is_built_for(tmp_path: Path) -> None:
    path = tmp_path / "net.engine"
    shapes = {"x": [(1, 4, 8, 8), (2, 4, 8, 8), (4, 4, 16, 16)]}
    report = build(written(UNPADDED, tmp_path), path, shapes=shapes)
    assert report.verification is not None
    assert (report.verification.samples, report.verification.paths) == (6, 2)


def test_weights_may_be_in_a_second_file_before_and_while_it_is_built(
    forms: Mapping[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(artifact, "_INLINE_UP_TO_BYTES", 64)
    monkeypatch.setattr(artifact, "_EXTERNAL_FROM_BYTES", 100)
    source = tmp_path / "net.onnx"
    dyncompile.export(forms["marked"], None, source)
    assert (tmp_path / "net.onnx.data").exists()
    report = build(source, tmp_path / "net.engine")
    assert report.engine.manifest.external_data is None
    assert report.engine.bytes == (tmp_path / "net.engine").stat().st_size


def test_the_builder_gets_the_bytes_that_export_writes(
    forms: Mapping[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = seen(monkeypatch)
    for form in ("module", "marked", "tensorrt"):
        with pytest.raises(TargetError, match="seen"):
            build(forms[form], tmp_path / "net.engine", image() if form == "module" else None)
    assert models == [forms["tensorrt"].read_bytes()] * 3


def test_progress_is_told_from_the_first_pass_to_the_end_of_the_build(
    forms: Mapping[str, Any], tmp_path: Path
) -> None:
    told: list[str] = []
    build(forms["onnx"], tmp_path / "net.engine", progress=lambda name, *_: told.append(name))
    assert told[0] == "DetachFunctions"
    assert "paths" in told
    assert told[-1] == "Building engine"


# --- what is refused -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({"budgets": "slice"}, r"^budgets: 'slice' is no way .*tensorrt", id="slices"),
        pytest.param({"chips": ["sm33"]}, r"^chip 'sm33': ", id="an unknown chip"),
        pytest.param({"timeout": 0}, r"^timeout: 0 is too little", id="no time"),
        pytest.param({"memory": -1}, r"^memory: -1 is too little", id="no memory"),
        pytest.param({"shapes": {"x": [(4, 1), (2, 1), (8, 1)]}}, "not in order", id="order"),
        pytest.param(
            {"shapes": {"level": [(0,), (0,), (0,)]}}, "does not cover the knob", id="knob"
        ),
        pytest.param(
            {"shapes": {"x": [(1, 4, 8, 8), (1, 4, 8, 8), (2, 4, 8, 8)]}},
            r"^the range of input 'x': dimension 0 is to be free, and 1 in the example",
            id="an example of one",
        ),
    ],
)
def test_what_cannot_be_built_is_refused_and_leaves_nothing(
    options: Mapping[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises((InputError, TargetError), match=message):
        build(Slim(), tmp_path / "net.engine", {"x": image()}, **options)
    assert not list(tmp_path.iterdir())


def test_a_layer_that_the_parser_left_no_trace_of_is_not_called_lazy(tmp_path: Path) -> None:
    fixed = GATE.replace(", bool take", "").replace("{\n  h", "<bool take = {1}> {\n  h")
    report = build(written(fixed, tmp_path), tmp_path / "net.engine", verify=False)
    assert report.lazy == 0
    assert report.built.untraced == ("if_y",)
    assert "left no trace of 'if_y'" in report.built.warnings[0]


def test_a_source_is_not_written_over(tmp_path: Path) -> None:
    source = written(GATE, tmp_path).rename(tmp_path / "net.engine")
    before = source.read_bytes()
    with pytest.raises(InputError, match=r"net\.engine: it is named twice"):
        build(source, tmp_path / "." / "net.engine", verify=False)
    assert source.read_bytes() == before


@pytest.mark.parametrize("cache", ["net.engine", "net.engine.json", "net.onnx"])
def test_measured_times_are_not_written_over_other_files(cache: str, tmp_path: Path) -> None:
    source = written(GATE, tmp_path)
    with pytest.raises(InputError, match=f"{cache}: it is named twice"):
        build(source, tmp_path / "net.engine", timing_cache=tmp_path / cache)
    assert [file.name for file in tmp_path.iterdir()] == ["net.onnx"]


def test_a_missing_place_for_temporary_files_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    with pytest.raises(ArtifactError, match=r"no temporary folder can be made: .* in TMPDIR"):
        build(written(GATE, tmp_path), tmp_path / "net.engine", verify=False)
    assert [file.name for file in tmp_path.iterdir()] == ["net.onnx"]


@pytest.mark.skipif(sys.platform == "win32", reason="limits of POSIX")
def test_a_plan_that_temporary_files_have_no_room_for_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import resource

    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    source = written(GATE, tmp_path)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(TargetError) as caught:
            build(source, tmp_path / "net.engine", verify=False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert str(caught.value) == (
        f"{temporary}: the engine cannot be written: File too large. Free some space, or name a"
        " folder with room in TMPDIR."
    )
    assert not list(temporary.iterdir())
    assert {file.name for file in tmp_path.iterdir()} == {"net.onnx", "temporary"}


def test_budgets_that_are_lowered_are_not_lowered_again(
    forms: Mapping[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="its channel budgets are lowered already"):
        build(forms["onnx"], tmp_path / "net.engine", budgets="chain")


def test_a_knob_that_the_builder_made_a_constant_is_an_error(
    forms: Mapping[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_knob(request: BuildRequest, **options: Any) -> BuildResult:  # noqa: ANN401
        result = run_build(request, **options)
        return dataclasses.replace(result, inputs=result.inputs[:1])

    monkeypatch.setattr(building, "run_build", without_knob)
    with pytest.raises(TargetError, match="made a constant of the knob 'threshold'"):
        build(forms["tensorrt"], tmp_path / "net.engine")
    assert not list(tmp_path.iterdir())


class Doubled(ir.passes.InPlacePass):
    """A pass that changes what a network computes."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        for graph in model.graphs():
            for value in graph.initializers.values():
                tensor = value.const_value
                if tensor is not None and tensor.size > 30 and tensor.dtype == ir.DataType.FLOAT:
                    value.const_value = ir.tensor(tensor.numpy() * 2, name=value.name)
        return ir.passes.PassResult(model, modified=True)


def test_a_file_whose_legal_form_computes_something_else_is_not_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tensorrt = known.target_named("tensorrt")
    assert tensorrt.legalising is not None
    broken = dataclasses.replace(tensorrt, legalising=(*tensorrt.legalising, Doubled()))
    monkeypatch.setattr(building, "target_named", lambda _: broken)
    source = written(GATE, tmp_path)
    with pytest.raises(VerificationError, match="the artifact and the original differ by"):
        build(source, tmp_path / "net.engine")
    assert [file.name for file in tmp_path.iterdir()] == ["net.onnx"]


def test_where_rtx_cannot_have_free_sizes_it_is_said_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Version 1.7 fails inside where branches nest and sizes are free, and follow from no input."""
    monkeypatch.setattr(branches_in_sequence, "has_known_sizes", lambda *_: False)
    text = SWITCH.replace("float[1, 4, 8, 8]", "float[N, 4, 8, 8]")
    source = written(text, tmp_path)

    def run(request: BuildRequest, **_: object) -> BuildResult:
        raise TargetError(
            "it does not build the network.", where=str(request.model), remedy="None."
        )

    monkeypatch.setattr(building, "run_build", run)
    shapes = {"x": [(1, 4, 8, 8), (2, 4, 8, 8), (4, 4, 8, 8)]}
    for sizes, said in (
        (shapes, r"does not build .*one size per engine"),
        ({"x": [(2, 4, 8, 8)]}, "None"),
    ):
        with pytest.raises(TargetError, match=said):
            build(source, tmp_path / "x.engine", shapes=sizes, verify=False)


@pytest.mark.parametrize("fault", ["crash", "refuses", "out of memory"])
def test_a_build_that_fails_keeps_the_engine_that_was_there(
    fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, stand_in = tmp_path / "engines", tmp_path / "stand-in"
    folder.mkdir()
    stand_in.mkdir()
    path = folder / "net.engine"
    path.write_bytes(b"the old one")
    plant(monkeypatch, stand_in, fault)
    with pytest.raises(TargetError) as caught:
        build(written(GATE, stand_in), path, flavor="tensorrt-rtx", verify=False)
    assert "\n" not in str(caught.value)
    assert "dyncompile-" not in str(caught.value), "a folder that is gone by now"
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == {
        "net.engine": b"the old one"
    }


def test_a_cancelled_build_keeps_the_engine_that_was_there(
    forms: Mapping[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(request: BuildRequest, **_: object) -> BuildResult:
        assert tmp_path in request.plan.parents
        request.plan.write_bytes(b"half a plan")
        raise KeyboardInterrupt

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(building, "run_build", run)
    (tmp_path / "net.engine").write_bytes(b"the old one")
    with pytest.raises(KeyboardInterrupt):
        build(forms["tensorrt"], tmp_path / "net.engine")
    assert [file.name for file in tmp_path.iterdir()] == ["net.engine"]
    assert (tmp_path / "net.engine").read_bytes() == b"the old one"
