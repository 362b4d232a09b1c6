"""What the commands print of an artifact and of its verification."""

from __future__ import annotations

__all__ = ["leveled", "print_artifact", "print_report"]

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import onnx_ir as ir
from rich.console import Console

from dyncompile import cost
from dyncompile.inspecting import (
    budgets_tree,
    decisions_tree,
    knobs_table,
    plain,
    size_in_bytes,
    spell,
    values_table,
)
from dyncompile.knobs import Levels
from dyncompile.manifest import Manifest

if TYPE_CHECKING:
    from dyncompile.verify import Report

_MOST_LINES = 8


def print_artifact(file: Path, model: ir.Model, manifest: Manifest, console: Console) -> None:
    """Print what a file is, takes and gives, its knobs, and what its decisions cost."""
    target = manifest.target + (" (dense, to be compiled)" if manifest.target == "marked" else "")
    console.print(f"[bold]{plain(file)}[/]: target {target}, {size_in_bytes(file.stat().st_size)}")
    if data := manifest.external_data:
        console.print(f"Weights: {plain(data.file)}, {size_in_bytes(data.bytes)}")
    whole = cost.total(model)
    console.print(f"Whole network: {spell(whole)}")
    console.print(f"Always runs: {spell(cost.always(model), whole)}")
    if manifest.telemetry:
        console.print("Telemetry: each call reports the option that every decision took.")
    reports = manifest.telemetry.values()
    console.print(values_table(model, manifest.knobs, reports))
    if manifest.knobs:
        console.print(knobs_table(manifest.knobs))
    if manifest.target == "marked":  # what a side costs is known once it is compiled
        names = ", ".join(decision.name for decision in manifest.decisions)
        console.print(f"Decisions ({len(manifest.decisions)}): {plain(names)}")
    else:
        console.print(decisions_tree(manifest.decisions, whole, leveled(manifest)))
    if manifest.budgets:
        console.print(budgets_tree(manifest.budgets), soft_wrap=False)


def leveled(manifest: Manifest) -> set[str]:
    """Return the names of decisions whose options are levels."""
    levels = {name for name, knob in manifest.knobs.items() if isinstance(knob, Levels)}
    found = {d.name for d in manifest.decisions if levels & set(d.values)}
    return found | {budgets.decision for budgets in manifest.budgets}


def print_report(report: Report, console: Console) -> None:
    """Print what verification saw."""
    points, paths = len(report.operating_points), _count(report.paths, "path")
    console.print(
        f"[bold]Verified[/]: {_count(report.samples, 'sample')} at"
        f" {_count(points, 'operating point')};"
        f" largest difference {report.largest_difference:.2g} of the largest element."
    )
    if report.paths:
        which = "all there are" if report.complete else "every decision every way, not all paths"
        console.print(f"Forced {paths}: {which}.")
    else:
        console.print("Forced no path: a marked file runs all of them.")
    _print_list(
        "Not forced, because decided without a marker or used as a mask too",
        report.unforced,
        console,
    )
    ties = [
        f"{tie.decision} in sample {tie.sample}"
        f"{''.join(f', {name}={value}' for name, value in tie.operating_point.items())}"
        f" (by {tie.margin:.2g})"
        for tie in report.near_ties
    ]
    _print_list("Near ties, decided otherwise than the model", ties, console)
    reached = [f"{_spell(path)} ({count}x)" for path, count in report.reached]
    _print_list("Paths the samples took by themselves", reached, console)
    unreached = [f"{name}={option}" for name, option in report.unreached]
    if unreached:
        console.print(f"No sample took by itself: {plain(', '.join(unreached))}")


def _print_list(title: str, entries: Sequence[str], console: Console) -> None:
    if entries:
        console.print(f"{title}:")
    for entry in entries[:_MOST_LINES]:
        console.print(f"  {plain(entry)}")
    if len(entries) > _MOST_LINES:
        console.print(f"  and {len(entries) - _MOST_LINES} more")


def _spell(path: Mapping[str, int]) -> str:
    return " ".join(f"{name}={option}" for name, option in path.items()) or "no decision"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
