"""The command ``build``."""

from __future__ import annotations

__all__ = ["build_command"]

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dyncompile.cli.options import FILE
from dyncompile.cli.progress import showing_progress
from dyncompile.cli.sources import read_source, source_options
from dyncompile.errors import InputError
from dyncompile.files import check_writable
from dyncompile.inspecting import budgets_tree, knobs_table, plain, size_in_bytes
from dyncompile.passes.specialise_levels import Lowering

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import Console

    from dyncompile.engines.building import BuildReport
    from dyncompile.engines.flavors import Asked
    from dyncompile.engines.request import ShapeRange

_MEGABYTE = 1_000_000
_MOST_LINES = 8


@click.command("build")
@source_options
@click.option(
    "--flavor",
    type=click.Choice(("auto", "tensorrt", "tensorrt-rtx")),
    default="auto",
    show_default=True,
    help="auto: the one that can build here for these chips.",
)
@click.option("--for", "chips", metavar="CHIP,...", help="What to build for, as in sm89,sm120.")
@click.option("--fp16", is_flag=True, help="Compute in float16; inputs and outputs stay.")
@click.option(
    "--budgets",
    type=click.Choice(("auto", "switch", "chain")),
    default="auto",
    show_default=True,
    help="Channel budgets: a network per level, or sums of groups of channels.",
)
@click.option(
    "--shape",
    "shapes",
    multiple=True,
    metavar="NAME=LEAST,BEST,MOST",
    help="Sizes of an input, as in x=1x3x32x32,4x3x32x32,8x3x32x32; one is all three.",
)
@click.option("--telemetry", is_flag=True, help="Report what each call decides, as outputs.")
@click.option(
    "--timeout",
    type=click.FloatRange(0, min_open=True),
    default=1800.0,
    show_default=True,
    metavar="SECONDS",
    help="How long the builder may take.",
)
@click.option(
    "--memory", type=click.IntRange(1), metavar="MB", help="Workspace of the builder on the GPU."
)
@click.option(
    "--timing-cache",
    type=FILE,
    metavar="FILE",
    help="Measured times, kept for the next build; TensorRT only.",
)
@click.option("-o", "--output", type=FILE, required=True, metavar="NET.engine")
def build_command(  # noqa: PLR0913 - click gives them by name
    *,
    flavor: Asked,
    chips: str | None,
    fp16: bool,
    budgets: Lowering,
    shapes: tuple[str, ...],
    telemetry: bool,
    timeout: float,
    memory: int | None,
    timing_cache: Path | None,
    no_verify: bool,
    output: Path,
    **source: Any,  # noqa: ANN401
) -> None:
    """Build an engine of TensorRT that keeps its knobs; also where there is no GPU."""
    from rich.console import Console

    from dyncompile.cli.report import print_report
    from dyncompile.engines.building import build

    check_writable(output)
    sizes = _sizes(shapes)
    with showing_progress() as progress:
        given = read_source(**source, output=output)
        report = build(
            given.model,
            output,
            given.example,
            given.knobs,
            flavor=flavor,
            chips=_chips(chips),
            fp16=fp16,
            budgets=budgets,
            shapes=sizes,
            telemetry=telemetry,
            samples=given.samples,
            verify=not no_verify,
            timeout=timeout,
            memory=None if memory is None else memory * _MEGABYTE,
            timing_cache=timing_cache,
            progress=progress,
        )
    console = Console(highlight=False, soft_wrap=True)
    _print(report, output, console)
    if report.verification is not None:
        print_report(report.verification, console)
    elif no_verify:
        console.print("Not verified.")
    else:
        console.print("Not verified: there is nothing to hold the graph of this file against.")


def _sizes(texts: Iterable[str]) -> dict[str, ShapeRange]:
    from dyncompile.engines.profiles import parse_shape

    sizes: dict[str, ShapeRange] = {}
    for text in texts:
        name, given = parse_shape(text)
        if name in sizes:
            raise InputError("given twice.", where=f"--shape {text}", remedy="Give it once.")
        sizes[name] = given
    return sizes


def _chips(text: str | None) -> tuple[str, ...]:
    if text is None:
        return ()
    chips = tuple(chip.strip() for chip in text.split(","))
    if not all(chips):
        raise InputError(
            f"{text!r} are no chips.", where="--for", remedy="Write them as in sm89,sm120."
        )
    return chips


def _print(report: BuildReport, output: Path, console: Console) -> None:
    from dyncompile.cli.engine_report import bindings_table
    from dyncompile.engines.gpu import chip_here

    engine, built = report.engine, report.built
    console.print(
        f"[bold]{plain(output)}[/]: {plain(engine.flavor)} {plain(engine.version)} for"
        f" {plain(', '.join(engine.chips))}, {engine.precision}, {size_in_bytes(engine.bytes)}"
    )
    console.print(plain(report.why))
    knobs = engine.manifest.knobs
    console.print(bindings_table(engine))
    if knobs:
        console.print(knobs_table(knobs))
    if engine.manifest.budgets:
        console.print(budgets_tree(engine.manifest.budgets), soft_wrap=False)
    console.print(_laziness(report))
    _print_lines("Repaired", built.repaired, console)
    console.print(
        f"Built in {built.seconds:.2f} s: {_count(built.layers, 'layer')},"
        f" {size_in_bytes(built.peak_memory)} of memory at most."
    )
    _print_lines("The builder warns", built.warnings, console)
    if chip_here() is None:
        console.print("Built, not run: this machine has no GPU.")


def _laziness(report: BuildReport) -> str:
    if not report.lazy:
        return "No layer that multiplies stands in a branch."
    repaired = len(report.built.repaired)
    how = f"; {repaired} of them the parser let run always, which was repaired" if repaired else ""
    if report.lazy == 1:
        return f"1 layer that multiplies runs only if its branch is taken{how}."
    return f"{report.lazy} layers that multiply run only if their branch is taken{how}."


def _print_lines(title: str, lines: Sequence[str], console: Console) -> None:
    if lines:
        console.print(f"{title}:")
    for line in lines[:_MOST_LINES]:
        console.print(f"  {plain(line)}")
    if len(lines) > _MOST_LINES:
        console.print(f"  and {len(lines) - _MOST_LINES} more")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
