"""Every program of cpp/tests, plain and with sanitizers."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tools.cpp_building import CPP, run

PROGRAMS = sorted(path.stem for path in CPP.glob("tests/test_*.cpp"))
RELEASES = (CPP / "tests" / "tensorrt" / "CMakeLists.txt").read_text(encoding="utf-8")
ENGINES = [f"test_engine_{name}" for name in re.findall(r"(\w+)=\d{3,}", RELEASES)]


@pytest.mark.parametrize("program", PROGRAMS + ENGINES)
def test_units(cpp_build: Path, program: str) -> None:
    assert "Status: SUCCESS!" in run([str(cpp_build / "tests" / program)])


@pytest.mark.parametrize("program", PROGRAMS + ENGINES[:1])
def test_units_with_sanitizers(cpp_sanitized: Path, program: str) -> None:
    more = {**os.environ, "UBSAN_OPTIONS": "print_stacktrace=1"}
    assert "Status: SUCCESS!" in run([str(cpp_sanitized / "tests" / program)], env=more)
