"""The command ``inspect``."""

from __future__ import annotations

__all__ = ["inspect_command"]

from pathlib import Path

import click

from dyncompile.cli.options import FILE
from dyncompile.manifest import no_manifest


@click.command("inspect")
@click.argument("file", type=FILE, metavar="NET.onnx")
@click.option("--json", "as_json", is_flag=True, help="Print the manifest as JSON.")
def inspect_command(file: Path, as_json: bool) -> None:
    """Print the knobs, decisions and costs of an artifact, and what calls take here."""
    from rich.console import Console

    from dyncompile import artifact
    from dyncompile.cli.latencies import print_latencies
    from dyncompile.cli.report import print_artifact

    model, manifest = artifact.read(file)
    if manifest is None:
        raise no_manifest(str(file))
    if as_json:
        click.echo(manifest.to_json())
        return
    console = Console(highlight=False, soft_wrap=True)
    print_artifact(file, model, manifest, console)
    if manifest.target == "onnx":
        print_latencies(file, console)
