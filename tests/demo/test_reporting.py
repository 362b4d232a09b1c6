from __future__ import annotations

import io
import shutil
import sys
from pathlib import Path

import pytest
from rich.console import Console

from dyncompile.demo.reporting import show
from dyncompile.demo.results import Comparison, Files, OperatingPoint, PathFound, Result
from dyncompile.verify import Report

REPORT = Report(
    operating_points=({}, {}, {}),
    samples=32,
    paths=14,
    complete=True,
    unforced=(),
    largest_difference=4e-7,
    near_ties=(),
    reached=(),
    unreached=(),
)
PATH = PathFound(
    path={"skip1": 1, "exit1": 0, "skip2": 0, "exit2": 1},
    share=0.3,
    accuracy=1.0,
    static_accuracy=0.971,
    milliseconds=0.3,
    static=0.2,
    static_with_scores=0.25,
)
RESULT = Result(
    files=Files(
        Path("out [1]/a.onnx"),
        Path("b.npz"),
        Path("c.safetensors"),
        Path("static"),
        Path("out [1]/report.html"),
    ),
    validation_images=400,
    report=REPORT,
    comparison=Comparison(
        images=500,
        agreeing=499,
        threshold=0.4,
        points={
            0.4: OperatingPoint(0.985, (0.6, 0.3, 0.1), 0.2),
            1.0: OperatingPoint(0.99, (0.0, 0.0, 1.0), 0.45),
        },
        dense=OperatingPoint(0.99, (0.0, 0.0, 1.0), 0.5),
        paths=(PATH,),
    ),
    seconds=60.0,
)


def shown(width: int) -> list[str]:
    text = io.StringIO()
    show(RESULT, Console(file=text, width=width))
    return text.getvalue().splitlines()


@pytest.mark.parametrize(
    "cells",
    [
        pytest.param("0.40 (chosen) 98.5% 60% 30% 10% 0.200 0.40", id="chosen-threshold"),
        pytest.param("1.00 99.0% 0% 0% 100% 0.450 0.90", id="another-threshold"),
        pytest.param("static, dense 99.0% 0% 0% 100% 0.500 1.00", id="dense"),
        pytest.param("1 - exit 2 30.0% 100.0% 97.1% 0.300 0.200 1.50 1.20", id="path"),
    ],
)
def test_tables_fit_80_columns(cells: str) -> None:
    assert cells in [" ".join(line.split()) for line in shown(80)]


@pytest.mark.parametrize(
    "words",
    [
        "0.5% of the 400 validation images",
        "Other paths: 70.0% of the images",
        "14 paths, all there are,",
        "On 499 of the 500 test images",
        "a.onnx",
    ],
)
def test_the_text_says_what_was_found(words: str) -> None:
    assert words in " ".join(shown(1000))


@pytest.mark.parametrize(
    ("found", "program"),
    [
        pytest.param("/bin/dyncompile", "dyncompile", id="on-the-path"),
        pytest.param(None, ".venv/bin/dyncompile", id="as-it-was-called"),
    ],
)
def test_the_last_line_is_the_command_that_measures_it(
    monkeypatch: pytest.MonkeyPatch, found: str | None, program: str
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: found)
    monkeypatch.setattr(sys, "argv", [".venv/bin/dyncompile", "demo"])
    assert shown(40)[-1] == (
        f"{program} bench 'out [1]/a.onnx' --data b.npz"
        " --against dyncompile.demo.network:DigitsNet --weights c.safetensors"
        " -o 'out [1]/report.html'"
    )
