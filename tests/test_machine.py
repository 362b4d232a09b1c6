from __future__ import annotations

import os
import platform
from pathlib import Path

import onnxruntime
import pytest

from dyncompile import machine


def test_names_what_figures_depend_on() -> None:
    found = machine.describe_machine()
    assert machine.processor() in found
    assert f"{os.cpu_count()} cores" in found
    assert f"onnxruntime {onnxruntime.__version__}" in found
    assert found.endswith(f"Python {platform.python_version()}")


@pytest.mark.parametrize(
    ("info", "name"),
    [("processor : 0\nmodel name\t: Some CPU @ 2 GHz\n", "Some CPU @ 2 GHz"), ("cpu : 1\n", None)],
    ids=["named", "not named"],
)
def test_the_processor_is_the_one_that_the_system_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, info: str, name: str | None
) -> None:
    (tmp_path / "cpuinfo").write_text(info)
    monkeypatch.setattr(machine, "_CPU_INFO", tmp_path / "cpuinfo")
    assert machine.processor() == (name or platform.processor() or platform.machine())


def test_a_system_without_such_a_file_has_a_processor_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_CPU_INFO", Path("missing"))
    assert machine.processor()
