"""The adapter against the names of each package that it is made for."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from dyncompile.engine_file import Binding
from dyncompile.engines.adapter import (
    bindings,
    build_plan,
    configure,
    kept_timing_cache,
    parse,
)
from dyncompile.engines.messages import Messages
from dyncompile.engines.monitor import open_monitor
from dyncompile.engines.request import BuildRequest, Flavor, ShapeRange
from dyncompile.errors import TargetError
from tests.engines.graphs import DYNAMIC, GATE, SHAPE_INPUT, written
from tests.engines.stand_in import VERSIONS, dump, load

X = ShapeRange("x", (1, 4, 8, 8), (2, 4, 8, 8), (4, 4, 16, 16))
RTX = "tensorrt_rtx_1_7"
FULL = [version for version in VERSIONS if version != RTX]


def flavor(version: str) -> Flavor:
    return "tensorrt-rtx" if version == RTX else "tensorrt"


def build(api: Any, request: BuildRequest) -> tuple[dict[str, Any], Messages, bytes | None]:  # noqa: ANN401
    """Go the whole way; returns what the builder was asked for."""
    messages = Messages()
    parsed = parse(api, request, messages)
    told: list[object] = []
    monitor = open_monitor(api, lambda *step: told.append(step), told.append, threading.Event())
    config = configure(parsed, request, monitor)
    plan = build_plan(parsed, config, request)
    assert told[-1] == ("Building engine", 3, 3)
    asked: dict[str, Any] = json.loads(plan)
    return asked, messages, kept_timing_cache(config, request)


def request_for(version: str, text: str, folder: Path, **fields: Any) -> BuildRequest:  # noqa: ANN401
    return BuildRequest(flavor(version), written(text, folder), folder / "plan", **fields)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_network_is_built(version: str, tmp_path: Path) -> None:
    api = load(version)
    asked, messages, _ = build(api, request_for(version, GATE, tmp_path, memory=1000))
    assert asked["flags"] == 1 << int(api.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    assert asked["memory"] == ["WORKSPACE", 1000]
    assert asked["profile"] is None
    assert messages.warnings == ()


@pytest.mark.parametrize("version", VERSIONS)
def test_dynamic_sizes_and_shape_tensors_get_their_ranges(version: str, tmp_path: Path) -> None:
    sized, _, _ = build(load(version), request_for(version, DYNAMIC, tmp_path, ranges=(X,)))
    assert sized["profile"] == {"x": ["sizes", list(X.least), list(X.best), list(X.most)]}
    count = ShapeRange("count", (1,), (2,), (4,))
    valued, _, _ = build(
        load(version), request_for(version, SHAPE_INPUT, tmp_path, values=(count,))
    )
    assert valued["profile"] == {"count": ["values", [1], [2], [4]]}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("text", [DYNAMIC, SHAPE_INPUT], ids=["sizes", "values"])
def test_a_missing_range_is_refused(version: str, text: str, tmp_path: Path) -> None:
    with pytest.raises(TargetError, match=r"no range of its (sizes|values).*--shape"):
        build(load(version), request_for(version, text, tmp_path))


@pytest.mark.parametrize("version", VERSIONS)
def test_inputs_and_outputs_are_told_with_their_places(version: str, tmp_path: Path) -> None:
    request = request_for(version, SHAPE_INPUT, tmp_path)
    inputs, outputs = bindings(parse(load(version), request, Messages()))
    assert inputs[0] == Binding("x", "float32", (1, 4, 8, 8), "device")
    assert inputs[1] == Binding("count", "int64", (1,), "host")
    assert [output.name for output in outputs] == ["y"]


def test_rtx_builds_for_the_named_chips(tmp_path: Path) -> None:
    chips = ("sm89", "sm120")
    asked, _, _ = build(load(RTX), request_for(RTX, GATE, tmp_path, chips=chips))
    assert asked["chips"] == ["SM89", "SM120"]


@pytest.mark.parametrize("chip", ["sm13", "none"])
def test_a_chip_that_rtx_does_not_take_is_refused(chip: str, tmp_path: Path) -> None:
    with pytest.raises(TargetError, match=f"'{chip}': TensorRT for RTX .* does not build for it"):
        build(load(RTX), request_for(RTX, GATE, tmp_path, chips=(chip,)))


@pytest.mark.parametrize(
    ("version", "compatible"),
    [(RTX, None), *((version, "AMPERE_PLUS") for version in FULL)],
)
def test_a_plan_for_all_newer_chips_can_be_asked_for(
    version: str, compatible: str | None, tmp_path: Path
) -> None:
    request = request_for(version, GATE, tmp_path, chips=("sm80+",))
    asked, _, _ = build(load(version), request)
    assert (asked["chips"], asked["compatible"]) == ([], compatible)


@pytest.mark.parametrize("version", FULL)
def test_a_timing_cache_is_read_and_given_back(version: str, tmp_path: Path) -> None:
    cache = tmp_path / "times"
    request = request_for(version, GATE, tmp_path, timing_cache=cache)
    assert build(load(version), request)[2] == b"+"
    cache.write_bytes(b"old")
    assert build(load(version), request)[2] == b"old+"
    cache.write_bytes(b"foreign")
    _, messages, kept = build(load(version), request)
    assert kept == b"+"
    assert "begun anew" in messages.warnings[0]


def test_rtx_says_that_it_has_no_timing_cache(tmp_path: Path) -> None:
    request = request_for(RTX, GATE, tmp_path, timing_cache=tmp_path / "times")
    _, messages, kept = build(load(RTX), request)
    assert kept is None
    assert "no timing cache" in messages.warnings[0]


@pytest.mark.parametrize("version", VERSIONS)
def test_what_the_parser_refuses_is_told_with_its_node(version: str, tmp_path: Path) -> None:
    text = "g (float[2] x) => (float[2] y) { y = Softplus(x) }"
    with pytest.raises(
        TargetError, match=r"refuses .*No importer \(at Softplus 'softplus_y'\)\."
    ) as e:
        build(load(version), request_for(version, text, tmp_path))
    assert "cudaError" not in str(e.value)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        pytest.param("refuses", r"does not build .*Error Code 4: it is Monday\.", id="refused"),
        pytest.param("out of memory", "ran out of memory: .*fewer chips", id="out of memory"),
        pytest.param(
            "wrong channels",
            "warns of what would compute wrong numbers: conv: number of channels not equal",
            id="a warning that means wrong numbers",
        ),
    ],
)
@pytest.mark.parametrize("version", VERSIONS)
def test_a_failed_build_says_why(version: str, fault: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(TargetError, match=said):
        build(load(version, fault=fault), request_for(version, GATE, tmp_path))


def test_the_installed_package_has_the_names_listed_for_it() -> None:
    trt = pytest.importorskip("tensorrt_rtx")
    for name, members in dump(RTX)["classes"].items():
        missing = [member for member in members if not hasattr(getattr(trt, name), member)]
        assert not missing, name


@pytest.mark.parametrize("version", VERSIONS)
def test_every_package_has_the_names_that_are_looked_up_by_text(version: str) -> None:
    classes = dump(version)["classes"]
    kinds = {"CONDITION", "CONDITIONAL_INPUT", "CONDITIONAL_OUTPUT", "CONVOLUTION", "EINSUM"}
    kinds |= {"DECONVOLUTION", "MATRIX_MULTIPLY", "QUANTIZE", "DEQUANTIZE", "CONSTANT"}
    kinds |= {"ITERATOR", "RECURRENCE", "LOOP_OUTPUT"}
    assert kinds <= set(classes["LayerType"])
    assert {"FLOAT", "HALF", "BF16", "FP8", "INT64", "BOOL"} <= set(classes["DataType"])
    assert {"INTERNAL_ERROR", "ERROR", "WARNING"} <= set(classes["ILogger"])
    assert {"phase_start", "step_complete", "phase_finish"} == set(classes["IProgressMonitor"])
