"""The command ``optimize``."""

from __future__ import annotations

__all__ = ["optimize_command"]

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dyncompile.cli.options import FILE, SAMPLES
from dyncompile.cli.progress import showing_progress
from dyncompile.errors import InputError
from dyncompile.inspecting import size_in_bytes

if TYPE_CHECKING:
    from rich.console import Console

    from dyncompile.optimizing.optimize import Optimization

_MOST_NAMES = 8


@click.command("optimize")
@click.argument("source", type=FILE, metavar="ANY.onnx")
@click.option(
    "--input",
    "inputs",
    multiple=True,
    metavar="NAME=TYPE[SIZES]",
    help="How to draw an input whose sizes are free, as in x=float32[1,3,32,32].",
)
@SAMPLES
@click.option(
    "--custom-ops", multiple=True, type=FILE, metavar="LIB.so", help="Library of operators."
)
@click.option("--fold-defaults", is_flag=True, help="Make inputs with default values constants.")
@click.option("--external-data", is_flag=True, help="Keep the weights in OUTPUT.data.")
@click.option("--no-verify", is_flag=True, help="Do not compare the numbers.")
@click.option("-o", "--output", type=FILE, required=True, metavar="OUT.onnx")
def optimize_command(  # noqa: PLR0913, PLR0917 - click gives them by name
    source: Path,
    inputs: tuple[str, ...],
    samples_file: Path | None,
    custom_ops: tuple[Path, ...],
    fold_defaults: bool,
    external_data: bool,
    no_verify: bool,
    output: Path,
) -> None:
    """Make an ONNX file with control flow faster that another tool made."""
    from rich.console import Console

    from dyncompile.array_files import read_arrays
    from dyncompile.input_specs import parse_input
    from dyncompile.optimizing.optimize import optimize

    specs = [parse_input(text) for text in inputs]
    samples = None if samples_file is None else _by_name(read_arrays(samples_file), samples_file)
    with showing_progress() as progress:
        made = optimize(
            source,
            output,
            samples=samples,
            inputs=specs,
            verify=not no_verify,
            custom_ops=custom_ops,
            fold_defaults=fold_defaults,
            external_data=external_data or None,
            progress=progress,
        )
    _print(made, source, output, Console(highlight=False, soft_wrap=True, markup=False))


def _by_name(arrays: Any, file: Path) -> Mapping[str, Any]:  # noqa: ANN401
    if not isinstance(arrays, dict):
        raise InputError(
            "it holds one array without a name.",
            where=str(file),
            remedy="Write an .npz with one array per input.",
        )
    return arrays


def _print(made: Optimization, source: Path, output: Path, console: Console) -> None:
    from dyncompile.cli.gains import changes, expectations, reasons

    before, after = made.sizes
    if not made.changed:
        console.print(f"{output}: a copy of {source}. There is nothing to win in it:")
    else:
        sizes = f"{size_in_bytes(after)}, was {size_in_bytes(before)}"
        console.print(f"{output}: {sizes}. What changed:")
    for line in changes(made.gains) if made.changed else reasons(made.gains):
        console.print(f"  {line}")
    if made.overridable:
        console.print(
            f"  {len(made.overridable)} inputs have default values, so they stay inputs;"
            " --fold-defaults makes constants of them"
        )
    if not made.changed:
        return
    console.print("What this should win:")
    for line in expectations(made.gains):
        console.print(f"  {line}")
    _print_proof(made, console)


def _print_proof(made: Optimization, console: Console) -> None:
    if made.proof is None:
        console.print("Numbers were not compared.")
        return
    proof = made.proof
    which = "all there are" if proof.complete else "not all"
    console.print(
        f"Compared: {_count(proof.samples, 'sample')} and {_count(proof.paths, 'forced path')}"
        f" ({which}); largest difference {proof.largest_difference:.2g} of the largest element."
    )
    names = [f"{name}={option}" for name, option in proof.unproven]
    if names:
        more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
        console.print(f"Neither taken nor forced: {', '.join(names[:_MOST_NAMES])}{more}")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
