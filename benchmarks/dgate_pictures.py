"""The pictures of the study, as SVG files that stand for themselves."""

from __future__ import annotations

__all__ = ["draw_all"]

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.dgate_levels import Found, Level
from benchmarks.dgate_statics import Statics
from benchmarks.svg_files import svg_file
from dyncompile.reporting.pictures.axes import Row, RowSheet, stack
from dyncompile.reporting.sheet import GREY, INK, WIDE, Key, Pen, Sheet, legend_height, shades
from dyncompile.reporting.svg import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DEEPEST = 12.0  # points below the dense network; what is further down is not drawn
BINS = 10
SHOWN, SIZE, GAP = 10, 80, 5  # images of an exit, and their pixels
SEED = 0


def draw_all(found: Found, statics: Statics) -> Iterator[tuple[str, bytes]]:
    """Yield the name of each picture and its file; what the images do not give is left out."""
    with style(WIDE):
        yield "tradeoff", svg_file(_tradeoff(found, statics), "tradeoff", "Accuracy against work.")
        if found.study.data.test.difficulty is not None:
            yield "exits", svg_file(_exits(found), "exits", "Exits against difficulty.")
        yield "images", svg_file(_images(found), "images", "Images that leave at each exit.")


# --- accuracy against work and time -----------------------------------------------------------


@dataclass(frozen=True)
class _Point:
    """Shares of the dense network's MACs and time, accuracy in per cent, and its interval."""

    macs: float
    time: float
    right: float
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class _Series:
    key: Key
    points: tuple[_Point, ...]


def _series(found: Found, statics: Statics) -> list[_Series]:
    blue, orange, green, *_ = shades(3)
    dense = 100 * float(found.dense_right.mean())
    levels = [_level_point(found, level) for level in found.levels]
    prefixes, others = (
        tuple(
            _Point(each.macs / found.dense_macs, statics.times[each.name], 100 * each.right.mean())
            for each in group
        )
        for group in (statics.prefixes, statics.others)
    )
    return [
        _Series(Key("effort of one artifact, 95 %", blue, (1, 0), "o"), tuple(levels)),
        _Series(Key("static prefixes", orange, (4, 2), "s"), prefixes),
        _Series(Key("static, trained for itself", green, (), "^"), others),
        _Series(Key("dense", INK, (), "*"), (_Point(1, 1, dense),)),
    ]


def _level_point(found: Found, level: Level) -> _Point:
    lost, times = found.lost(level.right), found.times
    dense = 100 * float(found.dense_right.mean())
    ends = dense - 100 * lost.high, dense - 100 * lost.low
    time = 1 - times.saved(level.shares)
    return _Point(level.macs / found.dense_macs, time, 100 * float(level.right.mean()), ends)


def _tradeoff(found: Found, statics: Statics) -> Sheet:
    series = _series(found, statics)
    keys, line = [each.key for each in series], WIDE.line
    bottom = 330.0
    legend = bottom + 2.9 * line
    sheet = Sheet(WIDE, legend + legend_height(WIDE, keys, 10) + 4)
    sheet.legend(keys, 10, legend)
    sheet.write(4, line / 2, "test images classified right, %", Pen(color=GREY))
    floor = 100 * float(found.dense_right.mean()) - DEEPEST
    for place, (what, label) in enumerate((("macs", "MACs"), ("time", "time"))):
        left = 50 + place * 410
        axes = sheet.axes(left, line + 10, left + 360, bottom)
        axes.grid(visible=True)
        axes.set_xlabel(f"mean {label} an image, % of the dense network's")
        for each in series:
            points = [point for point in each.points if point.right >= floor]
            _draw(axes, each.key, [100 * getattr(point, what) for point in points], points)
        axes.set_xlim(0, None)
    return sheet


def _draw(axes: Axes, key: Key, xs: Sequence[float], points: Sequence[_Point]) -> None:
    dashes = (0, key.dashes) if key.dashes else "none"
    size = 13 if key.marker == "*" else 7
    axes.plot(
        xs, [point.right for point in points], color=key.color, ls=dashes, marker=key.marker,
        ms=size, mec="white", mew=0.6, zorder=4 if key.marker == "*" else 3,
    )  # fmt: skip
    for x, point in zip(xs, points, strict=True):
        if point.interval:
            axes.plot([x, x], point.interval, color=key.color, lw=1.2)


# --- exits against difficulty -----------------------------------------------------------------


def _exits(found: Found) -> Sheet:
    level, names = found.default, exit_names(found)
    difficulty = found.study.data.test.difficulty
    assert difficulty is not None
    bins = np.minimum((difficulty.numpy() * BINS).astype(np.int64), BINS - 1)
    colors = dict(zip(names, shades(len(names)), strict=True))
    there = [one for one in range(BINS) if (bins == one).any()]
    labels = [
        Row(
            f"{one / BINS:.1f} - {(one + 1) / BINS:.1f} ({(bins == one).sum():,} images)",
            f"{level.right[bins == one].mean():.1%} ({found.dense_right[bins == one].mean():.1%})",
        )
        for one in there
    ]
    keys = [Key(name, color) for name, color in colors.items()]
    sheet = RowSheet(WIDE, labels, "right (dense)", keys)
    sheet.axes.set_xlabel("share of the images of this difficulty, %")
    sheet.axes.set_xlim(0, 100)
    for place, one in enumerate(there):
        exits = np.bincount(level.exits[bins == one], minlength=len(names))
        shares = 100 * exits / exits.sum()
        stack(sheet, place, list(zip(shares.tolist(), colors.values(), strict=True)))
    return sheet.sheet


def exit_names(found: Found) -> list[str]:
    """Return what pictures call the exits."""
    gates = len(found.times.macs) - 1
    return [*(f"gate{number}" for number in range(1, gates + 1)), "the end"]


# --- images of each exit ----------------------------------------------------------------------


def _images(found: Found) -> Sheet:
    level, test = found.default, found.study.data.test
    random = np.random.default_rng(SEED)
    names, pitch = exit_names(found), SIZE + 2 * WIDE.line
    sheet = Sheet(WIDE, len(names) * pitch)
    for place, name in enumerate(names):
        there = np.flatnonzero(level.exits == place)
        top = place * pitch
        sheet.write(4, top + WIDE.line, _title(found, name, there), Pen(bold=True))
        if len(there):
            drawn = random.permutation(there)[:SHOWN]
            _strip(sheet, top + 1.8 * WIDE.line, test.pixels[drawn].numpy())
    return sheet


def _title(found: Found, name: str, there: np.ndarray[tuple[int], np.dtype[np.int64]]) -> str:
    share = f"{name}: {len(there) / len(found.default.exits):.0%} of the images"
    difficulty = found.study.data.test.difficulty
    if difficulty is None or not len(there):
        return share
    return f"{share}, mean difficulty {difficulty.numpy()[there].mean():.2f}"


def _strip(
    sheet: Sheet, top: float, pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]
) -> None:
    """Draw images ``uint8[n, 3, H, W]`` side by side, as one."""
    height, width = pixels.shape[2:]
    gap = round(GAP * width / SIZE)
    spaced = np.pad(pixels, ((0, 0), (0, 0), (0, 0), (0, gap)), constant_values=255)
    strip = spaced.transpose(2, 0, 3, 1).reshape(height, -1, pixels.shape[1])
    axes = sheet.axes(4, top, 4 + SIZE * strip.shape[1] / width, top + SIZE)
    axes.imshow(strip, interpolation="none", aspect="auto")
    axes.set_axis_off()
