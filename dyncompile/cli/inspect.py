"""The command ``inspect``."""

from __future__ import annotations

__all__ = ["inspect_command"]

from pathlib import Path

import click

from dyncompile.cli.options import FILE
from dyncompile.errors import ArtifactError


@click.command("inspect")
@click.argument("file", type=FILE, metavar="NET.onnx")
@click.option("--json", "as_json", is_flag=True, help="Print the manifest as JSON.")
def inspect_command(file: Path, as_json: bool) -> None:
    """Print the knobs and the decisions of an artifact, and what either side costs."""
    from rich.console import Console

    from dyncompile import artifact, cost
    from dyncompile.inspecting import (
        decisions_tree,
        knobs_table,
        plain,
        size_in_bytes,
        spell,
        values_table,
    )

    model, manifest = artifact.read(file)
    if manifest is None:
        raise ArtifactError(
            "not a dyncompile artifact: it has no manifest.",
            where=str(file),
            remedy="Export the network with dyncompile.",
        )
    if as_json:
        click.echo(manifest.to_json())
        return
    whole, fixed = cost.total(model), cost.always(model)
    target = "marked (dense, to be compiled)" if manifest.target == "marked" else "onnx"
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"[bold]{plain(file)}[/]: target {target}, {size_in_bytes(file.stat().st_size)}")
    if data := manifest.external_data:
        console.print(f"Weights: {plain(data.file)}, {size_in_bytes(data.bytes)}")
    console.print(f"Whole network: {spell(whole)}")
    console.print(f"Always runs: {spell(fixed, whole)}")
    console.print(values_table(model, manifest.knobs))
    if manifest.knobs:
        console.print(knobs_table(manifest.knobs))
    console.print(decisions_tree(manifest.decisions, whole))
