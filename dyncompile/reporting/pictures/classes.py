"""Which classes take which side of each decision."""

from __future__ import annotations

__all__ = ["classes"]

from collections.abc import Iterator

import numpy as np

from dyncompile.reporting.pictures.heat import Shares, draw_heat
from dyncompile.reporting.pictures.picture import LeftOut, Picture, draw
from dyncompile.reporting.tables import Cell, Table, name_cell
from dyncompile.reporting.view import View, option_name
from dyncompile.reporting.wording import clean, count, percent

TITLE = "Share of samples per decision and class"
CLASSES_A_TABLE = 10
MOST_CLASSES = 100


def classes(view: View) -> tuple[Picture | LeftOut, ...]:
    """Show which share of the samples of a class takes each option."""
    if not view.findings.decisions:
        return (LeftOut(TITLE, "The network takes no decisions."),)
    if view.default is None or not view.default.samples:
        return (LeftOut(TITLE, "No sample ran at the default knobs."),)
    rows = list(_rows(view, whole=False))
    if not rows:
        return (LeftOut(TITLE, "No decision was recorded."),)
    names, shares = [name for name, _ in rows], np.stack([share for _, share in rows])
    says = [
        "Of all samples of a class, the share for which a gate is on or a switch takes the option.",
        "At the default knobs.",
    ]
    if len(view.class_names()) == 1:
        says.append("Without labels all samples are one class.")
    if len(view.class_names()) > MOST_CLASSES:
        says.append(f"The tables show the first {MOST_CLASSES} classes.")
    if np.isnan(shares).any():
        says.append("White: the class has no sample.")
    seen = f"Heat map: {count(len(names), 'row')} by {len(view.class_names())} classes. {says[0]}"
    labels = [clean(name) for name in view.class_names()]
    drawings = draw("classes", seen, lambda screen: draw_heat(names, labels, shares, screen))
    return (Picture("classes", TITLE, tuple(says), drawings, tuple(_tables(view))),)


def _rows(view: View, *, whole: bool) -> Iterator[tuple[str, Shares]]:
    """Yield a name and the share of each class: gates that are on, options of switches.

    With ``whole`` also those that did not come to a decision, where they are other ones than
    for the decisions before.
    """
    told = {(0.0,) * len(view.class_names())}
    for decision in view.findings.decisions:
        found = view.default.options.get(decision.name) if view.default else None
        if not found:
            continue
        counts = np.asarray(found, np.float64)
        samples = counts.sum(1)
        shares = counts / np.where(samples, samples, np.nan)[:, None]
        if whole and (missed := tuple(counts[:, -1])) not in told:
            told.add(missed)
            yield clean(f"{decision.name} not reached"), shares[:, -1]
        for option in range(int(decision.kind == "gate"), len(decision.sides)):
            yield clean(f"{decision.name} {option_name(decision, option)}"), shares[:, option]


def _tables(view: View) -> Iterator[Table]:
    rows = list(_rows(view, whole=True))
    labels = view.class_names()
    for start in range(0, min(len(labels), MOST_CLASSES), CLASSES_A_TABLE):
        chosen = labels[start : start + CLASSES_A_TABLE]
        body: list[tuple[Cell | str, ...]] = [
            (name_cell(name, 48), *map(percent, shares[start : start + CLASSES_A_TABLE].tolist()))
            for name, shares in rows
        ]
        title = TITLE
        if len(labels) > CLASSES_A_TABLE:
            title += f", classes {start + 1} to {start + len(chosen)} of {len(labels)}"
        yield Table(title, ("decision", *(name_cell(c, 20) for c in chosen)), tuple(body))
