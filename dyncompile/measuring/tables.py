"""What was found, as tables for the terminal."""

from __future__ import annotations

__all__ = [
    "parts_table",
    "paths_key",
    "paths_table",
    "points_table",
    "spell_paths",
    "spell_setup",
    "times_key",
]

from collections.abc import Mapping, Sequence

from rich.table import Table

from dyncompile.inspecting import plain
from dyncompile.manifest import Decision
from dyncompile.measuring.findings import (
    ALWAYS,
    ARTIFACT,
    DEAREST,
    SCORED,
    STATIC,
    Part,
    Setup,
    SetupFound,
)
from dyncompile.measuring.points import single_line
from dyncompile.timing import Spread

MOST_ROWS = 24
_WIDEST_PATH = 26
_NOT_MET = "-"
_OPERATORS = 3


def spell_setup(setup: Setup) -> str:
    """Spell a setup, as in ``1 thread, CPU``."""
    threads = "threads as ONNX Runtime likes"
    if setup.threads is not None:
        threads = f"{setup.threads} thread{'' if setup.threads == 1 else 's'}"
    return f"{threads}, {setup.providers[0].removesuffix('ExecutionProvider')}"


def spell_paths(paths: Sequence[Mapping[str, int]], decisions: Sequence[Decision]) -> list[str]:
    """Spell paths side by side: with names where all fit, else one character per decision."""
    named = [" ".join(f"{name}={option}" for name, option in path.items()) for path in paths]
    if all(len(text) <= _WIDEST_PATH for text in named):
        return [text or "the only path" for text in named]
    return ["".join(_letter(path.get(d.name)) for d in decisions) for path in paths]


def _letter(option: int | None) -> str:
    if option is None:
        return _NOT_MET
    return str(option) if option < 10 else f"({option})"


def paths_table(found: SetupFound, decisions: Sequence[Decision]) -> Table:
    """Show every forced path: what it takes, and against its static network."""
    spelled = spell_paths([one.path for one in found.paths], decisions)
    several = len({single_line(one.point) for one in found.paths}) > 1
    table = Table(title="Paths, forced", title_justify="left")
    table.add_column("path", overflow="fold")
    if several:
        table.add_column("knobs", overflow="fold")
    for name in ("MACs", "artifact us", f"/ {STATIC}", "/ with scores"):
        table.add_column(name, justify="right")
    for one, path in list(zip(found.paths, spelled, strict=True))[:MOST_ROWS]:
        knobs = [single_line(one.point)] if several else []
        ratios = [_ratio(one.ratios[k]) if k in one.ratios else "" for k in (STATIC, SCORED)]
        us = _middle(one.us[ARTIFACT])
        table.add_row(*map(plain, (path, *knobs, count(one.macs), us, *ratios)))
    return table


def paths_key(found: SetupFound, decisions: Sequence[Decision]) -> str | None:
    """Say what the characters of a path mean; None where paths have names in them."""
    spelled = spell_paths([one.path for one in found.paths], decisions)
    if all("=" in path for path, one in zip(spelled, found.paths, strict=True) if one.path):
        return None
    names = ", ".join(decision.name for decision in decisions)
    return f"A path is the option of {names}; {_NOT_MET} is not met."


def points_table(found: SetupFound) -> Table:
    """Show the artifact deciding for itself, and what ran beside it."""
    labelled = any(point.right is not None for point in found.points)
    static = found.others.get(DEAREST)
    title = "Deciding for itself"
    if any(point.point for point in found.points):
        title += " (*: the defaults)"
    table = Table(title=title, title_justify="left")
    table.add_column("knobs", overflow="fold")
    for name in (
        *(["right"] if labelled else []),
        *("mean us", "median", "p95", "MACs"),
        *(["/ static"] if static else []),
    ):
        table.add_column(name, justify="right")
    for point in found.points:
        knobs = single_line(point.point) or "no knobs"
        right = [] if not labelled else [f"{(point.right or 0) / point.samples:.1%}"]
        times = [f"{us:.1f}" for us in (point.mean_us, point.us.median, point.p95_us)]
        ratio = [f"{point.mean_us / static.mean_us:.2f}"] if static else []
        mark = "* " if point.is_default and point.point else ""
        table.add_row(*map(plain, (mark + knobs, *right, *times, count(point.macs), *ratio)))
    for label, one in found.others.items():
        times = [f"{us:.1f}" for us in (one.mean_us, one.us.median, one.p95_us)]
        table.add_row(*map(plain, (label, *([""] if labelled else []), *times, "")))
    return table


def times_key(found: SetupFound) -> str:
    """Say what the columns of times and ratios are."""
    words = [
        "us: microseconds a call, and of paths the median ± half the width of the middle half",
        f"/ {STATIC}, / with scores: the artifact's time over that of these networks",
    ]
    if DEAREST in found.others:
        words.append(f"/ static of free runs: the mean time over that of {DEAREST!r}")
    return "; ".join(words) + "."


def parts_table(parts: Sequence[Part]) -> Table:
    """Show where the time goes at the default knobs."""
    table = Table(title="Where the time goes", title_justify="left")
    table.add_column("part", overflow="fold")
    table.add_column("us", justify="right")
    table.add_column("share", justify="right")
    table.add_column("most of it", overflow="fold")
    whole = sum(part.us for part in parts) or 1.0
    for part in parts[:MOST_ROWS]:
        name = "always" if part.decision == ALWAYS else f"{part.decision}={part.option}"
        most = sorted(part.operators, key=lambda k: -part.operators[k])[:_OPERATORS]
        row = (name, f"{part.us:.1f}", f"{part.us / whole:.0%}", ", ".join(most))
        table.add_row(*map(plain, row))
    return table


def count(number: float) -> str:
    """Spell a count, as in ``1.26 M``."""
    for unit in ("", " k", " M", " G"):
        if number < 999.5:
            return f"{number:.3g}{unit}"
        number /= 1000
    return f"{number:,.3f} T"


def _middle(us: Spread) -> str:
    """Spell a median, and half of the width of the middle half."""
    return f"{us.median:.1f} ±{(us.high - us.low) / 2:.1f}"


def _ratio(ratio: Spread) -> str:
    return f"{ratio.median:.3f} ±{(ratio.high - ratio.low) / 2:.3f}"
