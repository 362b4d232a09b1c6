import dataclasses
import json
import os
import re
import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dyncompile import artifact, dialect
from dyncompile.errors import ArtifactError
from dyncompile.knobs import Levels, Threshold
from dyncompile.manifest import Barrier, Budgets, Decision, ExternalData, Manifest, Side
from tests.lowered import NESTED_MANIFEST, SWITCH_MANIFEST, nested, switched
from tests.support import ort_run, parse

MANIFEST = Manifest(
    "onnx",
    {"t": Threshold((0.5, 0.9), 0, 1), "level": Levels((0.25, "full"))},
    (
        Decision("exit", "gate", ("a", "b"), (), (Side(1, 2), Side(3, 4))),
        Decision(
            "width",
            "switch",
            ("level",),
            (("exit", 0),),
            (Side(0, 0), Side(9, 9)),
            (("depth", (1, 0)),),
        ),
    ),
    ({"t": [0.5, float("inf")], "level": 1},),
)
BUDGETS = (
    Budgets("width", 4, "switch", "it is faster.", (Barrier("softmax", "it mixes channels"),)),
    Budgets("depth", 2, "slice", "it is smaller."),
    Budgets("other", 1),
)


def error_of(call: Callable[[], object]) -> str:
    """Return what an ArtifactError says, or nothing."""
    try:
        call()
    except ArtifactError as error:
        return str(error)
    return ""


def weighted() -> ir.Model:
    model = parse("main (float[8,64] x) => (float[8,64] y) { y = MatMul (x, w) }")
    rng = np.random.default_rng(0)
    (node,) = model.graph
    for name in ("w", "again"):
        value = ir.Value(
            name=name, const_value=ir.tensor(rng.normal(size=(64, 64)).astype(np.float32))
        )
        value.dtype, value.shape = ir.DataType.FLOAT, ir.Shape([64, 64])
        model.graph.register_initializer(value)
    node.replace_input_with(1, model.graph.initializers["w"])
    return model


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    artifact.write(nested(), NESTED_MANIFEST, tmp_path / "net.onnx")
    model, manifest = artifact.read(tmp_path / "net.onnx")
    assert manifest == NESTED_MANIFEST
    feeds = {"x": np.ones((1, 4), np.float32), "threshold": np.asarray(np.float32(0.5))}
    np.testing.assert_array_equal(ort_run(model, feeds)[0], ort_run(nested(), feeds)[0])
    tags = [node.metadata_props for node in model.graph.all_nodes() if node.metadata_props]
    assert {tag["dyncompile.decision"] for tag in tags} == {"outer", "inner", "exit", "deep"}
    assert os.listdir(tmp_path) == ["net.onnx"]  # noqa: PTH208


@pytest.mark.parametrize("external", [False, True])
def test_the_same_input_gives_the_same_bytes(tmp_path: Path, external: bool) -> None:
    plain, noted = weighted(), weighted()
    noted.producer_name, noted.producer_version, noted.doc_string = "torch", "2.13", "today"
    noted.graph.doc_string = "host"
    noted.metadata_props["pkg.torch.export"] = "/home/someone"
    for node in noted.graph:
        node.doc_string = "model.py:12"
        node.metadata_props["pkg.torch.onnx.stack_trace"] = "/home/someone/model.py"
        node.metadata_props["namespace"] = "root/layer"
        node.outputs[0].metadata_props["pkg.torch.onnx.name"] = "fx"
    for name, model in (("a", plain), ("b", noted)):
        (tmp_path / name).mkdir()
        artifact.write(model, MANIFEST, tmp_path / name / "net.onnx", external_data=external)
    files = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert files == (["net.onnx", "net.onnx.data"] if external else ["net.onnx"])
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    again, manifest = artifact.read(tmp_path / "a" / "net.onnx")
    assert manifest is not None
    artifact.write(again, manifest, tmp_path / "net.onnx", external_data=external)
    assert (tmp_path / "net.onnx").read_bytes() == (tmp_path / "a" / "net.onnx").read_bytes()
    assert noted.producer_name == "torch", "the model itself is left alone"


def test_weights_in_a_second_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    monkeypatch.chdir(tmp_path)
    model = weighted()
    artifact.write(model, MANIFEST, Path("out/net.onnx"), external_data=True)
    assert isinstance(model.graph.initializers["w"].const_value, ir.Tensor)
    read, manifest = artifact.read(Path("out/net.onnx"))
    assert manifest is not None
    assert manifest.external_data is not None
    assert manifest.external_data.file == "net.onnx.data"
    assert manifest.external_data.bytes == (folder / "net.onnx.data").stat().st_size
    assert (folder / "net.onnx").stat().st_size < 5000
    monkeypatch.chdir(folder)
    for name, value in weighted().graph.initializers.items():
        weight = read.graph.initializers[name].const_value
        assert weight is not None
        assert value.const_value is not None
        np.testing.assert_array_equal(weight.numpy(), value.const_value.numpy())
    artifact.write(read, manifest, folder / "one.onnx")
    shutil.rmtree(folder / "net.onnx.data", ignore_errors=True)
    _, alone = artifact.read(folder / "one.onnx")
    assert alone == MANIFEST


def test_a_weight_of_several_graphs_is_stored_once(tmp_path: Path) -> None:
    model = weighted()
    initializers = model.graph.initializers
    initializers["again"].const_value = initializers["w"].const_value
    artifact.write(model, MANIFEST, tmp_path / "net.onnx", external_data=True)
    assert (tmp_path / "net.onnx.data").stat().st_size == 64 * 64 * 4


def test_sizes_stay_where_shape_inference_reads_them(tmp_path: Path) -> None:
    model = parse(
        f"""main (float[200] x) => (float[1] y) <int64[200] sizes = {{{", ".join("1" * 200)}}}> {{
            {", ".join(f"part{n}" for n in range(200))} = Split <axis = 0> (x, sizes)
            y = Add (part0, part199)
        }}"""
    )
    artifact.write(model, MANIFEST, tmp_path / "net.onnx", external_data=True)
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx")
    (y,) = session.run(None, {"x": np.arange(200, dtype=np.float32)})
    assert y == 199


def test_large_weights_go_to_a_second_file_by_themselves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(artifact, "_EXTERNAL_FROM_BYTES", 20_000)
    artifact.write(weighted(), MANIFEST, tmp_path / "net.onnx")
    assert (tmp_path / "net.onnx.data").exists()


def test_of_the_notes_of_a_foreign_file_those_of_exporters_go(tmp_path: Path) -> None:
    model = weighted()
    model.producer_name, model.doc_string = "elsewhere", "whole"
    node = next(iter(model.graph))
    node.doc_string = "one node"
    node.metadata_props.update({"pkg.torch.onnx.stack_trace": "File /home/me/net.py", "own": "1"})
    artifact.write(model, MANIFEST, tmp_path / "net.onnx", keep_notes=True)
    read, _ = artifact.read(tmp_path / "net.onnx")
    assert (read.producer_name, read.doc_string) == ("elsewhere", "whole")
    node = next(iter(read.graph))
    assert (node.doc_string, node.metadata_props) == ("one node", {"own": "1"})


# --- nothing half-written --------------------------------------------------------------------


@contextmanager
def disk_of(size: int) -> Iterator[None]:
    """Let no file grow beyond ``size`` bytes, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("external", [False, True])
@pytest.mark.parametrize("existed", [False, True])
def test_a_full_disk_leaves_what_was_there(tmp_path: Path, external: bool, existed: bool) -> None:
    path = tmp_path / "net.onnx"
    if existed:
        artifact.write(weighted(), MANIFEST, path, external_data=external)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    with disk_of(10_000), pytest.raises(ArtifactError, match=r"net\.onnx.*cannot be written"):
        artifact.write(weighted(), Manifest("marked"), path, external_data=external)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_an_interrupted_write_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        artifact.write(weighted(), MANIFEST, tmp_path / "net.onnx", external_data=True)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("place", "problem"),
    [
        pytest.param("missing/net.onnx", "folder .*missing.* does not exist", id="no folder"),
        pytest.param("file/net.onnx", "folder .*file.* does not exist", id="in a file"),
        pytest.param("folder", "this is not a file", id="a folder"),
    ],
)
def test_places_that_cannot_be_written(tmp_path: Path, place: str, problem: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(ArtifactError, match=problem) as caught:
        artifact.write(weighted(), MANIFEST, tmp_path / place)
    assert "\n" not in str(caught.value)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["file", "folder"]


def test_a_read_only_folder_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Path.open

    def refuse(path: Path, *args: Any, **options: Any) -> object:  # noqa: ANN401
        if path.parent == tmp_path:
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *args, **options)

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ArtifactError, match="cannot be written: Permission denied"):
        artifact.write(weighted(), MANIFEST, tmp_path / "net.onnx")


# --- damaged files ---------------------------------------------------------------------------


def test_a_foreign_file_has_no_manifest(tmp_path: Path) -> None:
    onnx.save(ir.to_proto(weighted()), tmp_path / "net.onnx")
    model, manifest = artifact.read(tmp_path / "net.onnx")
    assert manifest is None
    assert set(model.graph.initializers) == {"w", "again"}


def test_a_file_cut_short_anywhere_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    artifact.write(switched(), SWITCH_MANIFEST, path)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(ArtifactError, match=r"net\.onnx: "):
            artifact.read(path)


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04 not a model", b"\x00" * 100, b"{}", b"x" * 1000]
)
def test_what_is_no_onnx_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match="not an ONNX file"):
        artifact.read(path)


def test_an_engine_is_not_read_as_a_network(tmp_path: Path) -> None:
    path = tmp_path / "net.engine"
    path.write_bytes(b"ftrt and so on")
    with pytest.raises(ArtifactError, match=r"an engine, .* Give the ONNX file or the module"):
        artifact.read(path)


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_a_damaged_file_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("damaged") / "net.onnx"
    artifact.write(nested(), NESTED_MANIFEST, path)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(content))
    assert "\n" not in error_of(lambda: artifact.read(path))


@pytest.mark.parametrize("name", ["missing.onnx", "."])
def test_what_cannot_be_read_is_an_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(ArtifactError, match="cannot be read"):
        artifact.read(tmp_path / name)


def flip_a_byte(data: Path) -> None:
    content = bytearray(data.read_bytes())
    content[7] ^= 1
    data.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        pytest.param(Path.unlink, "is missing", id="missing"),
        pytest.param(lambda data: data.write_bytes(b"short"), "is too short", id="short"),
        pytest.param(flip_a_byte, "is not the one written with it", id="another"),
    ],
)
def test_a_weights_file_that_does_not_belong_is_refused(
    tmp_path: Path, damage: Callable[[Path], object], problem: str
) -> None:
    artifact.write(weighted(), MANIFEST, tmp_path / "net.onnx", external_data=True)
    damage(tmp_path / "net.onnx.data")
    with pytest.raises(ArtifactError, match=f"weights file 'net.onnx.data' {problem}"):
        artifact.read(tmp_path / "net.onnx")


def test_weights_outside_of_the_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    artifact.write(weighted(), MANIFEST, tmp_path / "in" / "net.onnx", external_data=True)
    (tmp_path / "in" / "net.onnx.data").rename(tmp_path / "stolen")
    proto = onnx.load(tmp_path / "in" / "net.onnx", load_external_data=False)
    for tensor in proto.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = "../stolen"
    (tmp_path / "in" / "net.onnx").write_bytes(proto.SerializeToString())
    with pytest.raises(ArtifactError, match="lies outside its folder"):
        artifact.read(tmp_path / "in" / "net.onnx")


# --- the manifest ----------------------------------------------------------------------------


def test_the_manifest_survives_json() -> None:
    text = MANIFEST.to_json()
    assert Manifest.from_json(text, "net.onnx") == Manifest.from_json(text, "other")
    assert Manifest.from_json(text, "net.onnx") == MANIFEST
    assert text == json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"))


def test_budgets_survive_json_and_are_left_out_where_there_are_none() -> None:
    assert "budgets" not in json.loads(MANIFEST.to_json())
    with_budgets = dataclasses.replace(MANIFEST, budgets=BUDGETS)
    text = with_budgets.to_json()
    assert Manifest.from_json(text, "net.onnx") == with_budgets
    assert json.loads(text)["budgets"][2] == {"decision": "other", "levels": 1}


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        pytest.param({"levels": 0}, "the budgets on 'width' have no level", id="no level"),
        pytest.param({"lowering": "mask"}, "is 'mask', not switch or slice", id="lowering"),
        pytest.param({"barriers": [{"at": "n"}]}, "why is missing", id="barrier"),
        pytest.param({"why": 3}, "why of the budgets on 'width' is int, not str", id="why"),
    ],
)
def test_damaged_budgets_are_refused_in_one_line(damage: dict[str, object], problem: str) -> None:
    entry = json.loads(dataclasses.replace(MANIFEST, budgets=BUDGETS).to_json())
    entry["budgets"][0] |= damage
    error = error_of(lambda: Manifest.from_json(json.dumps(entry), "net.onnx"))
    assert error.startswith("net.onnx: the manifest is damaged: ")
    assert problem in error
    assert "\n" not in error


def test_the_raw_note_of_budgets_does_not_reach_the_file(tmp_path: Path) -> None:
    model = nested()
    model.metadata_props[dialect.BUDGETS] = "[]"
    artifact.write(model, NESTED_MANIFEST, tmp_path / "net.onnx")
    keys = {entry.key for entry in onnx.load(tmp_path / "net.onnx").metadata_props}
    assert keys == {"dyncompile"}


def test_a_newer_manifest_says_to_upgrade() -> None:
    with pytest.raises(ArtifactError) as caught:
        Manifest.from_json('{"format": 2, "target": "quantum"}', "net.onnx")
    assert str(caught.value) == (
        "net.onnx: written by a newer dyncompile (format 2); this one reads up to 1."
        " Upgrade dyncompile."
    )


def test_a_field_of_a_later_version_is_ignored() -> None:
    entry = json.loads(MANIFEST.to_json())
    assert Manifest.from_json(json.dumps({**entry, "colour": "blue"}), "x") == MANIFEST


def places(entry: object, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a JSON document."""
    yield at
    if isinstance(entry, list):
        entry = dict(enumerate(entry))
    if isinstance(entry, dict):
        for key, child in entry.items():
            yield from places(child, (*at, key))


def replaced(entry: Any, at: tuple[Any, ...], value: object) -> Any:  # noqa: ANN401
    if not at:
        return value
    copy = dict(entry) if isinstance(entry, dict) else list(entry)
    copy[at[0]] = replaced(entry[at[0]], at[1:], value)
    return copy


WRONG: list[Any] = [None, True, -1, 1.5, 10**400, float("nan"), "", "inf", [], {}, [[]]]
WRONG += [{"kind": "levels", "values": [{}], "default": 0}, [["x", "y"]], [1]]


def test_wrong_types_anywhere_are_refused_in_one_line() -> None:
    full = dataclasses.replace(
        MANIFEST, external_data=ExternalData("a.data", 1, "0" * 64), budgets=BUDGETS
    )
    entry = json.loads(full.to_json())
    refused = 0
    for at in places(entry):
        for value in WRONG:
            text = json.dumps(replaced(entry, at, value))
            if error := error_of(partial(Manifest.from_json, text, "net.onnx")):
                refused += 1
                assert error.startswith("net.onnx: ")
                assert "\n" not in error
    assert refused > 500


def test_a_missing_field_is_named() -> None:
    entry = json.loads(MANIFEST.to_json())
    for field in entry:
        rest = {key: value for key, value in entry.items() if key != field}
        with pytest.raises(ArtifactError, match=f"{field} is missing"):
            Manifest.from_json(json.dumps(rest), "net.onnx")


@pytest.mark.parametrize(
    "text", ["", "[]", "null", "{", "[" * 100_000, '{"format": "1"}', '{"format": true}']
)
def test_what_is_no_manifest_is_refused(text: str) -> None:
    with pytest.raises(ArtifactError, match="the manifest is damaged"):
        Manifest.from_json(text, "net.onnx")


@pytest.mark.parametrize("name", ["../a", "/etc/passwd", "a/b", "", "..", "C:x", "a\\b"])
def test_a_weights_file_elsewhere_is_refused(name: str) -> None:
    entry = json.loads(MANIFEST.to_json())
    entry["external_data"] = {"file": name, "bytes": 1, "sha256": "0" * 64}
    with pytest.raises(ArtifactError, match="no file of the same folder"):
        Manifest.from_json(json.dumps(entry), "net.onnx")


def test_a_value_that_nothing_computes_is_refused(tmp_path: Path) -> None:
    proto = ir.to_proto(weighted())
    proto.graph.node[0].input[1] = "gone"
    onnx.save(proto, tmp_path / "net.onnx")
    with pytest.raises(ArtifactError, match="the graph reads 'gone', which nothing computes"):
        artifact.read(tmp_path / "net.onnx")


def test_stock_onnxruntime_runs_a_file_as_the_manual_says(tmp_path: Path) -> None:
    text = (Path(__file__).parents[1] / "docs" / "artifact.md").read_text(encoding="utf-8")
    (snippet,) = re.findall(r"```python\n(session = onnxruntime.*?)```", text, re.DOTALL)
    graph = "main (float[2] x, float threshold) => (bool[2] y) { y = Greater (x, threshold) }"
    artifact.write(
        parse(graph), Manifest("onnx", {"threshold": Threshold(0.5)}), tmp_path / "net.onnx"
    )
    create, call = snippet.replace("net.onnx", str(tmp_path / "net.onnx")).splitlines()
    names: dict[str, Any] = {"onnxruntime": onnxruntime, "np": np, "x": np.ones(2, np.float32)}
    exec(create, names)
    (output,) = eval(call, names)
    assert output.tolist() == [True, True]
