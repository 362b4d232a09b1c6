"""The page for C++ is followed word by word, in a folder of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tools.cpp_building import CPP
from tools.cpp_packages import Packages

PAGE = CPP.parent / "docs" / "cpp.md"
BLOCK = re.compile(r"^```(?P<kind>\S+)(?: file=(?P<file>\S+))?\n(?P<text>.*?)^```$", re.M | re.S)
SHELL_BLOCKS = 3


@dataclass(frozen=True)
class Followed:
    """What the commands of the page printed, a text each, and where."""

    folder: Path
    printed: list[str]


def _blocks() -> Iterator[re.Match[str]]:
    return BLOCK.finditer(PAGE.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def followed(cpp_packages: Packages, tmp_path_factory: pytest.TempPathFactory) -> Followed:
    folder = tmp_path_factory.mktemp("app")
    tools = str(Path(sys.executable).parent)
    environment = {**os.environ, **cpp_packages.variables()}
    environment |= {"PATH": f"{tools}{os.pathsep}{os.environ['PATH']}", "OMP_NUM_THREADS": "2"}
    quick = folder / "quickly"  # what is compiled twice here need not be fast
    quick.write_text('#!/bin/sh\nexec "$@" -O0\n', encoding="utf-8")
    quick.chmod(0o755)
    environment["CMAKE_CXX_COMPILER_LAUNCHER"] = str(quick)
    printed = []
    for block in _blocks():
        if block["file"]:
            file = folder / block["file"]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block["text"], encoding="utf-8")
        elif block["kind"] == "sh":
            command = ["bash", "-euo", "pipefail", "-c", block["text"]]
            done = subprocess.run(
                command, cwd=folder, env=environment, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, f"{block['text']}\n{done.stdout}\n{done.stderr}"
            printed.append(done.stdout)
    return Followed(folder, printed)


def test_the_page_leads_to_a_program_that_runs(followed: Followed) -> None:
    assert len(followed.printed) == SHELL_BLOCKS
    scores = re.findall(r"^(\d): (-?\d+\.\d+)$", followed.printed[1], re.M)
    assert [digit for digit, _ in scores] == [str(digit) for digit in range(10)]
    assert len({score for _, score in scores}) > 1


def test_the_classifier_knows_most_digits_at_a_quarter_of_its_width(followed: Followed) -> None:
    found = re.findall(r"^digits/(\d)\.pgm: (\d) \(", followed.printed[2], re.M)
    assert len(found) == 10
    assert sum(digit == answer for digit, answer in found) >= 7


def test_the_stream_is_governed(followed: Followed) -> None:
    printed = followed.printed[2]
    assert len(re.findall(r"^level=\d: ", printed, re.M)) == 4
    assert len(re.findall(r"^  \d+ calls, \d+\.\d % in time$", printed, re.M)) == 3


@pytest.mark.parametrize(
    ("program", "arguments", "said"),
    [
        pytest.param("classify", (), "usage: classify NET IMAGE...", id="nothing"),
        pytest.param(
            "classify",
            ("digits/digits.onnx", "digits/3.pgm", "--budget", "0.3"),
            "--budget: 0.3 is not one of 0.25, 0.5, 0.75, 1.",
            id="no such budget",
        ),
        pytest.param(
            "classify",
            ("digits/digits.onnx", "digits/digits.onnx"),
            "digits/digits.onnx: no PGM image of 8 bits (P5). Convert it.",
            id="no image",
        ),
        pytest.param(
            "classify",
            ("digits/3.pgm", "digits/3.pgm"),
            "digits/3.pgm: ONNX Runtime cannot load it: ",
            id="no network",
        ),
        pytest.param(
            "deadline",
            ("digits/digits.onnx", "digits/3.pgm", "--ms", "-1"),
            "milliseconds: -1 is no time that a call could take. Give a positive number.",
            id="no time",
        ),
        pytest.param(
            "deadline",
            ("digits/none.onnx", "digits/3.pgm", "--ms", "1"),
            "digits/none.onnx: cannot be read: No such file or directory."
            " Check the name of the file.",
            id="no file",
        ),
    ],
)
def test_the_examples_refuse_in_one_line(
    program: str, arguments: tuple[str, ...], said: str, followed: Followed
) -> None:
    done = subprocess.run(
        [followed.folder / "examples" / "build" / program, *arguments],
        cwd=followed.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(said)
    assert done.stderr.count("\n") == 1
