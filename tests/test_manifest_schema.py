"""The JSON Schemas and the readers in Python say the same of a text."""

from __future__ import annotations

import json
import re
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from dyncompile.engine_file import Engine
from dyncompile.errors import ArtifactError
from dyncompile.json_fields import parse
from dyncompile.manifest import Manifest
from tests.random_manifests import changed, damaged, engines, manifests, text_of

SCHEMAS = resources.files("dyncompile") / "schemas"
NAMES = ("manifest", "engine")
READERS: dict[str, type[Manifest | Engine]] = {"manifest": Manifest, "engine": Engine}

# What docs/manifest.md lists under "What the schemas do not say".
BEYOND_SCHEMAS = re.compile(
    "is float, not int"
    "|at an operating point is (str, not int|list, not int|-?\\d+|out of range)"
    "|is out of range|range of .* is empty|; it has [1-9]\\d* levels"
    "|which is not a knob|two decisions have one name|which is unknown|do not match its sides"
    "|telemetry (reports|does not report)"
    "|two inputs or outputs have one name|is no input",
    re.DOTALL,
)


def schema(name: str) -> dict[str, Any]:
    text = (SCHEMAS / f"{name}.schema.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


REGISTRY: Registry[Any] = Registry().with_resources(
    (f"{name}.schema.json", Resource.from_contents(schema(name))) for name in NAMES
)
VALIDATORS = {name: Draft202012Validator(schema(name), registry=REGISTRY) for name in NAMES}


PAGE = (Path(__file__).parents[1] / "docs" / "manifest.md").read_text(encoding="utf-8")


def fields_of(found: object) -> set[str]:
    """All fields that a schema speaks of."""
    if isinstance(found, list):
        return set().union(*map(fields_of, found))
    if not isinstance(found, dict):
        return set()
    return set(found.get("properties", ())).union(*map(fields_of, found.values()))


def problem_of(name: str, text: bytes) -> str:
    """What the reader has against the text; nothing if it reads it."""
    try:
        READERS[name].from_json(text, "file")
    except ArtifactError as error:
        return error.problem
    return ""


def check(name: str, text: bytes) -> None:
    problem = problem_of(name, text)
    assert "\n" not in problem
    try:
        entry = parse(text)
    except ValueError:
        assert problem
        return
    if VALIDATORS[name].is_valid(entry):
        assert not problem or BEYOND_SCHEMAS.search(problem), problem
    else:
        assert problem, next(VALIDATORS[name].iter_errors(entry))


@pytest.mark.parametrize("name", NAMES)
def test_the_schemas_are_schemas(name: str) -> None:
    Draft202012Validator.check_schema(schema(name))


def test_the_examples_of_the_page_fit_and_are_read() -> None:
    manifest, engine = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    VALIDATORS["manifest"].validate(json.loads(manifest))
    VALIDATORS["engine"].validate(json.loads(engine))
    read = Manifest.from_json(manifest, "page")
    assert json.loads(read.to_json()) == json.loads(manifest)
    description = Engine.from_json(engine, "page")
    assert json.loads(description.to_json()) == json.loads(engine)


@pytest.mark.parametrize("name", NAMES)
def test_the_page_names_every_field(name: str) -> None:
    missing = {field for field in fields_of(schema(name)) if f"`{field}`" not in PAGE}
    assert not missing


@given(manifests(), st.booleans())
@settings(max_examples=60, deadline=None)
def test_what_fits_the_manifest_is_read_and_written(entry: dict[str, Any], plain: bool) -> None:
    VALIDATORS["manifest"].validate(entry)
    read = Manifest.from_json(text_of(entry, plain=plain), "file")
    VALIDATORS["manifest"].validate(json.loads(read.to_json()))
    assert Manifest.from_json(read.to_json(), "file") == read


@given(engines())
@settings(max_examples=30, deadline=None)
def test_what_fits_the_description_is_read_and_written(entry: dict[str, Any]) -> None:
    VALIDATORS["engine"].validate(entry)
    read = Engine.from_json(text_of(entry), "file")
    VALIDATORS["engine"].validate(json.loads(read.to_json()))
    assert Engine.from_json(read.to_json(), "file") == read


@given(changed(manifests()))
@settings(max_examples=150, deadline=None)
def test_schema_and_reader_refuse_the_same_manifests(text: bytes) -> None:
    check("manifest", text)


@given(changed(engines()))
@settings(max_examples=60, deadline=None)
def test_schema_and_reader_refuse_the_same_descriptions(text: bytes) -> None:
    check("engine", text)


@given(damaged(manifests()))
@settings(max_examples=40, deadline=None)
def test_a_damaged_text_is_refused_by_both_or_none(text: bytes) -> None:
    check("manifest", text)
