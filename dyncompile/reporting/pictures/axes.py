"""Axes that several pictures share: rows of bars, and a scale of times."""

from __future__ import annotations

__all__ = ["Row", "RowSheet", "stack", "time_scale"]

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dyncompile.reporting.sheet import GREY, INK, Key, Pen, Screen, Sheet, legend_height, text_width
from dyncompile.reporting.wording import clean

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LOG_FROM = 8.0  # largest over smallest


@dataclass(frozen=True)
class Row:
    """A row of a chart: what it is about, and its figure, at the right end."""

    label: str
    end: str
    bold: bool = False


class RowSheet:
    """A sheet of rows: label, bar, figure; a scale and a legend below.

    On a narrow screen the label stands above the bar. The caller names the x axis.

    Attributes:
        sheet: The sheet.
        axes: Where the bars go: x in units of the data, y in pixels from the top.
        thickness: Pixels of a bar.
    """

    def __init__(
        self,
        screen: Screen,
        rows: Sequence[Row],
        end_label: str,
        keys: Sequence[Key],
        thickness: float = 14.0,
    ) -> None:
        font, line = screen.font, screen.line
        self.thickness = thickness
        self._pitch = line + self.thickness + 9 if screen.is_narrow else self.thickness + 11
        self._offset = line + self.thickness / 2 + 1 if screen.is_narrow else self._pitch / 2
        widths = [text_width(clean(row.label), font, bold=row.bold) for row in rows]
        left = 10.0 if screen.is_narrow else min(max(widths, default=0) + 14, 0.36 * screen.width)
        ends = [row.end for row in rows] + [end_label]
        right = screen.width - max(text_width(one, font) for one in ends) - 8
        top = line + 4
        bottom = top + len(rows) * self._pitch + 4
        scale = 2.8 * line
        height = bottom + scale + legend_height(screen, keys, 10) + 4
        self.sheet = Sheet(screen, height)
        self.axes = self.sheet.axes(left, top, right, bottom)
        self.axes.set_ylim(bottom - top, 0)
        self.axes.set_yticks([])
        self.axes.grid(visible=True, axis="x")
        self.sheet.write(screen.width - 4, line / 2, end_label, Pen(align="right", color=GREY))
        for place, row in enumerate(rows):
            self._label(row, top + place * self._pitch, left, right)
        self.sheet.legend(keys, 10, bottom + scale)

    def _label(self, row: Row, top: float, left: float, right: float) -> None:
        sheet, screen = self.sheet, self.sheet.screen
        y = top + self._offset
        if screen.is_narrow:
            sheet.write(
                left, top + screen.line / 2, row.label, Pen(bold=row.bold), room=right - left
            )
        else:
            sheet.write(left - 8, y, row.label, Pen(align="right", bold=row.bold), room=left - 12)
        sheet.write(screen.width - 4, y, row.end, Pen(align="right", bold=row.bold))

    def middle(self, place: int) -> float:
        """Return the y of a row."""
        return place * self._pitch + self._offset


def stack(rows: RowSheet, place: int, parts: Sequence[tuple[float, str]]) -> None:
    """Draw a bar of parts, each a width and a colour."""
    parts = [(width, color) for width, color in parts if width > 0]
    start = 0.0
    for width, color in parts:
        rows.axes.barh(
            rows.middle(place), width, rows.thickness, start, color=color, edgecolor="white", lw=0.8
        )
        start += width


def time_scale(axes: Axes, low: float, high: float, screen: Screen, *, from_zero: bool) -> str:
    """Set the x axis for microseconds and return its unit.

    The scale is logarithmic where the times differ much; then it cannot start at zero.
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    unit, divisor = ("ms", 1e3) if high >= 1000 else ("µs", 1.0)
    if low > 0 and high / low > LOG_FROM:
        axes.set_xscale("log")
        axes.set_xlim(low / 1.25, high * 1.25)
        many = high / low > (100 if screen.is_narrow else 2000)
        axes.xaxis.set_major_locator(LogLocator(subs=(1,) if many else (1, 2, 5)))
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        room = 0.06 * (high - (0 if from_zero else low)) or 0.1 * high or 1
        axes.set_xlim(0 if from_zero else low - room, high + room)
        axes.xaxis.set_major_locator(MaxNLocator(4 if screen.is_narrow else 8))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / divisor:g}"))
    axes.tick_params(axis="x", labelcolor=INK)
    return unit
