"""Figures, and the file that a run of a table leaves."""

from __future__ import annotations

__all__ = ["Results", "Row"]

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from dyncompile.errors import InputError
from dyncompile.files import replacing


@dataclass(frozen=True)
class Row:
    """One figure.

    Attributes:
        network: What was measured.
        against: The reference.
        path: The decisions taken.
        reference_us: Microseconds of the reference; None where nothing is timed.
        value: The figure; None where it cannot be had, and ``note`` says why.
        unit: What it counts; ``x`` is time as a multiple of the reference.
        limit: What it may be; None where no target is set.
        at_least: The limit is a lower one.
        note: Why there is no figure.
    """

    network: str
    against: str
    path: str
    reference_us: float | None
    value: float | None
    unit: str = "x"
    limit: float | None = None
    at_least: bool = False
    note: str = ""

    @property
    def verdict(self) -> str:
        """``ok``, ``over`` (on the wrong side of the limit), or nothing."""
        if self.limit is None or self.value is None:
            return ""
        missed = self.value < self.limit if self.at_least else self.value > self.limit
        return "over" if missed else "ok"

    @property
    def figure(self) -> str:
        """The value with its unit, or why there is none."""
        if self.value is None:
            return self.note
        return f"{self.value:.{3 if abs(self.value) < 100 else 0}f} {self.unit}"

    @property
    def target(self) -> str:
        """The limit as it is written in tables."""
        if self.limit is None:
            return ""
        return f"{'>=' if self.at_least else '<='} {self.limit:g}"


@dataclass(frozen=True)
class Results:
    """One run of one table.

    Attributes:
        command: What made it.
        machine: What it ran on.
        date: The day, in ISO form.
        label: What the figures are about.
        quick: Whether timings were too short to be published.
        seconds: How long the run took.
        rows: The figures.
    """

    command: str
    machine: str
    date: str
    label: str
    quick: bool
    seconds: float
    rows: tuple[Row, ...]

    def write(self, path: Path) -> None:
        """Write it as JSON.

        Raises:
            ArtifactError: the file cannot be written.
        """
        rows = [asdict(row) | {"verdict": row.verdict} for row in self.rows]
        entry = {field.name: getattr(self, field.name) for field in fields(self)} | {"rows": rows}
        with replacing(path) as file:
            file.write((json.dumps(entry, indent=1, allow_nan=False) + "\n").encode())

    @classmethod
    def read(cls, path: Path) -> Results:
        """Read what ``write`` wrote.

        Raises:
            InputError: the file is missing or is something else.
        """
        try:
            entry = json.loads(path.read_text(encoding="utf-8"))
            rows = tuple(_row(row) for row in entry["rows"])
            known = {field.name: entry[field.name] for field in fields(cls)}
            return cls(**(known | {"rows": rows}))
        except OSError as error:
            problem = f"cannot be read: {error.strerror or error}."
        except (KeyError, TypeError, ValueError):
            problem = "these are not the results of a benchmark."
        raise InputError(problem, where=str(path), remedy="Make them: make bench.")


def _row(entry: Mapping[str, Any]) -> Row:
    return Row(**{field.name: entry[field.name] for field in fields(Row)})
