"""The command ``export``."""

from __future__ import annotations

__all__ = ["export_command"]

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from dyncompile.cli.options import FILE, MODULE, SAMPLES, WEIGHTS
from dyncompile.cli.progress import showing_progress
from dyncompile.errors import InputError, KnobError
from dyncompile.files import check_writable
from dyncompile.knobs import Knob, knob_from_spec

if TYPE_CHECKING:
    from torch import Tensor, nn

    from dyncompile.exporting import Samples


@click.command("export")
@click.argument("source", metavar=f"{MODULE}|NET.marked.onnx")
@WEIGHTS
@click.option(
    "--input",
    "inputs",
    multiple=True,
    metavar="NAME=TYPE[SIZES]",
    help="Example, as in x=float32[1,3,32,32] or tokens=int64[1,16]:0..999.",
)
@click.option(
    "--knob",
    "knobs",
    multiple=True,
    metavar="NAME=KIND(...)",
    help="As in t=threshold(0.8;low=0;high=1) or level=levels(0.5,1;default=1).",
)
@SAMPLES
@click.option(
    "--target",
    type=click.Choice(("onnx", "marked")),
    default="onnx",
    show_default=True,
    help="marked: dense, compiled later without torch.",
)
@click.option(
    "--budgets",
    type=click.Choice(("auto", "switch", "slice")),
    default="auto",
    show_default=True,
    help="Channel budgets: a network per level, or weights cut in each call.",
)
@click.option("--default-knobs", is_flag=True, help="Let ONNX Runtime run it without knobs.")
@click.option("--external-data", is_flag=True, help="Keep the weights in OUTPUT.data.")
@click.option("--no-verify", is_flag=True, help="Do not hold the file against the model.")
@click.option("-o", "--output", type=FILE, required=True, metavar="NET.onnx")
def export_command(  # noqa: PLR0913, PLR0917 - click gives them by name
    source: str,
    weights: Path | None,
    inputs: tuple[str, ...],
    knobs: tuple[str, ...],
    samples_file: Path | None,
    target: Literal["onnx", "marked"],
    budgets: Literal["auto", "switch", "slice"],
    default_knobs: bool,
    external_data: bool,
    no_verify: bool,
    output: Path,
) -> None:
    """Compile a network, or a marked file of one, to a file that skips work."""
    from rich.console import Console

    from dyncompile import artifact
    from dyncompile.cli.report import print_artifact, print_report
    from dyncompile.exporting import export

    chosen = _knobs(knobs)
    check_writable(output)
    with showing_progress() as progress:
        model, example, samples = (
            _marked(Path(source), output, (weights, inputs, samples_file))
            if Path(source).suffix == ".onnx"
            else _network(source, weights, inputs, samples_file)
        )
        report = export(
            model,
            example,
            output,
            knobs=chosen,
            target=target,
            samples=samples,
            verify=not no_verify,
            budgets=budgets,
            default_knobs=default_knobs,
            external_data=external_data or None,
            progress=progress,
        )
    written, manifest = artifact.read(output)
    assert manifest is not None
    console = Console(highlight=False, soft_wrap=True)
    print_artifact(output, written, manifest, console)
    if report is not None:
        print_report(report, console)


def _knobs(specs: Iterable[str]) -> dict[str, Knob]:
    knobs: dict[str, Knob] = {}
    for spec in specs:
        name, knob = knob_from_spec(spec)
        if name in knobs:
            raise KnobError(
                "it is described twice.", where=f"--knob {name}", remedy="Describe it once."
            )
        knobs[name] = knob
    return knobs


def _network(
    source: str, weights: Path | None, inputs: Iterable[str], samples_file: Path | None
) -> tuple[nn.Module, Mapping[str, Tensor], Samples | None]:
    from dyncompile.examples import draw_inputs, parse_input
    from dyncompile.loading import load_module
    from dyncompile.samples import read_samples

    example = draw_inputs(parse_input(text) for text in inputs)
    samples = None
    if samples_file is not None:
        samples = read_samples(samples_file, {n: t.numpy() for n, t in example.items()})
    return load_module(source, weights), example, samples


def _marked(source: Path, output: Path, foreign: Sequence[object]) -> tuple[Path, None, None]:
    for option, value in zip(("--weights", "--input", "--samples"), foreign, strict=True):
        if value:
            raise InputError(
                "a marked file holds its weights and inputs, and no model to verify with.",
                where=option,
                remedy="Leave this out.",
            )
    if output.exists() and source.exists() and output.samefile(source):
        raise InputError(
            "this is the marked file itself.",
            where=f"--output {output}",
            remedy="Write to another file.",
        )
    return source, None, None
