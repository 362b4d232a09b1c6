"""Every forced path beside a static network of it."""

from __future__ import annotations

__all__ = ["paths", "paths_table"]

from collections.abc import Sequence

from dyncompile.measuring.findings import ARTIFACT, STATIC, PathFound
from dyncompile.reporting.pictures.axes import Row, RowSheet, time_scale
from dyncompile.reporting.pictures.picture import LeftOut, Picture, draw
from dyncompile.reporting.sheet import INK, Key, Screen, Sheet, shades
from dyncompile.reporting.tables import Cell, Table, name_cell
from dyncompile.reporting.view import View
from dyncompile.reporting.wording import amount, clean, duration, spell_path, spell_point, times

TITLE = "Each path beside a static network of it"
MOST_ROWS = 24
BAR = 6.0


def paths(view: View) -> tuple[Picture | LeftOut, ...]:
    """Show the time of the artifact on each path, and that of what ran beside it."""
    found = _found(view)
    if not found:
        return (LeftOut(TITLE, "No path was forced."),)
    labels = _labels(found)
    shown = _spread_out(found)
    names = [ARTIFACT, *labels]
    keys = [Key(name, color) for name, color in zip(names, shades(len(names)), strict=True)]

    def drawn(screen: Screen) -> Sheet:
        rows = [Row(_label(view, one), _ratio(one)) for one in shown]
        end = "/ static" if STATIC in labels else ""
        sheet = RowSheet(screen, rows, end, keys, thickness=BAR * len(keys))
        most = max(spread.high for one in shown for spread in one.us.values())
        unit = time_scale(sheet.axes, 0, most, screen, from_zero=True)
        sheet.axes.set_xlabel(f"time a call, {unit}")
        for place, one in enumerate(shown):
            _bars(sheet, sheet.middle(place), one, keys)
        return sheet.sheet

    says = ["Decisions forced; a bar is the median, the thin line the middle half of the times."]
    if STATIC in labels:
        says.append(
            "Right: time of the artifact over that of the static network, measured in turns."
        )
    if len(shown) < len(found):
        says.append(f"{len(shown)} of the {len(found)} paths, spread over their work.")
    return (
        Picture(
            "paths",
            TITLE,
            tuple(says),
            draw(
                "paths",
                f"Bars: time per path, of the {ARTIFACT} and what it is compared with. {says[-1]}",
                drawn,
            ),
            (paths_table(view),),
        ),
    )


def _found(view: View) -> list[PathFound]:
    return sorted((one for one in view.paths if ARTIFACT in one.us), key=lambda one: one.macs)


def _labels(found: Sequence[PathFound]) -> list[str]:
    return list(dict.fromkeys(label for one in found for label in one.us if label != ARTIFACT))


def _spread_out(found: Sequence[PathFound]) -> list[PathFound]:
    if len(found) <= MOST_ROWS:
        return list(found)
    return [found[place * (len(found) - 1) // (MOST_ROWS - 1)] for place in range(MOST_ROWS)]


def _label(view: View, one: PathFound) -> str:
    return clean(f"{view.path_number(one.path)}: {spell_path(one.path)}{_at(view, one)}")


def _at(view: View, one: PathFound) -> str:
    """Say at which knobs, where that is not the same for all paths."""
    if all(one.point == other.point for other in view.paths):
        return ""
    return f" at {spell_point(one.point)}"


def _ratio(one: PathFound) -> str:
    return times(one.ratios[STATIC].median) if STATIC in one.ratios else ""


def _bars(sheet: RowSheet, middle: float, one: PathFound, keys: Sequence[Key]) -> None:
    """Draw a bar for each that ran, in the order of the legend."""
    for place, key in enumerate(keys):
        if key.label not in one.us:
            continue
        spread = one.us[key.label]
        y = middle + BAR * (place - (len(keys) - 1) / 2)
        sheet.axes.barh(y, spread.median, BAR, color=key.color, edgecolor="white", lw=0.6)
        sheet.axes.plot([spread.low, spread.high], [y, y], color=INK, lw=1.0)


def paths_table(view: View) -> Table:
    """Return the figures of every forced path."""
    found = _found(view)
    labels = _labels(found)
    rows: list[tuple[Cell | str, ...]] = []
    for one in found:
        others = [
            f"{duration(one.us[label].median)} ({times(one.ratios[label].median)})"
            if label in one.us and label in one.ratios
            else ""
            for label in labels
        ]
        own = one.us[ARTIFACT]
        rows.append(
            (
                str(view.path_number(one.path)),
                name_cell(spell_path(one.path) + _at(view, one)),
                amount(one.macs),
                duration(own.median),
                f"{duration(own.low)} - {duration(own.high)}",
                *others,
            )
        )
    headings = ("path", "", "MACs", ARTIFACT, "middle half", *map(clean, labels))
    title = "Paths: median time a call; in brackets the time of the artifact over it"
    return Table(title, headings, tuple(rows), words=2)
