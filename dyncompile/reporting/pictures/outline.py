"""A tree as an outline: one line each for a decision and its options."""

from __future__ import annotations

__all__ = ["Line", "draw_outline"]

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from dyncompile.reporting.sheet import (
    GREY,
    INK,
    PALE,
    Pen,
    Screen,
    Sheet,
    in_parts,
    shades,
    text_width,
)
from dyncompile.reporting.wording import clean, percent

LINES_A_SHEET = 42
_WIDEST = 7.0
_THINNEST = 0.6
_UNKNOWN_SHARE = 0.3
_LONGEST_BAR = 220.0
_LEAST_BAR_ROOM = 180.0
_FARTHEST_CUT = 8  # lines
_OPTION_SHADES = (5, 0, 1, 2, 3, 4, 6, 7)  # off is pale, on is dark


@dataclass(frozen=True)
class Line:
    """A line of the outline.

    Attributes:
        name: Of the decision or the option.
        depth: How far in it stands.
        share: Of the samples that come here; None where it is not known.
        option: Number of the option; None for a decision.
        macs: Work of the option, spelled.
    """

    name: str
    depth: int
    share: float | None
    option: int | None
    macs: str


@dataclass(frozen=True)
class _Columns:
    """Where things stand across the sheet: pixels; ``bar`` is None where there is no room."""

    step: float
    share: float
    macs: float
    bar: float | None

    def x(self, line: Line) -> float:
        return 10 + line.depth * self.step

    @classmethod
    def fitting(cls, lines: Sequence[Line], screen: Screen) -> _Columns:
        deepest = max(line.depth for line in lines)
        step = min(18.0, (0.3 if screen.is_narrow else 0.4) * screen.width / (deepest + 1))
        font = screen.font
        share_room = text_width(percent(1), font) + 16
        macs_room = max(text_width(text, font) for text in ["MACs", *(x.macs for x in lines)]) + 16
        names = max(
            10
            + line.depth * step
            + 9
            + text_width(clean(line.name), font, bold=line.option is None)
            for line in lines
        )
        bars = 0 if screen.is_narrow else _LEAST_BAR_ROOM
        names = min(names + 10, screen.width - share_room - macs_room - 4 - bars)
        share, macs = names + share_room, names + share_room + macs_room
        bar = macs + 16
        return cls(step, share, macs, bar if screen.width - bar > 80 else None)


def draw_outline(lines: Sequence[Line], screen: Screen) -> list[Sheet]:
    """Draw the lines from top to bottom, each joined to what leads to it."""
    columns = _Columns.fitting(lines, screen)
    return [_draw_part(lines, columns, screen, part) for part in _parts(lines)]


def _parts(lines: Sequence[Line]) -> list[range]:
    """Cut before a decision where there is one not far above."""
    cuts = []
    for part in in_parts(len(lines), LINES_A_SHEET):
        near = range(part.start, max(part.start - _FARTHEST_CUT, 0), -1)
        cuts.append(next((n for n in near if lines[n].option is None), part.start))
    return [range(*ends) for ends in itertools.pairwise([*cuts, len(lines)])]


def _draw_part(lines: Sequence[Line], columns: _Columns, screen: Screen, shown: range) -> Sheet:
    pitch, top = screen.line + (3 if screen.is_narrow else 5), screen.line + 6
    sheet = Sheet(screen, top + len(shown) * pitch + 2)
    sheet.write(columns.share, screen.line / 2, "samples", Pen(align="right", color=GREY))
    sheet.write(columns.macs, screen.line / 2, "MACs", Pen(align="right", color=GREY))
    for place, above in enumerate(_parents(lines)):
        if above is None or place < shown.start or above >= shown.stop:
            continue
        ys = [top + (n - shown.start + 0.5) * pitch for n in (above, place)]
        ends = max(ys[0], 0), min(ys[1], sheet.height)
        _join(sheet, lines[place], columns, ends, here=place in shown)
    for place in shown:
        _write(sheet, lines[place], columns, top + (place - shown.start + 0.5) * pitch)
    return sheet


def _parents(lines: Sequence[Line]) -> list[int | None]:
    """Return for each line the place of the one that leads to it."""
    last: dict[int, int] = {}
    parents = []
    for place, line in enumerate(lines):
        parents.append(last.get(line.depth - 1))
        last[line.depth] = place
    return parents


def _join(
    sheet: Sheet, line: Line, columns: _Columns, ends: tuple[float, float], *, here: bool
) -> None:
    """Draw the way down to a line, and into it if it is ``here``."""
    from matplotlib.lines import Line2D

    share = _UNKNOWN_SHARE if line.share is None else line.share
    right = columns.x(line)
    left, (top, bottom) = right - columns.step, ends
    xs, ys = ([left, left, right], [top, bottom, bottom]) if here else ([left] * 2, [top, bottom])
    width = max(_WIDEST * share, _THINNEST)
    sheet.ink.add_line(Line2D(xs, ys, color=_color(line), lw=width, zorder=1 - share))


def _write(sheet: Sheet, line: Line, columns: _Columns, y: float) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Rectangle

    x, is_decision = columns.x(line), line.option is None
    marker, size = ("D", 8.0) if is_decision else ("o", 6.0)
    color, ink = _color(line), GREY if line.share == 0 else INK
    sheet.ink.add_line(
        Line2D([x], [y], ls="none", marker=marker, ms=size, color=color, mec="white", zorder=3)
    )
    room = columns.share - text_width(percent(1), sheet.screen.font) - 10 - (x + 9)
    sheet.write(x + 9, y, line.name, Pen(bold=is_decision, color=ink), room=room)
    sheet.write(columns.macs, y, line.macs, Pen(align="right", color=ink))
    if line.share is None:
        return
    sheet.write(columns.share, y, percent(line.share), Pen(align="right", color=ink))
    if columns.bar is not None and not is_decision:
        longest = min(_LONGEST_BAR, sheet.screen.width - columns.bar - 6)
        for width, height, fill in ((longest, 2.0, PALE), (longest * line.share, 9.0, color)):
            box = Rectangle((columns.bar, y - height / 2), width, height, facecolor=fill)
            sheet.ink.add_patch(box)


def _color(line: Line) -> str:
    if line.option is None:
        return GREY
    return shades(len(_OPTION_SHADES))[_OPTION_SHADES[line.option % len(_OPTION_SHADES)]]
