"""All setups in tables."""

from __future__ import annotations

__all__ = ["setup_tables"]

from collections.abc import Iterator

from dyncompile.measuring.findings import ARTIFACT, STATIC
from dyncompile.reporting.pictures.accuracy import points_table
from dyncompile.reporting.pictures.paths import paths_table
from dyncompile.reporting.tables import Cell, Table, name_cell
from dyncompile.reporting.view import View
from dyncompile.reporting.wording import duration, spell_setup, times


def setup_tables(view: View) -> tuple[Table, ...]:
    """Return a table of all setups, and the figures of those that have no picture."""
    return tuple(_tables(view))


def _tables(view: View) -> Iterator[Table]:
    views = [View(view.findings, place) for place in range(len(view.findings.setups))]
    if not views:
        return
    names = [name for one in views if one.main for name in one.main.others]
    names = list(dict.fromkeys(names))
    headings = ("setup", "mean", "95 % within", f"{ARTIFACT}, dearest path", "/ static")
    rows = tuple(_row(one, names) for one in views)
    others = (name_cell(name, 24) for name in names)
    yield Table("Setups, at the default knobs", (*headings, *others), rows, folded=False)
    for one in views[1:]:
        if one.main is None:
            continue
        name = spell_setup(one.main.setup)
        if one.points:
            found = points_table(one)
            yield Table(f"{found.title}, {name}", found.headings, found.rows, found.words)
        if one.paths:
            found = paths_table(one)
            yield Table(f"{found.title}; {name}", found.headings, found.rows, found.words)


def _row(view: View, names: list[str]) -> tuple[Cell | str, ...]:
    point, dearest, main = view.default, view.dearest, view.main
    assert main is not None
    forced = dearest.us.get(ARTIFACT) if dearest else None
    ratio = dearest.ratios.get(STATIC) if dearest else None
    return (
        spell_setup(main.setup),
        duration(point.mean_us) if point else "-",
        duration(point.p95_us) if point else "-",
        duration(forced.median) if forced else "-",
        times(ratio.median) if ratio else "-",
        *(duration(main.others[name].mean_us) if name in main.others else "-" for name in names),
    )
