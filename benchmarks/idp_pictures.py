"""The picture of the study: how often each network is right, over the work it needs."""

from __future__ import annotations

__all__ = ["draw_all"]

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.idp_levels import Flags, Found, named
from benchmarks.idp_study import IDP, ORDINARY, SANDWICH
from benchmarks.svg_files import svg_file
from dyncompile.reporting.sheet import GREY, WIDE, Key, Pen, Sheet, legend_height, shades
from dyncompile.reporting.svg import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NEAR = 10.0  # points below the best; the right half shows these


@dataclass(frozen=True)
class _Line:
    """One network: shares of the dense network's MACs, and shares right, in per cent."""

    key: Key
    work: tuple[float, ...]
    right: tuple[float, ...]


def draw_all(found: Found) -> Iterator[tuple[str, bytes]]:
    """Yield the name of each picture and its file."""
    with style(WIDE):
        yield "tradeoff", svg_file(_tradeoff(found), "tradeoff", "Accuracy against work.")


def _lines(found: Found) -> list[_Line]:
    blue, orange, green, _, red, *_ = shades(5)
    work = tuple(100 * macs / found.dense_macs for macs in found.macs)
    keys = {
        named(ORDINARY, recalibrated=False): Key(ORDINARY, GREY, (2, 2), "v"),
        named(ORDINARY, recalibrated=True): Key(f"{ORDINARY}, recalibrated", orange, (4, 2), "s"),
        named(IDP, recalibrated=True): Key(f"{IDP}, recalibrated", blue, (1, 0), "o"),
        named(SANDWICH, recalibrated=True): Key(f"{SANDWICH}, recalibrated", green, (1, 0), "D"),
    }
    lines = [_Line(key, work, _per_cent(found.series[name])) for name, key in keys.items()]
    alone = found.alone
    own = tuple(100 * each.macs / found.dense_macs for each in alone)
    right = _per_cent([each.right for each in alone])
    return [*lines, _Line(Key("static, each trained for itself", red, (), "*"), own, right)]


def _per_cent(right: Sequence[Flags]) -> tuple[float, ...]:
    return tuple(100 * float(each.mean()) for each in right)


def _tradeoff(found: Found) -> Sheet:
    lines, pitch = _lines(found), WIDE.line
    keys, bottom = [each.key for each in lines], 330.0
    legend = bottom + 2.9 * pitch
    sheet = Sheet(WIDE, legend + legend_height(WIDE, keys, 10) + 4)
    sheet.legend(keys, 10, legend)
    sheet.write(4, pitch / 2, "test images classified right, %", Pen(color=GREY))
    best = max(max(each.right) for each in lines)
    for left, floor in ((50, 0.0), (460, best - NEAR)):
        axes = sheet.axes(left, pitch + 10, left + 360, bottom)
        axes.grid(visible=True)
        axes.set_xlabel("MACs, % of all channels")
        for each in lines:
            _draw(axes, each)
        axes.set_xlim(0, 104)
        axes.set_ylim(floor, best + 0.06 * (best - floor))
    sheet.write(460, pitch / 2, f"the same, the upper {NEAR:g} points", Pen(color=GREY))
    return sheet


def _draw(axes: Axes, line: _Line) -> None:
    star = line.key.marker == "*"
    dashes = (0, line.key.dashes) if line.key.dashes else "none"
    axes.plot(
        line.work, line.right, color=line.key.color, ls=dashes, marker=line.key.marker,
        ms=12 if star else 6, mec="white", mew=0.6, zorder=4 if star else 3,
    )  # fmt: skip
