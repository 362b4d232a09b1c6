"""A picture being drawn, measured in the pixels of the screen it is for."""

from __future__ import annotations

__all__ = [
    "GREY",
    "HALO",
    "INK",
    "NARROW",
    "PALE",
    "WIDE",
    "Key",
    "Pen",
    "Screen",
    "Sheet",
    "in_parts",
    "legend_height",
    "shades",
    "text_width",
]

import functools
import itertools
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from dyncompile.reporting.wording import clean, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HALO = "halo"
INK, GREY, PALE = "#1b1f24", "#57606a", "#d0d7de"
_SHADES = ("#16325c", "#e08a1e", "#2f7f73", "#f2c879", "#8c3b3b", "#a9bcd9", "#6d5a8c", "#cfd4da")


@dataclass(frozen=True)
class Screen:
    """What a picture is drawn for.

    Attributes:
        name: ``wide`` or ``narrow``.
        width: Pixels it has.
        font: Height of its letters in pixels.
    """

    name: str
    width: int
    font: float

    @property
    def is_narrow(self) -> bool:
        """Whether labels have to stand above what they name."""
        return self.name == "narrow"

    @property
    def line(self) -> float:
        """Pixels from one line of text to the next."""
        return self.font * 1.45


WIDE = Screen("wide", 860, 13.0)
NARROW = Screen("narrow", 340, 11.5)


@dataclass(frozen=True)
class Key:
    """An entry of a legend: a patch of colour, or a line.

    Attributes:
        label: What it means.
        color: Of both.
        dashes: Lengths on and off of the line; (1, 0) is unbroken, and () is none.
        marker: As matplotlib names them; ``""`` is none.
    """

    label: str
    color: str
    dashes: tuple[float, ...] = ()
    marker: str = ""


@dataclass(frozen=True)
class Pen:
    """How text is written.

    Attributes:
        align: Which end of it is at the given x.
        bold: Whether it is bold.
        color: Its colour.
        upwards: Whether it is turned: it ends at the given y, and its middle is at x.
        halo: Whether it stands out from lines below it.
    """

    align: Literal["left", "center", "right"] = "left"
    bold: bool = False
    color: str = INK
    upwards: bool = False
    halo: bool = False


PLAIN = Pen()


class Sheet:
    """A figure with an origin at the top left, in pixels.

    Attributes:
        figure: The figure.
        titles: Id of an element to its whole text, where a shortened one is shown.
    """

    def __init__(self, screen: Screen, height: float) -> None:
        from matplotlib.figure import Figure

        self.screen = screen
        self.height = height
        self.figure = Figure(figsize=(screen.width / 72, height / 72), dpi=72)
        self.titles: dict[str, str] = {}
        self.ink = self.figure.add_axes((0, 0, 1, 1), zorder=2)
        self.ink.set_axis_off()
        self.ink.set_xlim(0, screen.width)
        self.ink.set_ylim(height, 0)

    def axes(self, left: float, top: float, right: float, bottom: float) -> Axes:
        """Add axes; all four are pixels from the top left corner."""
        width, height = self.screen.width, self.height
        return self.figure.add_axes(
            (left / width, 1 - bottom / height, (right - left) / width, (bottom - top) / height)
        )

    def write(
        self,
        x: float,
        y: float,
        text: str,
        pen: Pen = PLAIN,
        *,
        room: float | None = None,
    ) -> None:
        """Write a line of text, its middle at ``y``; shortened to ``room``, and titled then."""
        text = clean(text)
        shown = text if room is None else fitted(text, room, self.screen.font, bold=pen.bold)
        weight = "bold" if pen.bold else "normal"
        artist = self.ink.text(x, y, shown, color=pen.color, weight=weight)
        if pen.upwards:
            artist.set(rotation=90, ha="center", va="top")
        else:
            artist.set(ha=pen.align, va="center_baseline")
        if shown != text:
            gid = f"title{len(self.titles)}"
            artist.set_gid(gid)
            self.titles[gid] = text
        elif pen.halo:
            artist.set_gid(HALO)

    def legend(self, keys: Sequence[Key], left: float, top: float) -> None:
        """Write a legend in as many lines as ``legend_height`` says."""
        room = self.screen.width - left - 4
        for key, x, line in _flow(self.screen, keys, room):
            y = top + (line + 0.5) * self.screen.line
            self._swatch(key, left + x, y)
            start = x + _swatch_width(key) + 6
            self.write(left + start, y, key.label, Pen(color=GREY), room=room - start)

    def _swatch(self, key: Key, x: float, y: float) -> None:
        from matplotlib.lines import Line2D
        from matplotlib.patches import Rectangle

        if key.dashes or key.marker:
            width = _swatch_width(key)
            line = Line2D([x, x + width / 2, x + width], [y] * 3, color=key.color, markevery=[1])
            line.set_linestyle((0, key.dashes) if key.dashes else "none")
            line.set_marker(key.marker or "none")
            self.ink.add_line(line)
        else:
            self.ink.add_patch(
                Rectangle((x, y - 5), 16, 10, facecolor=key.color, edgecolor=GREY, lw=0.5)
            )


def legend_height(screen: Screen, keys: Sequence[Key], left: float) -> float:
    """Return the pixels a legend needs."""
    placed = _flow(screen, keys, screen.width - left - 4)
    return (1 + max((line for _, _, line in placed), default=-1)) * screen.line


def _flow(screen: Screen, keys: Sequence[Key], room: float) -> list[tuple[Key, float, int]]:
    placed, x, line = [], 0.0, 0
    for key in keys:
        width = min(_swatch_width(key) + 22 + text_width(clean(key.label), screen.font), room)
        if x and x + width > room:
            x, line = 0.0, line + 1
        placed.append((key, x, line))
        x += width
    return placed


def _swatch_width(key: Key) -> float:
    return 32.0 if key.dashes else 16.0


def fitted(text: str, room: float, font: float, *, bold: bool = False) -> str:
    """Return the text, its middle left out as far as ``room`` pixels demand."""
    if text_width(text, font, bold=bold) <= room:
        return text
    low, high = 1, len(text)
    while low < high:  # the most characters that fit
        middle = (low + high + 1) // 2
        fits = text_width(shortened(text, middle), font, bold=bold) <= room
        low, high = (middle, high) if fits else (low, middle - 1)
    return shortened(text, low)


@functools.lru_cache(maxsize=65536)
def text_width(text: str, font: float, *, bold: bool = False) -> float:
    """Return the pixels a line of text takes in DejaVu Sans, a wide face among its like."""
    return sum(_advance(one, bold=bold) for one in text) * font


@functools.lru_cache(maxsize=4096)
def _advance(one: str, *, bold: bool) -> float:
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextToPath

    if ord(one) > 0x24F or unicodedata.east_asian_width(one) in "WF":
        return 1.0  # perhaps not in the font that is measured
    face = FontProperties(family="DejaVu Sans", weight="bold" if bold else "normal", size=100)
    return float(TextToPath().get_text_width_height_descent(f"{one}", face, ismath=False)[0]) / 100


def in_parts(size: int, most: int) -> list[range]:
    """Cut so many lines into as few parts as ``most`` lines allow, all about as long."""
    parts = -(-size // most)
    cuts = [size * part // parts for part in range(parts + 1)] if parts else []
    return [range(*ends) for ends in itertools.pairwise(cuts)]


def shades(size: int) -> list[str]:
    """Return so many colours whose greys differ from one to the next."""
    return [_SHADES[place % len(_SHADES)] for place in range(size)]
