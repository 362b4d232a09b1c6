"""What the programs print, and rows of it; the programs themselves run in tests/cpp."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import cpp, cpp_programs
from benchmarks.cpp_programs import Contender, Programs
from dyncompile.errors import TargetError
from tools import cpp_building

CALLS = {
    "bare": {"us": 400.0, "beyond_us": 0.0, "allocations": 64.0},
    "buffers": {"us": 404.0, "beyond_us": 4.0, "allocations": 65.0},
    "outputs": {"us": 408.0, "beyond_us": 8.0, "allocations": 71.0},
    "governed": {"us": 402.0, "beyond_us": 2.0, "allocations": 64.0},
}


def _program(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def test_what_a_program_prints_is_read() -> None:
    found = cpp_programs.contenders_from(json.dumps(CALLS))
    assert found["buffers"] == Contender(404.0, 4.0, 65.0)
    told = cpp_programs.contenders_from('{"trace": {"us": 2, "beyond_us": 1}}')
    assert told["trace"].allocations is None


def test_of_several_processes_each_figure_is_a_median() -> None:
    runs = [{"one": Contender(us, -us, us + 1)} for us in (3.0, 1.0, 2.0)]
    assert cpp_programs.merged(runs) == {"one": Contender(2.0, -2.0, 3.0)}
    uncounted = [{"one": Contender(us, us)} for us in (1.0, 3.0)]
    assert cpp_programs.merged(uncounted) == {"one": Contender(2.0, 2.0)}


def test_who_is_loaded_first_takes_turns(tmp_path: Path) -> None:
    _program(tmp_path, "bench_calls", f"echo $3 >> {tmp_path}/said; echo '{json.dumps(CALLS)}'")
    found = Programs(tmp_path, 3, 0.5).calls(tmp_path / "net.onnx")
    assert found["outputs"] == Contender(408.0, 8.0, 71.0)
    assert (tmp_path / "said").read_text().split() == ["bare", "ours", "bare"]


def test_a_program_that_fails_is_one_line(tmp_path: Path) -> None:
    _program(
        tmp_path,
        "bench_calls",
        "echo 'outputs: other outputs than what it is timed against.' >&2; exit 1",
    )
    with pytest.raises(TargetError, match=r"^bench_calls: outputs: other outputs than what it is"):
        Programs(tmp_path, 1, 0.5).calls(tmp_path / "net.onnx")


def test_without_a_compiler_the_table_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def missing() -> str:
        raise cpp_building.CannotBuild("There is no C++ compiler here.")

    monkeypatch.setattr(cpp_programs, "prepare", missing)
    with pytest.raises(TargetError, match="There is no C\\+\\+ compiler here"):
        cpp_programs.built(tmp_path)


@pytest.mark.parametrize(
    ("is_small", "expected"),
    [
        (True, [(4.0, "us", "over"), (8.0, "us", ""), (2.0, "us", "")]),
        (False, [(1.01, "x", ""), (1.02, "x", ""), (1.005, "x", "")]),
    ],
    ids=["small", "of usual size"],
)
def test_what_is_added_to_a_call_is_microseconds_or_a_quotient(
    is_small: bool, expected: list[tuple[float, str, str]]
) -> None:
    calls = cpp_programs.contenders_from(json.dumps(CALLS))
    rows = list(cpp._call_rows("net", calls, is_small=is_small))  # noqa: SLF001
    assert [(row.value, row.unit, row.verdict) for row in rows[:3]] == expected
    assert {row.reference_us for row in rows[:3]} == {400.0}
    assert [(row.path, row.value, row.verdict) for row in rows[3:]] == [
        ("into buffers", 1.0, "over"),
        ("governed, into buffers", 0.0, "ok"),
        ("returning outputs", 7.0, ""),
    ]
