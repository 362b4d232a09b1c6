"""Settings of the knobs as points over their time; those that differ in one knob are joined."""

from __future__ import annotations

__all__ = ["Cloud", "draw_cloud"]

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dyncompile.measuring.findings import PointFound
from dyncompile.reporting.pictures.axes import time_scale
from dyncompile.reporting.sheet import (
    GREY,
    INK,
    Key,
    Pen,
    Screen,
    Sheet,
    legend_height,
    shades,
    text_width,
)
from dyncompile.reporting.view import changed_knobs, knob_order
from dyncompile.reporting.wording import duration, shortened, spell_point

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_DASHES = ((6.0, 2.0), (2.0, 2.0), (6.0, 2.0, 1.0, 2.0), (1.0, 3.0), (10.0, 3.0))
_LONGEST_NOTE = 14


@dataclass(frozen=True)
class Cloud:
    """Points to draw.

    Attributes:
        points: Settings of the knobs; their mean time is the x.
        heights: Their y.
        axis: What y is.
        marks: Label to a time, drawn as a vertical line.
        most: Largest y there can be.
    """

    points: tuple[PointFound, ...]
    heights: tuple[float, ...]
    axis: str
    marks: Mapping[str, float]
    most: float | None


@dataclass(frozen=True)
class _Line:
    """Places of the points that differ from the default in one knob, in order of its value."""

    key: Key
    knob: str
    places: tuple[int, ...]


@dataclass(frozen=True)
class _Box:
    """What is taken up around a place, in pixels."""

    x: float
    y: float
    width: float
    height: float

    def meets(self, other: _Box) -> bool:
        """Whether two overlap."""
        return (
            2 * abs(self.x - other.x) < self.width + other.width
            and 2 * abs(self.y - other.y) < self.height + other.height
        )


def draw_cloud(cloud: Cloud, screen: Screen) -> Sheet:
    """Draw the points, their lines, the marks and a legend."""
    lines, default, single = list(_lines(cloud)), _default(cloud), _single(cloud)
    marks = [
        (us, Key(f"{shortened(name, 48)}: {duration(us)}", GREY, _DASHES[n % len(_DASHES)]))
        for n, (name, us) in enumerate(cloud.marks.items())
    ]
    keys = [line.key for line in lines] + [Key("default", INK, marker="*")] * bool(default)
    keys += [Key("several knobs changed", GREY, marker="X")] * bool(single)
    keys += [key for _, key in marks]
    bottom = 290.0 if screen.is_narrow else 390.0
    legend = bottom + 2.9 * screen.line
    sheet = Sheet(screen, legend + legend_height(screen, keys, 10) + 4)
    sheet.legend(keys, 10, legend)
    sheet.write(4, screen.line / 2, cloud.axis, Pen(color=GREY))
    axes = sheet.axes(3.6 * screen.font + 8, screen.line + 10, screen.width - 16, bottom)
    _scales(axes, cloud, screen)
    for us, key in marks:
        axes.axvline(us, color=GREY, lw=1.4, ls=(0, key.dashes), zorder=1)
    for line in lines:
        _draw_line(axes, cloud, line)
    for place in single:
        _draw_point(axes, cloud, place, Key("", GREY, marker="X"), 7)
    for place in default:
        _draw_point(axes, cloud, place, Key("", INK, marker="*"), 15)
    _notes(sheet, axes, cloud, lines)
    return sheet


def _default(cloud: Cloud) -> list[int]:
    return [place for place, point in enumerate(cloud.points) if point.is_default]


def _lines(cloud: Cloud) -> Iterator[_Line]:
    """Yield a line for each knob of which several values were run."""
    default = next((point.point for point in cloud.points if point.is_default), None)
    if default is None:
        return
    knobs = [
        name
        for name in default
        if any(changed_knobs(p.point, default) == {name} for p in cloud.points)
    ]
    for knob, color, marker in zip(knobs, shades(len(knobs)), _MARKERS * len(knobs), strict=False):
        places = [
            n for n, p in enumerate(cloud.points) if changed_knobs(p.point, default) <= {knob}
        ]
        places.sort(key=lambda n: knob_order(cloud.points[n].point[knob]))
        key = Key(shortened(knob, 48), color, (1, 0), marker)
        yield _Line(key, knob, tuple(places))


def _single(cloud: Cloud) -> list[int]:
    joined = {place for line in _lines(cloud) for place in line.places}
    joined.update(_default(cloud))
    return [place for place in range(len(cloud.points)) if place not in joined]


def _scales(axes: Axes, cloud: Cloud, screen: Screen) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    means = [point.mean_us for point in cloud.points]
    most = max([*means, *(point.p95_us for point in cloud.points), *cloud.marks.values()])
    low = min([*means, *cloud.marks.values()])
    unit = time_scale(axes, low, most, screen, from_zero=low < 0.5 * most)
    axes.set_xlabel(f"time a call, {unit}")
    least, largest = min(cloud.heights), max(cloud.heights)
    room = max(0.12 * (largest - least), 0.004 * largest, 1e-3)
    top = largest + room if cloud.most is None else min(largest + room, cloud.most + 0.3 * room)
    axes.set_ylim(least - room, top)
    axes.yaxis.set_major_locator(MaxNLocator(6))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.4g}"))
    axes.grid(visible=True)


def _draw_line(axes: Axes, cloud: Cloud, line: _Line) -> None:
    means = [cloud.points[place].mean_us for place in line.places]
    axes.plot(means, [cloud.heights[place] for place in line.places], color=line.key.color)
    for place in line.places:
        if not cloud.points[place].is_default:
            _draw_point(axes, cloud, place, line.key, 7)


def _draw_point(axes: Axes, cloud: Cloud, place: int, key: Key, size: float) -> None:
    point, height = cloud.points[place], cloud.heights[place]
    end = max(point.p95_us, point.mean_us)
    axes.plot([point.mean_us, end], [height] * 2, color=key.color, lw=0.9, alpha=0.7)
    axes.plot([end], [height], color=key.color, marker="|", ms=6, alpha=0.7)
    axes.plot(
        [point.mean_us], [height], color=key.color, marker=key.marker, ms=size, mec="white",
        mew=0.6, zorder=4,
    )  # fmt: skip


def _notes(sheet: Sheet, axes: Axes, cloud: Cloud, lines: Sequence[_Line]) -> None:
    """Write the value of its knob at each point, the default first, as far as there is room."""
    notes = [
        (place, spell_point({"": cloud.points[place].point[line.knob]}).removeprefix("="))
        for line in lines
        for place in sorted(line.places, key=lambda n: not cloud.points[n].is_default)
    ]
    places = [
        axes.transData.transform((point.mean_us, height)).tolist()
        for point, height in zip(cloud.points, cloud.heights, strict=True)
    ]
    boxes = [_Box(x, sheet.height - up, 8, 8) for x, up in places]
    noted = set()
    for place, whole in notes:
        text = shortened(whole, _LONGEST_NOTE)
        at, width = boxes[place], text_width(text, sheet.screen.font) + 4
        x = min(max(at.x, width / 2), sheet.screen.width - width / 2 - 4)
        for y in (at.y - 15, at.y + 15):
            box = _Box(x, y, width, sheet.screen.font)
            room = sheet.screen.line < y < axes.bbox.ymin + sheet.height
            if room and place not in noted and not any(box.meets(other) for other in boxes):
                sheet.write(x, y, text, Pen(align="center", halo=True))
                boxes.append(box)
                noted.add(place)
