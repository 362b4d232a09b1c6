"""What ``inspect`` shows of an artifact, as rich tables and trees."""

from __future__ import annotations

__all__ = [
    "budgets_tree",
    "decisions_tree",
    "knobs_table",
    "plain",
    "size_in_bytes",
    "spell",
    "spell_macs",
    "values_table",
]

from collections.abc import Collection, Mapping, Sequence
from operator import itemgetter

import onnx_ir as ir
from rich.markup import escape
from rich.table import Table
from rich.tree import Tree

from dyncompile.knobs import Knob, Levels
from dyncompile.manifest import Budgets, Decision, Side

_THOUSAND = 1000
_MOST_NODES = 4
_LOWERINGS = {
    None: "not lowered yet",
    "switch": "one network per level, cut from the same weights",
    "slice": "weights cut in each call, but for the last level",
    "chain": "each level adds its channels to the one before",
}


def values_table(
    model: ir.Model, knobs: Mapping[str, Knob], reports: Collection[str] = ()
) -> Table:
    """Show what the network reads, its knobs apart, and what it gives.

    Args:
        model: The network.
        knobs: Names of inputs that are left out.
        reports: Names of the outputs that report decisions.
    """
    table = Table("", "name", "type", title="Inputs and outputs", title_justify="left")
    for role, values in (("input", model.graph.inputs), ("output", model.graph.outputs)):
        for value in values:
            if value.name not in knobs:
                shown = "report" if role == "output" and value.name in reports else role
                table.add_row(shown, plain(value.name), plain(_type(value)))
    return table


def _type(value: ir.Value) -> str:
    dtype = value.dtype.numpy() if value.dtype else "?"
    sizes = "?" if value.shape is None else ", ".join(str(size) for size in value.shape)
    return f"{dtype}[{sizes}]"


def knobs_table(knobs: Mapping[str, Knob]) -> Table:
    """Show what scales the network at run time."""
    table = Table("knob", "kind", "range", "default", title="Knobs", title_justify="left")
    for name, knob in knobs.items():
        if isinstance(knob, Levels):
            values = ", ".join(map(str, knob.values))
            kind, span = "levels", f"0 to {len(knob.values) - 1}: {values}"
            default = f"{knob.default} ({knob.values[knob.default]})"
        else:
            kind, span = "threshold", f"{knob.low:g} to {knob.high:g}"
            numbers = [knob.default] if isinstance(knob.default, float) else knob.default
            default = ", ".join(f"{number:g}" for number in numbers)
        table.add_row(*map(plain, (name, kind, span, default)))
    return table


def budgets_tree(budgets: Sequence[Budgets]) -> Tree:
    """Show what became of channel budgets and why, and where they end."""
    root = Tree(f"Channel budgets ({len(budgets)})")
    for one in budgets:
        words = f"{one.levels} level{'s' if one.levels > 1 else ''}, "
        words += f"{one.lowering}: " if one.lowering else ""
        branch = root.add(f"[bold]{plain(one.decision)}[/] {words}{_LOWERINGS[one.lowering]}")
        if one.why:
            branch.add(f"why: {plain(one.why)}")
        reasons: dict[str, list[str]] = {}
        for barrier in one.barriers:
            reasons.setdefault(barrier.why, []).append(barrier.at)
        for why, nodes in reasons.items():
            listed = ", ".join(nodes[:_MOST_NODES])
            more = f" and {len(nodes) - _MOST_NODES} more" if len(nodes) > _MOST_NODES else ""
            branch.add(f"ends at {plain(listed)}{more}: {plain(why)}")
    return root


def decisions_tree(
    decisions: Sequence[Decision], whole: Side, leveled: Collection[str] = ()
) -> Tree:
    """Show every decision under the option that leads to it, with the cost of its sides.

    Args:
        decisions: All there are.
        whole: The cost of the whole network.
        leveled: Names of those whose options are levels.
    """
    root = Tree(f"Decisions ({len(decisions)})" if decisions else "No decisions")
    leaves: dict[tuple[str, int], tuple[int, Tree]] = {}
    pending = list(decisions)
    while pending:
        ready = [d for d in pending if all(place in leaves for place in d.under)]
        for decision in ready or pending:  # one that is under itself is shown flat
            outer = [leaves[place] for place in decision.under if place in leaves]
            depth, place = max(outer, key=itemgetter(0), default=(0, root))
            branch = place.add(_title(decision))
            word = "level" if _names(decision) & set(leveled) else "option"
            for option, side in enumerate(decision.sides):
                label = ("off", "on")[option] if decision.kind == "gate" else f"{word} {option}"
                leaf = depth + 1, branch.add(f"{label}: {spell(side, whole)}")
                leaves[decision.name, option] = leaf
                for name, options in decision.aliases:
                    leaves.setdefault((name, options[option]), leaf)
        pending = [d for d in pending if d not in ready] if ready else []
    return root


def _names(decision: Decision) -> set[str]:
    return {decision.name, *(name for name, _ in decision.aliases)}


def _title(decision: Decision) -> str:
    also = ", ".join(name for name, _ in decision.aliases)
    return f"[bold]{plain(decision.name)}[/] {decision.kind}" + (
        f" (also {plain(also)})" if also else ""
    )


def spell(side: Side, whole: Side | None = None) -> str:
    """Spell a cost, and its share of the whole network."""
    share = f" ({side.macs / whole.macs:.1%})" if whole and whole.macs else ""
    return f"{_count(side.macs)} MACs{share}, {size_in_bytes(side.weight_bytes)} of weights"


def spell_macs(count: int) -> str:
    """Spell multiply-accumulates, as in ``1.26 M MACs``."""
    return f"{_count(count)} MACs"


def size_in_bytes(count: int) -> str:
    """Spell a size, as in ``1.26 MB``."""
    return f"{_count(count)}B" if count >= _THOUSAND else f"{count} B"


def _count(number: float) -> str:
    for unit in ("", " k", " M", " G"):
        if number < _THOUSAND - 0.5:
            return f"{number:.3g}{unit}"
        number /= _THOUSAND
    return f"{number:,.3f} T"


def plain(text: object) -> str:
    """Keep brackets from being read as markup."""
    return escape(str(text))
