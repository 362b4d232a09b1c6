from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

import dyncompile
from dyncompile.runtime.calibration import Calibration, Conditions
from dyncompile.runtime.session import Net
from tests.cpp.artifacts import CASES, Case
from tests.cpp.calls import array_from, request, spelt
from tests.cpp.probing import Probe

ONE_THREAD = {"threads": 1}


@dataclass(frozen=True)
class Exported:
    case: Case
    path: Path
    net: Net


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Exported]:
    folder = tmp_path_factory.mktemp("artifacts")
    made = {}
    for number, (name, case_of) in enumerate(CASES.items()):
        case = case_of()
        path = case.export(folder / f"net{number}.onnx")
        made[name] = Exported(case, path, dyncompile.load(path, threads=1))
    return made


def run(probe: Probe, path: Path, **given: object) -> dict[str, Any]:
    answer = probe("run", path=str(path), options=ONE_THREAD, **given)
    assert "ok" in answer, answer
    found: dict[str, Any] = answer["ok"]
    return found


def run_text(probe: Probe, path: Path, **given: object) -> str:
    answer = probe("run", path=str(path), options=ONE_THREAD, **given)
    assert isinstance(answer.get("ok"), str), answer
    return str(answer["ok"])


def error(probe: Probe, path: Path, **given: object) -> tuple[str, str]:
    answer = probe("run", **{"path": str(path), "options": ONE_THREAD, **given})
    assert "error" in answer, answer
    found = answer["error"]
    return found["kind"], f"{found['where']}: {found['problem']} {found['remedy']}"


def results(net: Net, feeds: Mapping[str, Any], point: Mapping[str, Any]) -> dict[str, Any]:
    found = net(**feeds, **point)
    return dict(zip(net.outputs, found if isinstance(found, tuple) else (found,), strict=True))


@pytest.mark.parametrize("name", CASES)
def test_gives_the_bytes_that_python_gives(
    name: str, exported: Mapping[str, Exported], probe: Probe
) -> None:
    it = exported[name]
    for point in it.case.points:
        for feeds in it.case.feeds():
            expected = results(it.net, feeds, point)
            found = run(probe, it.path, **request(feeds, point))
            assert list(found) == sorted(expected)
            for output, array in expected.items():
                assert found[output] == spelt(array), (point, output)


@pytest.mark.parametrize("name", CASES)
def test_writes_them_into_buffers_of_the_caller(
    name: str, exported: Mapping[str, Exported], probe: Probe
) -> None:
    it = exported[name]
    for point in it.case.points:
        feeds = it.case.feeds()[-1]
        expected = {output: spelt(array) for output, array in results(it.net, feeds, point).items()}
        assert run(probe, it.path, **request(feeds, point), buffers=expected) == expected
        last = dict([expected.popitem()])
        assert run(probe, it.path, **request(feeds, point), buffers=last) == last


def test_a_buffer_of_another_free_size_is_refused_with_both_shapes(
    probe: Probe, exported: Mapping[str, Exported]
) -> None:
    it = exported["a batch of any size"]
    buffers = {it.net.outputs[0]: spelt(np.zeros((9, 5), np.float32))}
    kind, said = error(probe, it.path, **request(it.case.feeds()[0], {}), buffers=buffers)
    assert kind == "InputError"
    assert "ONNX Runtime refuses this call: " in said
    assert "{9,5}" in said
    assert "{2,5}" in said
    assert said.endswith(". Check the inputs, and the shapes of the buffers.")


@pytest.mark.parametrize("name", CASES)
def test_says_what_python_says_of_it(
    name: str, exported: Mapping[str, Exported], probe: Probe
) -> None:
    it = exported[name]
    found = run(probe, it.path)
    assert [port for port, _ in found["inputs"]] == list(it.net.inputs)
    assert [port for port, _ in found["outputs"]] == list(it.net.outputs)
    assert found["knobs"] == list(it.net.knobs)
    assert found["points"] == len(it.net.operating_points)
    assert found["providers"] == list(it.net.providers)
    for port, text in found["inputs"]:  # the remedy has the port, spelt; a free size has its name
        with pytest.raises(dyncompile.errors.InputError) as caught:
            it.net(**{port: object()})
        assert text.replace("batch", "?") in caught.value.remedy.replace("batch", "?")


def test_traces_the_path_that_python_traces(exported: Mapping[str, Exported], probe: Probe) -> None:
    it = exported["telemetry"]
    seen = set()
    for point in it.case.points:
        for feeds in it.case.feeds():
            outputs, taken = it.net.trace(**feeds, **point)
            found = run(probe, it.path, **request(feeds, point), trace=True)
            assert found["taken"] == taken
            for output, array in zip(it.net.outputs, outputs, strict=True):
                assert found["outputs"][output] == spelt(array)
            seen |= set(taken.items())
    assert {("exit1", 1), ("exit1", 0), ("exit2", -1), ("effort", 0)} <= seen


def test_does_not_trace_without_telemetry(exported: Mapping[str, Exported], probe: Probe) -> None:
    it = exported["exits"]
    kind, text = error(probe, it.path, **request(it.case.feeds()[0], {}), trace=True)
    assert kind == "TargetError"
    assert text.endswith(
        "the artifact does not report its decisions. Export or build it with telemetry."
    )


X = np.zeros((1, 6), np.float32)
CALLS: dict[str, tuple[dict[str, Any], str]] = {
    "no input": (request({}, {}), "InputError: input 'x': not given. Give float32[1, 6]."),
    "an unknown input": (
        request({"x": X, "y": X}, {}),
        (
            "InputError: input 'y': the network has no such input. Its inputs are x; its knobs"
            " thresholds, level."
        ),
    ),
    "a knob among the inputs": (
        request({"x": X, "level": np.asarray(0)}, {}),
        (
            "InputError: input 'level': the network has no such input. Its inputs are x; its knobs"
            " thresholds, level."
        ),
    ),
    "another type": (
        request({"x": X.astype(np.float64)}, {}),
        "InputError: input 'x': float64[1, 6] does not fit. Give float32[1, 6].",
    ),
    "another shape": (
        request({"x": X[:, :5]}, {}),
        "InputError: input 'x': float32[1, 5] does not fit. Give float32[1, 6].",
    ),
    "another rank": (
        request({"x": X[0]}, {}),
        "InputError: input 'x': float32[6] does not fit. Give float32[1, 6].",
    ),
    "a negative size": (
        {"inputs": {"x": {"type": "float32", "shape": [-1, 6], "hex": ""}}},
        "InputError: input 'x': float32[-1, 6] does not fit. Give float32[1, 6].",
    ),
    "an unknown knob": (
        request({"x": X}, {"levels": 1}),
        "KnobError: knob 'levels': the network has no such knob. Its knobs are thresholds, level.",
    ),
    "a level beyond the last": (
        request({"x": X}, {"level": 2}),
        "KnobError: knob 'level': 2 is not a level. Give a whole number from 0 to 1.",
    ),
    "a negative level": (
        request({"x": X}, {"level": -1}),
        "KnobError: knob 'level': -1 is not a level. Give a whole number from 0 to 1.",
    ),
    "a level beyond 63 bits": (
        request({"x": X}, {"level": 2**64 - 1}),
        (
            "KnobError: knob 'level': 1.8446744073709552e+19 is not a level."
            " Give a whole number from 0 to 1."
        ),
    ),
    "a threshold for a level": (
        request({"x": X}, {"level": 0.5}),
        "KnobError: knob 'level': 0.5 is not a level. Give a whole number from 0 to 1.",
    ),
    "a threshold out of range": (
        request({"x": X}, {"thresholds": 1.5}),
        (
            "KnobError: knob 'thresholds': 1.5 is not a threshold."
            " Give 2 numbers from 0 to 1, or an infinity."
        ),
    ),
    "a threshold that is not a number": (
        request({"x": X}, {"thresholds": float("nan")}),
        (
            "KnobError: knob 'thresholds': nan is not a threshold."
            " Give 2 numbers from 0 to 1, or an infinity."
        ),
    ),
    "too many thresholds": (
        request({"x": X}, {"thresholds": [0.1, 0.2, 0.3]}),
        (
            "KnobError: knob 'thresholds': [0.1, 0.2, 0.3] is not a threshold."
            " Give 2 numbers from 0 to 1, or an infinity."
        ),
    ),
    "an unknown output": (
        {**request({"x": X}, {}), "buffers": {"z": spelt(X)}},
        "InputError: output 'z': the network has no such output. Its outputs are {outputs}.",
    ),
    "a buffer of another type": (
        {**request({"x": X}, {}), "buffers": {"{0}": spelt(X.astype(np.float16))}},
        "InputError: output '{0}': float16[1, 6] does not fit. Give float32[1, 6].",
    ),
    "a buffer of another shape": (
        {**request({"x": X}, {}), "buffers": {"{0}": spelt(X[:, :3])}},
        "InputError: output '{0}': float32[1, 3] does not fit. Give float32[1, 6].",
    ),
    "no buffer": (
        {**request({"x": X}, {}), "buffers": {}},
        "InputError: outputs: no output is wanted. Name {outputs}.",
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_refuses_in_one_line(name: str, exported: Mapping[str, Exported], probe: Probe) -> None:
    it = exported["exits"]
    given, expected = CALLS[name]
    given = json.loads(json.dumps(given).replace("{0}", it.net.outputs[0]))
    kind, text = error(probe, it.path, **given)
    outputs = ", ".join(it.net.outputs)
    filled = expected.replace("{0}", it.net.outputs[0]).replace("{outputs}", outputs)
    assert f"{kind}: {text}" == filled


def test_runs_after_a_refusal(exported: Mapping[str, Exported], probe: Probe) -> None:
    it = exported["exits"]
    error(probe, it.path, **request({"x": X}, {"level": 7}))
    feeds = it.case.feeds()[0]
    found = run(probe, it.path, **request(feeds, {}))
    for output, array in results(it.net, feeds, {}).items():
        np.testing.assert_array_equal(array_from(found[output]), array)


def test_refuses_a_file_that_is_not_there(tmp_path: Path, probe: Probe) -> None:
    path = tmp_path / "nöt.onnx"
    kind, text = error(probe, path)
    assert (kind, text) == (
        "ArtifactError",
        f"{path}: cannot be read: No such file or directory. Check the name of the file.",
    )
    assert error(probe, tmp_path)[1].startswith(f"{tmp_path}: cannot be read: Is a directory.")


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.99])
def test_refuses_a_file_cut_short(
    share: float, tmp_path: Path, exported: Mapping[str, Exported], probe: Probe
) -> None:
    content = exported["exits"].path.read_bytes()
    path = tmp_path / "short.onnx"
    path.write_bytes(content[: int(len(content) * share)])
    kind, text = error(probe, path)
    assert kind == "ArtifactError"
    assert text.startswith(f"{path}: ")
    assert text.endswith(("Copy or export it again.", "use ONNX Runtime directly."))


def test_refuses_a_second_file_that_is_missing_or_short(
    tmp_path: Path, exported: Mapping[str, Exported], probe: Probe
) -> None:
    source = exported["weights in a second file"].path
    path = tmp_path / source.name
    shutil.copy(source, path)
    assert error(probe, path)[0] == "ArtifactError"
    data = source.with_name(f"{source.name}.data").read_bytes()
    (tmp_path / f"{source.name}.data").write_bytes(data + bytes(1))
    assert error(probe, path)[1] == (
        f"{path}: its weights file '{source.name}.data' should have {len(data)} bytes."
        " Keep the two files together, or export the network again."
    )


def test_refuses_a_provider_that_is_not_there(
    exported: Mapping[str, Exported], probe: Probe
) -> None:
    wanted = {"providers": {"CUDAExecutionProvider": {"device_id": "0"}}}
    path = exported["gate"].path
    kind, text = error(probe, path, options=wanted)
    assert kind == "TargetError"
    assert text.startswith("providers: CUDAExecutionProvider cannot be used here.")
    assert "CPUExecutionProvider" in text
    found = probe("run", path=str(path), options={**wanted, "fallback": True})["ok"]
    assert found["providers"] == ["CPUExecutionProvider"]
    assert found["warnings"] == [
        f"{path}: CUDAExecutionProvider cannot be used here; going on without."
    ]


def test_refuses_no_threads(exported: Mapping[str, Exported], probe: Probe) -> None:
    kind, text = error(probe, exported["gate"].path, options={"threads": 0})
    assert (kind, text) == (
        "InputError",
        "threads: 0 is not a number of threads. Give 1 or more.",
    )


def test_takes_providers_by_the_names_they_have(
    exported: Mapping[str, Exported], probe: Probe
) -> None:
    available = onnxruntime.get_available_providers()
    it = exported["gate"]
    for name in available:
        found = probe("run", path=str(it.path), options={"providers": {name: {}}})
        assert "ok" in found, found
        assert name in found["ok"]["providers"]


def test_is_measured_and_governed(exported: Mapping[str, Exported], probe: Probe) -> None:
    it = exported["switch"]
    text = run_text(probe, it.path, calibrate=0.05)
    measured = Calibration.from_json(text, "here")
    assert measured.conditions == Conditions.here(
        f"ONNX Runtime {onnxruntime.__version__}", 1, ("CPUExecutionProvider",)
    )
    assert [latency.point for latency in measured.latencies] == list(it.net.operating_points)
    feeds = it.case.feeds()[0]
    given = request(feeds, {})
    generous = run(probe, it.path, **given, within={"ms": 1e9, "calibration": text})
    assert generous["fits"]
    level = generous["levels"]
    for output, array in results(it.net, feeds, level).items():
        assert generous["outputs"][output] == spelt(array)
    hopeless = run(probe, it.path, **given, within={"ms": 1e-9, "calibration": text})
    assert not hopeless["fits"]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        pytest.param({"processor": "abacus"}, "measured with processor abacus; here ", id="cpu"),
        pytest.param({"cores": 4096}, "measured with cores 4096; here ", id="cores"),
        pytest.param({"runtime": "ONNX Runtime 1.0"}, "measured with runtime ", id="runtime"),
        pytest.param(
            {"threads": None},
            "measured with threads as many as ONNX Runtime takes; here 1.",
            id="threads",
        ),
        pytest.param({"providers": []}, "measured with providers ; here CPU", id="providers"),
    ],
)
def test_refuses_latencies_of_other_conditions(
    changed: Mapping[str, object], said: str, exported: Mapping[str, Exported], probe: Probe
) -> None:
    it = exported["switch"]
    entry = json.loads(run_text(probe, it.path, calibrate=0.01))
    entry["conditions"] |= changed
    within = {"ms": 1.0, "calibration": json.dumps(entry)}
    kind, text = error(probe, it.path, **request(it.case.feeds()[0], {}), within=within)
    assert kind == "InputError"
    assert text.startswith(f"calibration: {said}")
    assert text.endswith("Measure it here, with calibrate.")


def test_refuses_latencies_of_another_artifact(
    exported: Mapping[str, Exported], probe: Probe
) -> None:
    it, other = exported["channel_budget, a switch"], exported["channel_budget, a chain"]
    within = {"ms": 1.0, "calibration": run_text(probe, other.path, calibrate=0.01)}
    assert error(probe, it.path, **request(it.case.feeds()[0], {}), within=within) == (
        "InputError",
        "calibration: measured of another artifact. Measure this one, with calibrate.",
    )


def test_does_not_measure_a_file_that_has_changed(
    tmp_path: Path, exported: Mapping[str, Exported], probe: Probe
) -> None:
    path = tmp_path / "net.onnx"
    shutil.copy(exported["gate"].path, path)
    run(probe, path)
    path.write_bytes(exported["switch"].path.read_bytes())
    assert error(probe, path, calibrate=0.01) == (
        "ArtifactError",
        f"{path}: the file has changed since it was loaded. Load it again.",
    )


def test_refuses_memory_of_a_gpu_on_the_cpu(exported: Mapping[str, Exported], probe: Probe) -> None:
    it = exported["gate"]
    feeds = {name: {**spelt(array), "gpu": 0} for name, array in it.case.feeds()[0].items()}
    kind, text = error(probe, it.path, inputs=feeds)
    assert (kind, text) == (
        "InputError",
        (
            "input 'x': memory of a GPU, and the network runs with CPUExecutionProvider."
            " Give memory of the host, or load the network with CUDAExecutionProvider."
        ),
    )
