"""What the commands print of an engine."""

from __future__ import annotations

__all__ = ["bindings_table", "print_engine"]

from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from dyncompile.cli.report import leveled
from dyncompile.engine_file import TITLES
from dyncompile.inspecting import (
    budgets_tree,
    decisions_tree,
    knobs_table,
    plain,
    size_in_bytes,
)
from dyncompile.manifest import Side

if TYPE_CHECKING:
    from rich.console import Console

    from dyncompile.engine_file import Binding, Engine


def print_engine(file: Path, engine: Engine, console: Console) -> None:
    """Print what an engine is and was built for, takes and gives, its knobs and decisions."""
    manifest = engine.manifest
    console.print(
        f"[bold]{plain(file)}[/]: engine of {TITLES[engine.flavor]} {plain(engine.version)},"
        f" {size_in_bytes(engine.bytes)}"
    )
    chips = ", ".join(engine.chips) or "the chips that it builds for by default"
    console.print(f"Built for: {plain(chips)}")
    console.print(f"Precision: {plain(engine.precision)}")
    if manifest.telemetry:
        console.print("Telemetry: each call reports the option that every decision took.")
    console.print(bindings_table(engine))
    if manifest.knobs:
        console.print(knobs_table(manifest.knobs))
    unknown = Side(0, 0)  # the graph is gone, and what it costs as a whole with it
    console.print(decisions_tree(manifest.decisions, unknown, leveled(manifest)))
    if manifest.budgets:
        console.print(budgets_tree(manifest.budgets), soft_wrap=False)


def bindings_table(engine: Engine) -> Table:
    """Show what the engine reads, knobs among it, what it gives, and where."""
    table = Table("", "name", "type", "read or written in", title="Inputs and outputs")
    table.title_justify = "left"
    for binding in engine.inputs:
        role = "knob" if binding.name in engine.manifest.knobs else "input"
        table.add_row(role, *_row(binding))
    for binding in engine.outputs:
        is_report = binding.name in engine.manifest.telemetry.values()
        table.add_row("report" if is_report else "output", *_row(binding))
    return table


def _row(binding: Binding) -> tuple[str, str, str]:
    sizes = ", ".join("?" if size < 0 else str(size) for size in binding.shape)
    place = "memory of the GPU" if binding.location == "device" else "memory of the host"
    return plain(binding.name), plain(f"{binding.dtype}[{sizes}]"), place
