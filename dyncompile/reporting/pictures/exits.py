"""Which paths the samples take, and where they leave."""

from __future__ import annotations

__all__ = ["exits"]

from collections import Counter
from collections.abc import Mapping, Sequence

from dyncompile.measuring.findings import PointFound
from dyncompile.reporting.pictures.axes import Row, RowSheet, stack
from dyncompile.reporting.pictures.picture import LeftOut, Picture, draw
from dyncompile.reporting.sheet import Key, Screen, Sheet, shades
from dyncompile.reporting.tables import Cell, Table, name_cell
from dyncompile.reporting.view import View, option_name
from dyncompile.reporting.wording import (
    amount,
    clean,
    count,
    duration,
    percent,
    shortened,
    spell_path,
)

TITLE = "Which paths the samples take"
SHARE = "share of the samples, %"
MOST_PATHS = 12
MOST_ROWS = 60
MOST_ENDS = 7
MOST_POINTS = 30
REST = "other"
LONGEST_PATH = 72  # characters, in a sentence


def exits(view: View) -> tuple[Picture | LeftOut, ...]:
    """Show the paths at the default knobs, and the last decision met at every setting."""
    point = view.default
    if point is None or not point.samples:
        return (LeftOut(TITLE, "No sample ran at the default knobs."),)
    if not view.findings.decisions:
        return (LeftOut(TITLE, "The network takes no decisions, so there is one path."),)
    return (_paths(view, point), _ends(view))


def _paths(view: View, point: PointFound) -> Picture:
    rows = [
        (f"{view.path_number(one.path)}: {spell_path(one.path)}", one.samples / point.samples)
        for one in point.taken[:MOST_PATHS]
    ]
    rest = point.taken[MOST_PATHS:]
    if rest:
        share = sum(one.samples for one in rest) / point.samples
        rows.append((f"{REST}: {count(len(rest), 'path')}, no bar", share))
    first, most = shortened(rows[0][0], LONGEST_PATH), percent(rows[0][1])
    likeliest = f"Path {first} is the most frequent, with {most}."
    if len(point.taken) > 1 and point.taken[1].samples == point.taken[0].samples:
        likeliest = f"No path is more frequent than path {first}, with {most}."

    def drawn(screen: Screen) -> Sheet:
        labels = [Row(label, percent(share)) for label, share in rows]
        sheet = RowSheet(screen, labels, "share", [])
        sheet.axes.set_xlabel(SHARE)
        sheet.axes.set_xlim(0, 102 * rows[0][1])
        for place, (_, share) in enumerate(rows[:MOST_PATHS]):
            stack(sheet, place, [(100 * share, shades(1)[0])])
        return sheet.sheet

    return Picture(
        "paths-taken",
        TITLE,
        (
            f"{count(point.samples, 'sample')} took {count(len(point.taken), 'path')}.",
            clean(likeliest),
            "At the default knobs.",
            "A path is written as the option of each decision met: 0 is off, 1 is on.",
        ),
        draw("paths-taken", f"Bars: share of the samples per path. {clean(likeliest)}", drawn),
        (_paths_table(view, point),),
    )


def _paths_table(view: View, point: PointFound) -> Table:
    headings = ["path", "", "samples", "share"] + ["right"] * view.labelled
    rows: tuple[tuple[Cell | str, ...], ...] = tuple(
        (
            str(view.path_number(one.path)),
            name_cell(spell_path(one.path)),
            str(one.samples),
            percent(one.samples / point.samples),
            *([percent(_part(one.right, one.samples))] if view.labelled else []),
        )
        for one in point.taken[:MOST_ROWS]
    )
    title = "Paths at the default knobs"
    if len(rows) < len(point.taken):
        title += f", the {len(rows)} most frequent of {len(point.taken)}"
    return Table(title, tuple(headings), rows, words=2)


def _part(part: int | None, whole: int) -> float:
    return float("nan") if part is None or not whole else part / whole


def _ends(view: View) -> Picture:
    names = _end_names(view)
    shown = view.points[:MOST_POINTS]
    title = "Where the samples leave, over the knobs"
    found = [(point, _end_shares(point, names)) for point in shown]
    used = _most_used([shares for _, shares in found], names)
    colors = dict(zip(used, shades(len(used)), strict=True))

    def drawn(screen: Screen) -> Sheet:
        keys = [Key(name, color) for name, color in colors.items()]
        labels = [
            Row(view.point_name(point), duration(point.mean_us), point.is_default)
            for point in shown
        ]
        sheet = RowSheet(screen, labels, "mean time", keys)
        sheet.axes.set_xlabel(SHARE)
        sheet.axes.set_xlim(0, 100)
        for place, (_, shares) in enumerate(found):
            grouped = _grouped(shares, used)
            stack(sheet, place, [(100 * grouped[name], colors[name]) for name in used])
        return sheet.sheet

    says = "Each bar is one setting of the knobs; its parts are the last decision that samples met."
    cut = len(view.points) - len(shown)
    return Picture(
        "ends",
        title,
        (says, f"{count(cut, 'setting')} more in the table.") if cut else (says,),
        draw("ends", f"Stacked bars, {count(len(shown), 'setting')} of the knobs. {says}", drawn),
        (_ends_table(view, names, used),),
    )


def _end_names(view: View) -> dict[tuple[str, int], str]:
    """Name each way to end, in the order of the decisions."""
    names = {
        (decision.name, option): f"{decision.name} {option_name(decision, option)}"
        for decision in view.findings.decisions
        for option in range(len(decision.sides))
    }
    met = {_end(taken.path) for point in view.points for taken in point.taken}
    for end in met - names.keys():
        names[end] = f"{end[0]}={end[1]}" if end[0] else "no decision"
    return {end: clean(name) for end, name in names.items() if end in met}


def _end(path: Mapping[str, int]) -> tuple[str, int]:
    return (*path.items(), ("", 0))[max(len(path) - 1, 0)]


def _end_shares(point: PointFound, names: Mapping[tuple[str, int], str]) -> Counter[str]:
    shares: Counter[str] = Counter()
    for taken in point.taken:
        shares[names[_end(taken.path)]] += taken.samples / point.samples  # type: ignore[assignment]
    return shares


def _most_used(
    found: Sequence[Mapping[str, float]], names: Mapping[tuple[str, int], str]
) -> list[str]:
    total: Counter[str] = Counter()
    for shares in found:
        total.update(shares)
    ordered = list(dict.fromkeys(names.values()))
    if len(ordered) <= MOST_ENDS:
        return ordered
    kept = {name for name, _ in total.most_common(MOST_ENDS)}
    return [*(name for name in ordered if name in kept), REST]


def _grouped(shares: Mapping[str, float], used: Sequence[str]) -> dict[str, float]:
    grouped = dict.fromkeys(used, 0.0)
    for name, share in shares.items():
        grouped[name if name in grouped else REST] += share
    return grouped


def _ends_table(view: View, names: Mapping[tuple[str, int], str], used: Sequence[str]) -> Table:
    rows: list[tuple[Cell | str, ...]] = []
    for point in view.points:
        grouped = _grouped(_end_shares(point, names), used)
        rows.append(
            (
                name_cell(view.point_name(point)),
                *(percent(grouped[name]) for name in used),
                amount(point.macs),
                duration(point.mean_us),
            )
        )
    headings: tuple[Cell | str, ...] = (
        "knobs",
        *(name_cell(name, 24) for name in used),
        "mean MACs",
        "mean time",
    )
    return Table("Where the samples leave, over the knobs", headings, tuple(rows))
