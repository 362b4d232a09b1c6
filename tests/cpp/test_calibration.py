"""Latencies that Python keeps are read in C++, and the other way round."""

from __future__ import annotations

import copy
import json
import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dyncompile.errors import ArtifactError
from dyncompile.knobs import Knob, Levels, Threshold
from dyncompile.manifest import Manifest, OperatingPoint
from dyncompile.runtime.calibration import Calibration, Conditions, Latency, full_point
from tests.cpp.calls import number
from tests.cpp.probing import Probe
from tests.damaged_calibrations import damaged

EXAMPLES = settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
UNREADABLE = "no latencies that this version can read."

numbers = st.floats(-(2.0**99), 2.0**99, width=32) | st.sampled_from((math.inf, -math.inf, 0.1))
values = st.integers(-5, 2**40) | numbers | st.lists(numbers, max_size=3)
points: st.SearchStrategy[OperatingPoint] = st.dictionaries(
    st.sampled_from(("level", "t", "\u00e4 \\ \n", "")), values, max_size=3
)
times = st.floats(0, allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(exclude_categories=["Cs"]))
counts = st.integers(1, 2**63 - 1)
latencies = st.builds(Latency, points, times, times, times, counts, counts, st.booleans())
conditions = st.builds(
    Conditions,
    texts,
    st.integers(1, 999),
    texts,
    st.none() | st.integers(0, 99),
    st.lists(texts, max_size=2).map(tuple),
)
calibrations = st.builds(
    Calibration, conditions, points, st.lists(latencies, max_size=4).map(tuple), texts
)


def spelt(point: OperatingPoint) -> dict[str, object]:
    return {name: number(value) for name, value in point.items()}


def in_cpp(probe: Probe, text: str | bytes, **request: object) -> dict[str, Any]:
    content = text.encode() if isinstance(text, str) else text
    return probe("calibration", text=content.hex(), where="here", **request)


@EXAMPLES
@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=20), st.integers(1, 3000))
def test_times_are_summed_up_alike(probe: Probe, ms: list[float], count: int) -> None:
    for each in (np.array(ms), np.random.default_rng(count).exponential(ms[0], count)):
        one = Latency.of({}, each, samples=1, drawn=False)
        expected = [one.median_ms, one.mean_ms, one.p95_ms, one.calls]
        assert probe("calibration", ms=each.tolist()) == {"ok": expected}


@EXAMPLES
@given(st.lists(st.floats(width=32, allow_nan=False), min_size=2, max_size=2), st.booleans())
def test_full_points_have_the_same_numbers(probe: Probe, drawn: list[float], single: bool) -> None:
    knobs: dict[str, Knob] = {
        "level": Levels((1, 2)),
        "t": Threshold(drawn[0] if single else tuple(drawn)),
    }
    written = Manifest("onnx", knobs).to_json()
    given_points: list[OperatingPoint] = [{}, {"t": drawn[1]}, {"level": 0}]
    expected = [spelt(full_point(knobs, point)) for point in given_points]
    full = [spelt(point) for point in given_points]
    assert probe("calibration", manifest=written, full=full) == {"ok": expected}


@EXAMPLES
@given(calibrations)
def test_what_python_keeps_is_read_and_written(probe: Probe, known: Calibration) -> None:
    found = in_cpp(probe, known.to_json())
    assert "ok" in found, found
    assert Calibration.from_json(found["ok"]["text"], "here") == known


@EXAMPLES
@given(calibrations, calibrations)
def test_merging_gives_the_same(probe: Probe, known: Calibration, newer: Calibration) -> None:
    found = in_cpp(probe, known.to_json(), newer=newer.to_json().encode().hex())
    assert Calibration.from_json(found["ok"]["text"], "here") == known.merged(newer)


KNOWN = Calibration(
    Conditions("a processor", 4, "1.2.3", None, ("CPUExecutionProvider",)),
    {"level": 2, "t": [0.7, math.inf]},
    tuple(
        Latency({"level": 2, "t": [0.7, math.inf], **point}, 1.0, 2.0, 4.0, 3, 2, drawn=False)
        for point in ({}, {"level": 1}, {"t": [0.1, 0.1]})
    ),
    "2030-01-01",
)


@pytest.mark.parametrize(
    ("point", "number"),
    [
        pytest.param({}, 0, id="defaults"),
        pytest.param({"level": 2}, 0, id="one-knob-named"),
        pytest.param({"level": 1}, 1, id="another-level"),
        pytest.param({"t": float(np.float32(0.1))}, 2, id="one-number-for-a-vector"),
        pytest.param({"t": [0.1, 0.1]}, 2, id="a-vector"),
        pytest.param({"t": [0.1, 0.1, 0.1]}, None, id="a-longer-vector"),
        pytest.param({"level": 0}, None, id="not-measured"),
        pytest.param({"speed": 0}, None, id="unknown-knob"),
    ],
)
def test_a_latency_is_found_by_its_point(
    probe: Probe, point: OperatingPoint, number: int | None
) -> None:
    expected = None if number is None else KNOWN.latencies[number]
    assert KNOWN.at(point) is expected
    assert in_cpp(probe, KNOWN.to_json(), points=[point])["ok"]["at"] == [number]


# --- damage ----------------------------------------------------------------------------------


DAMAGED = damaged(KNOWN.to_json())


@pytest.mark.parametrize("text", DAMAGED.values(), ids=DAMAGED)
def test_what_is_damaged_or_newer_is_refused(probe: Probe, text: str) -> None:
    with pytest.raises(ArtifactError, match=f"here: {UNREADABLE}"):
        Calibration.from_json(text, "here")
    found = in_cpp(probe, text)["error"]
    assert found == {
        "kind": "ArtifactError",
        "problem": UNREADABLE,
        "where": "here",
        "remedy": "Measure them again.",
    }


JUNK: tuple[Any, ...] = (None, True, 0, -1, 2**62, 0.5, "x", "inf", [], [1], {}, {"t": 1}, [[1]])


def places(entry: object) -> list[tuple[Any, Any]]:
    """Return every container and key inside of JSON."""
    keys: list[Any] = []
    if isinstance(entry, dict):
        keys = list(entry)
    elif isinstance(entry, list):
        keys = list(range(len(entry)))
    found = [(entry, key) for key in keys]
    for key in keys:
        found += places(entry[key])  # type: ignore[index]
    return found


@st.composite
def damages(draw: st.DrawFn) -> bytes:
    """Draw a text with one field or byte that is not as it was."""
    entry = json.loads(draw(calibrations | st.just(KNOWN)).to_json())
    kind = draw(st.sampled_from(("value", "missing", "more", "byte")))
    container, key = draw(st.sampled_from(places(entry)))
    if kind == "value":
        container[key] = copy.deepcopy(draw(st.sampled_from(JUNK)))
    elif kind == "missing":
        del container[key]
    elif kind == "more":
        entry["another"] = container[key]
    text = bytearray(json.dumps(entry).encode())
    if kind == "byte":
        text[draw(st.integers(0, len(text) - 1))] = draw(st.integers(0, 255))
    return bytes(text)


def test_what_cpp_reads_python_reads_alike(probe: Probe) -> None:
    seen: Counter[str] = Counter()

    @EXAMPLES
    @given(damages())
    def check(text: bytes) -> None:
        answer = in_cpp(probe, text)
        if "ok" in answer:
            expected = Calibration.from_json(text.decode(), "here")
            assert Calibration.from_json(answer["ok"]["text"], "here") == expected
        else:
            with pytest.raises((ArtifactError, UnicodeDecodeError)):
                Calibration.from_json(text.decode(), "here")
            assert (answer["error"]["kind"], answer["error"]["problem"]) == (
                "ArtifactError",
                UNREADABLE,
            )
        seen["read" if "ok" in answer else "refused"] += 1

    check()
    assert min(seen["read"], seen["refused"]) > 5, seen
