"""The command ``inspect``."""

from __future__ import annotations

__all__ = ["inspect_command"]

from pathlib import Path

import click

from dyncompile.cli.options import FILE
from dyncompile.engine_file import SUFFIX
from dyncompile.manifest import no_manifest


@click.command("inspect")
@click.argument("file", type=FILE, metavar="NET.onnx|NET.engine")
@click.option("--json", "as_json", is_flag=True, help="Print what the file says, as JSON.")
def inspect_command(file: Path, as_json: bool) -> None:
    """Print the knobs, decisions and costs of a network, and what calls take here."""
    from rich.console import Console

    if file.suffix == SUFFIX:
        _inspect_engine(file, as_json=as_json)
        return
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
    if manifest.target != "marked":
        print_latencies(file, console)


def _inspect_engine(file: Path, *, as_json: bool) -> None:
    from rich.console import Console

    from dyncompile.cli.engine_report import print_engine
    from dyncompile.cli.latencies import print_latencies
    from dyncompile.engine_file import read_engine

    engine = read_engine(file)
    if as_json:
        click.echo(engine.to_json(), nl=False)
        return
    console = Console(highlight=False, soft_wrap=True)
    print_engine(file, engine, console)
    print_latencies(file, console)
