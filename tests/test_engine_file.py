import dataclasses
import errno
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dyncompile.engine_file import (
    Binding,
    Engine,
    description_path,
    read_engine,
    read_plan,
    write_engine,
)
from dyncompile.errors import ArtifactError
from dyncompile.knobs import Levels, Threshold
from dyncompile.manifest import Decision, ExternalData, Manifest, Side

MANIFEST = Manifest(
    "tensorrt",
    {"level": Levels((0.25, 0.5, 1.0), 1), "threshold": Threshold((0.5, float("inf")), 0)},
    (Decision("exit", "gate", ("take",), (), (Side(0, 0), Side(1024, 256))),),
    ({"level": 0, "threshold": [0.5, float("inf")]},),
    "float16",
)
ENGINE = Engine(
    flavor="tensorrt-rtx",
    version="1.7.1.116",
    chips=("sm89", "sm120"),
    precision="float16",
    inputs=(
        Binding("x", "float32", (-1, 3, 8, 8)),
        Binding("level", "int64", (), "host"),
        Binding("threshold", "float32", (2,)),
    ),
    outputs=(Binding("y", "bfloat16", (-1, 10)),),
    manifest=MANIFEST,
)
PLAN = b"ptrt" + bytes(range(256))


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    (tmp_path / "build").mkdir()
    path = tmp_path / "build" / "plan"
    path.write_bytes(PLAN)
    return path


@pytest.fixture
def engine(tmp_path: Path, plan: Path) -> Path:
    write_engine(tmp_path / "net.engine", plan, ENGINE)
    return tmp_path / "net.engine"


def refusal(call: Callable[..., object], *arguments: object) -> str:
    with pytest.raises(ArtifactError) as caught:
        call(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_is_written_is_read(tmp_path: Path, plan: Path) -> None:
    path = tmp_path / "net.engine"
    written = write_engine(path, plan, ENGINE)
    digest = hashlib.sha256(PLAN).hexdigest()
    assert written == dataclasses.replace(ENGINE, bytes=len(PLAN), sha256=digest)
    assert path.read_bytes() == PLAN
    assert read_engine(path) == written
    assert read_plan(path, written) == PLAN
    assert sorted(p.name for p in tmp_path.iterdir()) == ["build", "net.engine", "net.engine.json"]
    assert plan.read_bytes() == PLAN


def test_the_same_engine_is_written_the_same(tmp_path: Path, plan: Path, engine: Path) -> None:
    other = tmp_path / "other" / "name.engine"
    other.parent.mkdir()
    write_engine(other, plan, read_engine(engine))
    text = description_path(engine).read_bytes()
    assert description_path(other).read_bytes() == text
    assert str(tmp_path).encode() not in text
    entry = json.loads(text)
    assert entry["format"] == 1
    assert entry["manifest"]["operating_points"] == [{"level": 0, "threshold": [0.5, "inf"]}]


def test_weights_in_a_second_file_are_in_the_engine(tmp_path: Path, plan: Path) -> None:
    data = ExternalData("net.onnx.data", 4, "0" * 64)
    outer = dataclasses.replace(MANIFEST, external_data=data)
    path = tmp_path / "net.engine"
    write_engine(path, plan, dataclasses.replace(ENGINE, manifest=outer))
    assert read_engine(path).manifest == MANIFEST


def test_fields_of_the_future_are_ignored(engine: Path) -> None:
    expected = read_engine(engine)
    change(engine, lambda entry: entry.update(sparse=True))
    assert read_engine(engine) == expected


def change(engine: Path, how: Callable[[dict[str, Any]], object]) -> None:
    entry = json.loads(description_path(engine).read_text())
    how(entry)
    description_path(engine).write_text(json.dumps(entry))


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        pytest.param(lambda e: e.pop("version"), "version is missing", id="no version"),
        pytest.param(lambda e: e.pop("format"), "format is missing", id="no format"),
        pytest.param(lambda e: e.update(format=True), "format is bool, not int", id="format"),
        pytest.param(lambda e: e.update(flavor="trt"), "flavor is 'trt', not", id="flavor"),
        pytest.param(lambda e: e.update(flavor=[]), "flavor is list, not str", id="kind of flavor"),
        pytest.param(lambda e: e.update(chips="sm89"), "chips is str, not list", id="chips"),
        pytest.param(lambda e: e.update(chips=[89]), "a chip is int, not str", id="chip"),
        pytest.param(lambda e: e.update(bytes=0), "bytes is 0", id="bytes"),
        pytest.param(lambda e: e.update(sha256="ab"), "sha256 is 'ab'", id="sha256"),
        pytest.param(lambda e: e.update(inputs={}), "inputs is dict, not list", id="inputs"),
        pytest.param(
            lambda e: e["inputs"][0].update(shape=[1, "N"]), "a size of 'x' is str", id="size"
        ),
        pytest.param(
            lambda e: e["inputs"][0].update(shape=[-2]), "the shape of 'x' is [-2]", id="negative"
        ),
        pytest.param(
            lambda e: e["outputs"][0].update(location="disk"),
            "the location of 'y' is 'disk', not device or host",
            id="location",
        ),
        pytest.param(
            lambda e: e["outputs"][0].update(name="x"), "two inputs or outputs", id="one name twice"
        ),
        pytest.param(
            lambda e: e["inputs"].pop(1), "the knob 'level' is no input", id="a knob that is lost"
        ),
        pytest.param(lambda e: e.update(manifest=[]), "manifest is list, not dict", id="manifest"),
        pytest.param(lambda e: e["manifest"].pop("knobs"), "knobs is missing", id="in manifest"),
    ],
)
def test_a_damaged_description_is_refused(
    engine: Path, how: Callable[[dict[str, Any]], object], reason: str
) -> None:
    change(engine, how)
    problem = refusal(read_engine, engine)
    assert problem.startswith(f"{engine}.json: the ")
    assert f"is damaged: {reason}" in problem


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000],
    ids=["empty", "cut short", "list", "null", "no text", "deep"],
)
def test_what_is_no_description_is_refused(engine: Path, content: bytes) -> None:
    description_path(engine).write_bytes(content)
    assert "the description of the engine is damaged: " in refusal(read_engine, engine)


def test_every_cut_of_a_description_is_refused(engine: Path) -> None:
    text = description_path(engine).read_bytes()
    for length in range(0, len(text) - 2, 7):
        description_path(engine).write_bytes(text[:length])
        assert f"{engine}.json: " in refusal(read_engine, engine)


def test_a_newer_description_says_to_upgrade(engine: Path) -> None:
    change(engine, lambda entry: entry.update(format=2, inputs="another form"))
    assert refusal(read_engine, engine) == (
        f"{engine}.json: written by a newer dyncompile (format 2); this one reads up to 1."
        " Upgrade dyncompile."
    )


def test_a_pair_that_does_not_belong_together_is_refused(engine: Path) -> None:
    described = read_engine(engine)
    engine.write_bytes(PLAN[:-1])
    short = f"{engine}: it has 259 bytes; its description is of an engine of 260. Keep the two"
    assert refusal(read_engine, engine).startswith(short)
    assert refusal(read_plan, engine, described).startswith(short)
    engine.write_bytes(PLAN[::-1])
    other = f"{engine}: it is not the engine that its description is of: the digests differ."
    assert refusal(read_engine, engine).startswith(other)
    assert refusal(read_plan, engine, described).startswith(other)


@pytest.mark.parametrize("lost", ["engine", "description", "both"])
def test_a_file_that_is_missing(engine: Path, lost: str) -> None:
    if lost in {"engine", "both"}:
        engine.unlink()
    if lost in {"description", "both"}:
        description_path(engine).unlink()
    expected = (
        f"{engine}: its description 'net.engine.json' is missing. Keep the two files together"
        if lost == "description"
        else f"{engine}: cannot be read: No such file or directory."
    )
    assert refusal(read_engine, engine).startswith(expected)


@pytest.mark.parametrize("written", [0, 1], ids=["nothing", "one of the two"])
def test_a_disk_that_is_full_keeps_the_old_pair(
    engine: Path, plan: Path, written: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = read_engine(engine)
    plan.write_bytes(PLAN * 2)
    left = [None] * written

    def full(_: int) -> None:
        if not left:
            raise OSError(errno.ENOSPC, "No space left on device")
        left.pop()

    monkeypatch.setattr(os, "fsync", full)
    assert "cannot be written: No space left on device" in refusal(
        write_engine, engine, plan, ENGINE
    )
    monkeypatch.undo()
    assert read_engine(engine) == before
    assert len(list(engine.parent.iterdir())) == 3


@pytest.mark.parametrize(
    ("path", "problem"),
    [("no/net.engine", "the folder"), ("build", "this is not a file")],
    ids=["folder", "not a file"],
)
def test_places_that_cannot_be_written_to(
    tmp_path: Path, plan: Path, path: str, problem: str
) -> None:
    assert problem in refusal(write_engine, tmp_path / path, plan, ENGINE)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["build"]


def test_a_plan_that_is_missing_writes_nothing(tmp_path: Path) -> None:
    lost = tmp_path / "plan"
    problem = refusal(write_engine, tmp_path / "net.engine", lost, ENGINE)
    assert problem.startswith(f"{lost}: cannot be read")
    assert not list(tmp_path.iterdir())


def test_reading_needs_neither_onnx_nor_a_builder(engine: Path) -> None:
    program = f"""
import sys
from pathlib import Path
from dyncompile.engine_file import read_engine
read_engine(Path({str(engine)!r}))
names = {{name.partition(".")[0] for name in sys.modules}}
print(sorted(names & {{"torch", "onnx", "onnx_ir", "tensorrt_rtx", "cuda", "onnxruntime"}}))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=os.environ
    )
    assert done.stdout.strip() == "[]"
