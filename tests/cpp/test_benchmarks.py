"""The programs that figures come from: they run, and time nothing that is not the same."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchmarks import cpp
from benchmarks.cpp_programs import Programs
from benchmarks.engine_networks import marker_network
from benchmarks.harness import Bench
from benchmarks.rows import Row
from dyncompile.errors import TargetError
from dyncompile.exporting import export


@pytest.fixture(scope="module")
def programs(cpp_build: Path) -> Programs:
    return Programs(cpp_build / "benchmarks", processes=2, seconds=0.01)


@pytest.fixture(scope="module", params=["gate", "switch"])
def rows(
    request: pytest.FixtureRequest, programs: Programs, tmp_path_factory: pytest.TempPathFactory
) -> list[Row]:
    folder = tmp_path_factory.mktemp("files")
    bench = Bench(folder, seconds=0.01, quick=True, say=lambda _line: None)
    made = marker_network(request.param)
    return list(cpp.measured(bench, programs, "net", made, is_small=True))


def test_every_way_to_call_has_its_rows(rows: list[Row]) -> None:
    assert [(row.against, row.path, row.unit) for row in rows] == [
        ("C API alone", "into buffers", "us"),
        ("C API alone", "returning outputs", "us"),
        ("C API alone", "governed, into buffers", "us"),
        ("C API alone", "into buffers", "allocations"),
        ("C API alone", "governed, into buffers", "allocations"),
        ("C API alone", "returning outputs", "allocations"),
        ("C API alone", "4 threads", "of its scaling"),
        ("without telemetry", "into buffers", "us"),
        ("without telemetry", "trace", "us"),
        ("C++, returning outputs", "Python", "x"),
    ]
    assert all(row.value is not None for row in rows)
    assert [row.limit for row in rows if row.limit is not None] == [2.0, 0.0, 0.0, 0.95]


def test_calls_into_buffers_allocate_nothing_and_owned_outputs_do(rows: list[Row]) -> None:
    made = {row.path: row.value for row in rows if row.unit == "allocations"}
    assert made["into buffers"] == 0
    assert made["governed, into buffers"] == 0
    assert made["returning outputs"] is not None
    assert made["returning outputs"] > 0  # so they are counted


def test_networks_that_differ_are_not_timed_against_each_other(
    programs: Programs, tmp_path: Path
) -> None:
    net, x = marker_network("gate")
    export(net, (x,), tmp_path / "plain.onnx", verify=False)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(2)
    export(net, (x,), tmp_path / "telling.onnx", verify=False, telemetry=True)
    with pytest.raises(TargetError, match="telling: other outputs than"):
        programs.telemetry(tmp_path / "plain.onnx", tmp_path / "telling.onnx")
