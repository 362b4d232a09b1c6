"""The command of a table, on a table of two rows; nothing is timed here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import Tensor, nn

from benchmarks import harness, timing
from benchmarks.figures import torch_rows
from benchmarks.rows import Results, Row


def _first(bench: harness.Bench) -> Iterator[Row]:
    yield Row("first", "static", "on", 12.3, 1.5 if bench.quick else 2.5, limit=2.0)


def _second(_bench: harness.Bench) -> Iterator[Row]:
    yield Row("second", "torch.compile", "", None, None, note="[no] compiler")


@pytest.fixture
def table() -> click.Command:
    groups = {"first": _first, "second": _second}
    return harness.command("benchmarks.some", groups, about="Some figures.", label="a label")


def _results(table: click.Command, tmp_path: Path, *options: str) -> Results:
    path = tmp_path / "new" / "some.json"
    arguments = ["--json", str(path), "--output", str(tmp_path / "files"), *options]
    result = CliRunner().invoke(table, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert "[no] compiler" in result.output or "--only" in options
    return Results.read(path)


def test_a_run_leaves_its_rows_and_what_made_them(table: click.Command, tmp_path: Path) -> None:
    found = _results(table, tmp_path)
    assert found.command == "python -m benchmarks.some"
    assert found.label == "a label"
    assert not found.quick
    assert [(row.network, row.value, row.verdict) for row in found.rows] == [
        ("first", 2.5, "over"),
        ("second", None, ""),
    ]


def test_a_part_of_a_quick_run_says_so(table: click.Command, tmp_path: Path) -> None:
    found = _results(table, tmp_path, "--quick", "--only", "first")
    assert found.command == "python -m benchmarks.some --quick --only first"
    assert found.quick
    assert [row.verdict for row in found.rows] == ["ok"]


def test_a_file_that_cannot_be_written_is_told_before_anything_runs(
    table: click.Command, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path, tmp_path / "file" / "some.json"):
        result = CliRunner().invoke(table, ["--json", str(path), "--output", str(tmp_path / "f")])
        assert result.exit_code != 0
        assert "Error: " in result.output
        assert not (tmp_path / "f").exists()


@pytest.mark.parametrize(
    ("row", "verdict", "target"),
    [
        (Row("n", "a", "p", None, 1.0), "", ""),
        (Row("n", "a", "p", None, 1.0, limit=1.0), "ok", "<= 1"),
        (Row("n", "a", "p", None, 1.1, limit=1.0), "over", "<= 1"),
        (Row("n", "a", "p", None, 0.9, limit=1.0, at_least=True), "over", ">= 1"),
        (Row("n", "a", "p", None, None, limit=1.0, note="why"), "", "<= 1"),
    ],
    ids=["no target", "kept", "missed", "missed from below", "no figure"],
)
def test_a_row_says_whether_it_keeps_its_target(row: Row, verdict: str, target: str) -> None:
    assert (row.verdict, row.target) == (verdict, target)


class _Constant:
    def __init__(self, value: float) -> None:
        self._outputs = [np.asarray([value], np.float32)]

    def open(self) -> timing.Call:
        return lambda: self._outputs


def test_what_torch_cannot_compile_is_a_line_and_no_crash(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(*_inputs: Tensor) -> Tensor:
        raise RuntimeError("no compiler\nhere.")

    monkeypatch.setattr(torch, "compile", lambda _model, **_options: fail)
    bench = harness.Bench(tmp_path, 0.0, quick=True, say=lambda _line: None)
    model, x = nn.Identity().eval(), torch.ones(1)
    eager, compiled = torch_rows(bench, "Net", "on", _Constant(1), (model, (x,)))
    assert (eager.against, compiled.against) == (harness.EAGER, harness.TORCH_COMPILE)
    assert eager.value
    assert (compiled.value, compiled.figure) == (None, "RuntimeError: no compiler here")


def test_only_what_is_said_to_be_alike_is_compared() -> None:
    runs = {"a": _Constant(1), "b": _Constant(1), "c": _Constant(2)}
    timing.compare(runs, 0.0, [["a", "b"], ["c"]])
    with pytest.raises(AssertionError, match="c"):
        timing.compare(runs, 0.0)
    with pytest.raises(AssertionError, match="c"):
        timing.compare(runs, 0.0, [["a", "c"]])
