"""The decisions, nested as they are reached."""

from __future__ import annotations

__all__ = ["tree"]

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter

from dyncompile.manifest import Decision
from dyncompile.reporting.pictures.outline import Line, draw_outline
from dyncompile.reporting.pictures.picture import LeftOut, Picture, draw
from dyncompile.reporting.tables import Cell, Table, name_cell
from dyncompile.reporting.view import View, option_name
from dyncompile.reporting.wording import amount, clean, count, percent

TITLE = "The decision tree"


@dataclass(frozen=True)
class _Nested:
    """A decision, with what stands under each of its options."""

    decision: Decision
    under: tuple[list[_Nested], ...]


def tree(view: View) -> tuple[Picture | LeftOut, ...]:
    """Show every decision under the option that leads to it."""
    decisions = view.findings.decisions
    if not decisions:
        return (LeftOut(TITLE, "The network takes no decisions."),)
    lines = list(_lines(view, _nest(decisions), depth=0))
    known = any(line.share is not None for line in lines)
    says = ["A decision stands under the option that leads to it. MACs: the work of that side."]
    if known:
        says.append("The wider a line, the more samples go along it at the default knobs.")
    seen = f"Tree of {count(len(decisions), 'decision')}. {' '.join(says)}"
    drawings = draw("tree", seen, lambda screen: draw_outline(lines, screen))
    return (Picture("tree", TITLE, tuple(says), drawings, (_table(view, known=known),)),)


def _nest(decisions: Sequence[Decision]) -> list[_Nested]:
    """Put each decision under the innermost option that leads to it."""
    top: list[_Nested] = []
    leaves: dict[tuple[str, int], tuple[int, list[_Nested]]] = {}
    pending = list(decisions)
    while pending:
        ready = [d for d in pending if all(place in leaves for place in d.under)]
        for decision in ready or pending:  # one that is under itself is shown flat
            outer = [leaves[place] for place in decision.under if place in leaves]
            depth, siblings = max(outer, key=itemgetter(0), default=(0, top))
            nested = _Nested(decision, tuple([] for _ in decision.sides))
            siblings.append(nested)
            for option, inner in enumerate(nested.under):
                leaves[decision.name, option] = depth + 1, inner
                for other, options in decision.aliases:
                    leaves.setdefault((other, options[option]), (depth + 1, inner))
        pending = [d for d in pending if d not in ready] if ready else []
    return top


def _lines(view: View, nested: Sequence[_Nested], depth: int) -> Iterator[Line]:
    for one in nested:
        decision = one.decision
        missed = view.share(decision, len(decision.sides))
        reached = None if missed is None else 1 - missed
        yield Line(decision.name, depth, reached, None, "")
        for option, side in enumerate(decision.sides):
            share = view.share(decision, option)
            name = option_name(decision, option)
            yield Line(name, depth + 1, share, option, amount(side.macs))
            yield from _lines(view, one.under[option], depth + 2)


def _table(view: View, *, known: bool) -> Table:
    rows: list[tuple[Cell | str, ...]] = []
    for decision in view.findings.decisions:
        under = ", ".join(f"{outer}={option}" for outer, option in decision.under)
        also = ", ".join(name for name, _ in decision.aliases)
        name = f"{decision.name} (also {also})" if also else decision.name
        for option, side in enumerate(decision.sides):
            share = view.share(decision, option)
            rows.append(
                (
                    name_cell(name, 48),
                    name_cell(under, 48),
                    option_name(decision, option),
                    *([clean(percent(share)) if share is not None else "-"] if known else []),
                    amount(side.macs),
                )
            )
    headings = ("decision", "under", "option", *(["share"] if known else []), "MACs")
    return Table("Decisions and their options", headings, tuple(rows), words=3)
