"""A heat map of shares."""

from __future__ import annotations

__all__ = ["Shares", "draw_heat"]

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dyncompile.reporting.sheet import GREY, INK, Pen, Screen, Sheet, in_parts, text_width

if TYPE_CHECKING:
    from matplotlib.colors import Colormap

Shares = NDArray[np.float64]

_WIDEST_CELL = 60.0
_DEEPEST_LABEL = 110.0
_DARK_FROM = 0.5
ROWS_A_SHEET = 40


def draw_heat(
    names: Sequence[str], labels: Sequence[str], shares: Shares, screen: Screen
) -> list[Sheet]:
    """Draw ``float64[names, labels]`` from 0 to 1, some rows a sheet; NaN is white."""
    widest = max(text_width(name, screen.font) for name in names) + 14
    left = min(widest, (0.42 if screen.is_narrow else 0.34) * screen.width)
    return [
        _draw_part([names[n] for n in rows], labels, shares[rows], screen, left)
        for rows in in_parts(len(names), ROWS_A_SHEET)
    ]


def _draw_part(
    names: Sequence[str], labels: Sequence[str], shares: Shares, screen: Screen, left: float
) -> Sheet:
    widths = [text_width(label, screen.font) for label in labels]
    pitch = 22.0 if len(names) <= 30 else screen.line
    cell = min((screen.width - 10 - left) / len(labels), _WIDEST_CELL)
    right, top = left + cell * len(labels), 6.0
    bottom = top + len(names) * pitch
    upwards = max(widths) > cell - 4
    below = bottom + 10 + (min(max(widths), _DEEPEST_LABEL) if upwards else screen.line)
    sheet = Sheet(screen, below + 2.6 * screen.line)
    colors = _colors()
    axes = sheet.axes(left, top, right, bottom)
    axes.set_axis_off()
    axes.imshow(
        np.ma.masked_invalid(shares), cmap=colors, vmin=0, vmax=1, aspect="auto",
        interpolation="none", extent=(0, len(labels), len(names), 0),
    )  # fmt: skip
    for place, name in enumerate(names):
        y = top + (place + 0.5) * pitch
        sheet.write(left - 6, y, name, Pen(align="right"), room=left - 10)
        if cell >= text_width("100", screen.font) + 2:
            for column, share in enumerate(shares[place].tolist()):
                _write_share(sheet, left + (column + 0.5) * cell, y, share)
    every = math.ceil((screen.font + 3) / cell) if upwards else 1
    for column in range(0, len(labels), every):
        x, y = left + (column + 0.5) * cell, bottom + 4 + (0 if upwards else screen.line / 2)
        sheet.write(x, y, labels[column], Pen(align="center", upwards=upwards), room=_DEEPEST_LABEL)
    sheet.write(left - 6, bottom + 4 + screen.line / 2, "class", Pen(align="right", color=GREY))
    _draw_scale(sheet, colors, left, below + 4)
    return sheet


def _colors() -> Colormap:
    from matplotlib.colors import LinearSegmentedColormap

    colors = LinearSegmentedColormap.from_list("shares", ["#e6ecf2", "#6f9bc8", "#16325c"])
    return colors.with_extremes(bad="white")


def _write_share(sheet: Sheet, x: float, y: float, share: float) -> None:
    if math.isfinite(share):
        color = "white" if share > _DARK_FROM else INK
        sheet.write(x, y, f"{100 * share:.0f}", Pen(align="center", color=color))


def _draw_scale(sheet: Sheet, colors: Colormap, left: float, top: float) -> None:
    width = min(200.0, sheet.screen.width - left - 60)
    axes = sheet.axes(left, top, left + width, top + 10)
    axes.set_axis_off()
    axes.imshow(np.linspace(0, 1, 32)[None], cmap=colors, aspect="auto", interpolation="none")
    y = top + 10 + sheet.screen.line / 2
    for place in (0.0, 0.5, 1.0):
        sheet.write(left + place * width, y, f"{place:.0%}", Pen(align="center", color=GREY))
    sheet.write(left - 6, top + 5, "share", Pen(align="right", color=GREY))
