"""Where the time goes: decisions and operators."""

from __future__ import annotations

__all__ = ["parts"]

from collections import Counter
from collections.abc import Sequence

from dyncompile.measuring.findings import ALWAYS, Part
from dyncompile.reporting.pictures.axes import Row, RowSheet, stack, time_scale
from dyncompile.reporting.pictures.picture import LeftOut, Picture, draw
from dyncompile.reporting.sheet import Key, Screen, Sheet, shades
from dyncompile.reporting.tables import Cell, Table, name_cell
from dyncompile.reporting.view import View, option_name
from dyncompile.reporting.wording import clean, count, duration, percent

TITLE = "Where the time goes"
MOST_PARTS = 20
MOST_OPERATORS = 6
REST = "other"


def parts(view: View) -> tuple[Picture | LeftOut, ...]:
    """Show the time of each option of each decision, by operator."""
    found = [part for part in (view.main.parts if view.main else ()) if part.us > 0]
    if not found:
        return (LeftOut(TITLE, "The time was not profiled by operator."),)
    operators = _operators(found)
    colors = dict(zip(operators, shades(len(operators)), strict=True))
    shown, rest = found[:MOST_PARTS], found[MOST_PARTS:]
    bars = [(_name(view, part), part.us, _split(part, operators)) for part in shown]
    if rest:
        sums: Counter[str] = Counter()
        for part in rest:
            sums.update(_split(part, operators))
        label = f"{REST}: {count(len(rest), 'part')}"
        bars.append((label, sum(part.us for part in rest), dict(sums)))

    def drawn(screen: Screen) -> Sheet:
        rows = [Row(label, duration(us)) for label, us, _ in bars]
        keys = [Key(name, color) for name, color in colors.items()]
        sheet = RowSheet(screen, rows, "mean", keys)
        most = max(us for _, us, _ in bars)
        unit = time_scale(sheet.axes, 0, most, screen, from_zero=True)
        sheet.axes.set_xlabel(f"mean time a call, {unit}")
        for place, (_, _, split) in enumerate(bars):
            stack(sheet, place, [(split.get(name, 0.0), colors[name]) for name in operators])
        return sheet.sheet

    whole = sum(part.us for part in found)
    most_of_it = f"Largest: {_name(view, found[0])}, {percent(found[0].us / whole)} of the time."
    return (
        Picture(
            "parts",
            TITLE,
            (
                "Mean time a call at the default knobs; calls that skip the work count as zero.",
                "What is nested in other decisions is not counted twice.",
                most_of_it,
            ),
            draw("parts", f"Bars: time per part of the network, by operator. {most_of_it}", drawn),
            (_table(view, found, operators),),
        ),
    )


def _operators(found: Sequence[Part]) -> list[str]:
    total: Counter[str] = Counter()
    for part in found:
        total.update(part.operators)
    kept = [name for name, _ in total.most_common(MOST_OPERATORS)]
    left = sum(total.values()) - sum(total[name] for name in kept)
    unaccounted = sum(part.us for part in found) - sum(total.values())
    return [*kept, REST] if left + max(unaccounted, 0) > 1e-9 * sum(total.values()) else kept


def _split(part: Part, operators: Sequence[str]) -> dict[str, float]:
    """Return the time of each operator; what they leave of the part is ``REST``."""
    split = {name: part.operators.get(name, 0.0) for name in operators if name != REST}
    if REST in operators:
        split[REST] = max(part.us - sum(split.values()), 0.0)
    return split


def _name(view: View, part: Part) -> str:
    if part.decision == ALWAYS:
        return "always runs"
    for decision in view.findings.decisions:
        if decision.name == part.decision:
            return clean(f"{decision.name} {option_name(decision, part.option)}")
    return clean(f"{part.decision}={part.option}")


def _table(view: View, found: Sequence[Part], operators: Sequence[str]) -> Table:
    whole = sum(part.us for part in found)
    rows: list[tuple[Cell | str, ...]] = []
    for part in found:
        split = _split(part, operators)
        each = (duration(split[name]) if split.get(name) else "" for name in operators)
        rows.append(
            (name_cell(_name(view, part)), duration(part.us), percent(part.us / whole), *each)
        )
    headings: tuple[Cell | str, ...] = (
        "work",
        "mean",
        "share",
        *(name_cell(name, 24) for name in operators),
    )
    return Table("Time by part of the network and operator", headings, tuple(rows))
