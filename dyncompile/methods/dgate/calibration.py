"""What a calibration found: levels of effort, and what each gives up."""

from __future__ import annotations

__all__ = ["Calibration", "Level"]

from collections.abc import Sequence
from dataclasses import dataclass

from dyncompile.methods.paired import Difference


@dataclass(frozen=True)
class Level:
    """One level of effort, as it was on the half of the data that chose no thresholds.

    Attributes:
        value: What the knob ``effort`` calls it: ``macs``, rounded to 4 digits, and moved by
            one in the last where two levels would share it.
        thresholds: Of each gate, in the units of its score.
        asked: The targets it answers to.
        accuracy: Share of the samples that are right.
        drop: Accuracy of the dense network less its own, with a two-sided interval.
        most_lost: The one-sided upper limit of the drop, which a ``drop`` was held against.
        least_right: The one-sided lower limit of the accuracy, which a floor was held against.
        leaving: Share of the samples that leave at each gate, and at the end.
        macs: Mean multiply-accumulates of a sample, as a share of the dense network's.
    """

    value: float
    thresholds: tuple[float, ...]
    asked: tuple[str, ...]
    accuracy: float
    drop: Difference
    most_lost: float
    least_right: float
    leaving: tuple[float, ...]
    macs: float


@dataclass(frozen=True)
class Calibration:
    """Levels of effort, least first; the last is the dense network.

    Attributes:
        dense: Accuracy of the dense network on the measuring half.
        levels: See ``Level``.
        default: Index of the level used when the caller names none.
        confidence: Of all intervals and limits.
        searched: How many samples the thresholds were searched on.
        measured: How many other samples everything here was measured on.
        groups: How many groups these were in; None if each is its own.
    """

    dense: float
    levels: tuple[Level, ...]
    default: int
    confidence: float
    searched: int
    measured: int
    groups: int | None = None

    def __str__(self) -> str:
        in_groups = "" if self.groups is None else f" in {self.groups} groups"
        head = (
            f"Dense accuracy {100 * self.dense:.2f} % on {self.measured} samples{in_groups};"
            f" thresholds from {self.searched} others."
        )
        return f"{head}\n\n{self.table()}"

    def table(self) -> str:
        """Return a line per level; the default has a star. Shares are in percent."""
        percent = f"{100 * self.confidence:g} %"
        rows = [
            ("effort", "MACs", "accuracy", "drop", percent, "at most", "leave at", "asked for"),
            *(self._row(number, level) for number, level in enumerate(self.levels)),
        ]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join(_line(row, widths) for row in rows)

    def _row(self, number: int, level: Level) -> tuple[str, ...]:
        drop = level.drop
        return (
            f"{number}{'*' if number == self.default else ' '}",
            f"{100 * level.macs:.2f}",
            f"{100 * level.accuracy:.2f}",
            f"{100 * drop.mean:.2f}",
            f"{100 * drop.low:.2f} .. {100 * drop.high:.2f}",
            f"{100 * level.most_lost:.2f}",
            " ".join(f"{100 * share:.1f}" for share in level.leaving),
            ", ".join(level.asked),
        )


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = [cell.rjust(width) for cell, width in zip(row[:-1], widths, strict=False)]
    return "  ".join([*cells, row[-1]]).rstrip()
