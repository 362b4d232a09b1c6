"""C++ reads the manifests and descriptions that Python reads, and refuses the others so too."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dyncompile.engine_file import Engine, read_engine, read_plan
from dyncompile.errors import ArtifactError
from dyncompile.manifest import Manifest
from tests.cpp.probing import Probe
from tests.random_manifests import SPELLINGS, changed, damaged, engines, manifests, text_of

Damage = Callable[[Path], object]

READERS: dict[str, type[Manifest | Engine]] = {"manifest": Manifest, "engine": Engine}
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=10,
)


def in_python(name: str, text: bytes) -> dict[str, Any]:
    """What the probe would answer."""
    try:
        return {"ok": READERS[name].from_json(text, "net.file").to_json()}
    except ArtifactError as error:
        return {"error": parts_of(error)}


def parts_of(error: ArtifactError) -> dict[str, str]:
    found = {"kind": "ArtifactError", "problem": error.problem}
    return {**found, "where": error.where, "remedy": error.remedy}


def check(probe: Probe, name: str, text: bytes) -> bool:
    """Whether both read it; they agree."""
    expected = in_python(name, text)
    found = probe(name, text=text.hex(), where="net.file")
    if "ok" in expected and "ok" in found:
        expected, found = json.loads(expected["ok"]), json.loads(found["ok"])
        assert found == expected
        return True
    assert found == expected
    return False


@given(manifests(), st.booleans())
@settings(max_examples=60, deadline=None)
def test_a_manifest_is_read_and_written_alike(
    probe: Probe, entry: dict[str, Any], plain: bool
) -> None:
    assert check(probe, "manifest", text_of(entry, plain=plain))


@given(engines())
@settings(max_examples=30, deadline=None)
def test_a_description_is_read_and_written_alike(probe: Probe, entry: dict[str, Any]) -> None:
    assert check(probe, "engine", text_of(entry))


@given(changed(manifests()))
@settings(max_examples=150, deadline=None)
def test_a_changed_manifest_is_refused_alike(probe: Probe, text: bytes) -> None:
    check(probe, "manifest", text)


@given(changed(engines()))
@settings(max_examples=50, deadline=None)
def test_a_changed_description_is_refused_alike(probe: Probe, text: bytes) -> None:
    check(probe, "engine", text)


@given(damaged(manifests()))
@settings(max_examples=100, deadline=None)
def test_a_damaged_manifest_is_refused_alike(probe: Probe, text: bytes) -> None:
    check(probe, "manifest", text)


@given(st.one_of(st.binary(), ANYTHING.map(lambda value: json.dumps(value).encode())))
@settings(max_examples=80, deadline=None)
def test_what_is_no_manifest_is_refused_alike(probe: Probe, text: bytes) -> None:
    assert not check(probe, "manifest", text)


@pytest.mark.parametrize("opened", ["[", '{"a":', '{"format":1,"later":[', '{"format":2,"later":['])
@pytest.mark.parametrize("times", [63, 64, 65, 100_000])
def test_how_deep_a_text_may_be(probe: Probe, opened: str, times: int) -> None:
    close = {"[": "]", "{": "}"}
    tail = "".join(close[letter] for letter in reversed(opened) if letter in close)
    check(probe, "manifest", (opened * times + "0" + tail * times).encode())
    check(probe, "manifest", (opened[: opened.index(opened[-1])] + "[" * times).encode())


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("spelling", SPELLINGS, ids=[str(n) for n in range(len(SPELLINGS))])
def test_every_spelling_is_judged_alike(probe: Probe, name: str, spelling: str) -> None:
    for text in (spelling, f'{{"format":{spelling}}}', f'{{"format":2,"later":{spelling}}}'):
        check(probe, name, text.encode())


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    """An engine in a folder whose name is not ASCII, beside its description."""
    path = tmp_path / "größe 寸法" / "netz.engine"
    path.parent.mkdir()
    path.write_bytes(b"plan")
    manifest: dict[str, object] = {"format": 1, "target": "tensorrt", "precision": "float32"}
    manifest |= {"knobs": {}, "decisions": [], "operating_points": []}
    entry = {
        "format": 1,
        "flavor": "tensorrt",
        "version": "10",
        "chips": [],
        "precision": "float32",
    }
    entry |= {"inputs": [], "outputs": [], "bytes": 4, "manifest": manifest}
    entry["sha256"] = hashlib.sha256(b"plan").hexdigest()
    (path.parent / "netz.engine.json").write_bytes(text_of(entry))
    return path


def replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


# What happens to the engine, and to its description.
DAMAGES: dict[str, tuple[Damage | None, Damage | None]] = {
    "none": (None, None),
    "no engine": (Path.unlink, None),
    "no description": (None, Path.unlink),
    "neither": (Path.unlink, Path.unlink),
    "an empty engine": (lambda path: path.write_bytes(b""), None),
    "an engine cut short": (lambda path: path.write_bytes(b"pla"), None),
    "another engine": (lambda path: path.write_bytes(b"nalp"), None),
    "a folder": (replace_by_folder, None),
    "a folder beside it": (None, replace_by_folder),
    "no text beside it": (None, lambda path: path.write_bytes(b"\xff\xfe")),
    "a newer description": (None, lambda path: path.write_bytes(b'{"format": 7}')),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_files_are_opened_and_refused_alike(probe: Probe, engine: Path, damage: str) -> None:
    for change, path in zip(
        DAMAGES[damage], (engine, engine.with_name(f"{engine.name}.json")), strict=True
    ):
        if change:
            change(path)
    try:
        expected: dict[str, Any] = {"ok": len(read_plan(engine, read_engine(engine)))}
    except ArtifactError as error:
        expected = {"error": parts_of(error)}
    assert probe("engine", path=str(engine), plan=True) == expected
    assert ("ok" in expected) == (damage == "none")


@given(st.binary(max_size=300))
@settings(max_examples=60, deadline=None)
def test_digests_are_those_of_hashlib(probe: Probe, data: bytes) -> None:
    assert probe("digest", data=data.hex()) == {"ok": hashlib.sha256(data).hexdigest()}
