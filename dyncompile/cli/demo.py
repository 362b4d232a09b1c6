"""The command ``demo``."""

from __future__ import annotations

__all__ = ["demo_command"]

from pathlib import Path

import click

from dyncompile.cli.options import FILE


@click.command("demo")
@click.option(
    "--folder",
    type=FILE,
    default=Path("out/demo"),
    show_default=True,
    help="Where its files go; made if missing.",
)
@click.option(
    "--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True, help="Of all."
)
def demo_command(folder: Path, seed: int) -> None:
    """Train a small early-exit network on digits, export it, check it, measure it."""
    from rich.console import Console

    from dyncompile import demo

    result = demo.run(folder, seed=seed, console=Console(stderr=True))
    demo.show(result, Console(highlight=False))
