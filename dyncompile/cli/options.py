"""Options that commands share."""

from __future__ import annotations

__all__ = ["FILE", "MODULE", "SAMPLES", "WEIGHTS"]

from pathlib import Path

import click

FILE = click.Path(path_type=Path)
MODULE = "MODULE.py:FACTORY"
WEIGHTS = click.option(
    "--weights", type=FILE, metavar="W.safetensors", help="State dict; also .pt and .pth."
)
SAMPLES = click.option(
    "--samples",
    "samples_file",
    type=FILE,
    metavar="DATA.npz",
    help="Inputs to verify with: one array per input, one row per sample.",
)
