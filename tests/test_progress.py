from __future__ import annotations

import io

import pytest
from rich.console import Console

from dyncompile.progress import progress_bars


def test_a_bar_shows_its_step_and_the_part_it_is_at() -> None:
    text = io.StringIO()
    with progress_bars(Console(file=text, width=100)) as add_bar:
        first = add_bar("Exporting")
        first("passes", 1, 10)
        first("paths", 14, 14)
        add_bar("Comparing")("latency", 1, 2)
    assert "Exporting" in text.getvalue()
    assert "paths" in text.getvalue()
    assert "latency" in text.getvalue()


def test_without_a_console_nothing_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bars(None) as add_bar:
        add_bar("Training")("epoch 1", 1, 1)
    assert capsys.readouterr() == ("", "")


def test_a_step_has_the_time_until_the_next_one() -> None:
    now = 0.0
    text = io.StringIO()
    with progress_bars(Console(file=text, width=100, get_time=lambda: now)) as add_bar:
        for title in ("Training", "Exporting", "Comparing"):
            add_bar(title)("part", 1, 1)
            now += 7.0
    lines = [line.split() for line in text.getvalue().splitlines() if line.strip()]
    assert [(line[0], line[-3]) for line in lines[-3:]] == [
        ("Training", "7"),
        ("Exporting", "7"),
        ("Comparing", "7"),
    ]
