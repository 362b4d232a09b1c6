"""The command ``export``."""

from __future__ import annotations

__all__ = ["export_command"]

from pathlib import Path
from typing import Any

import click

from dyncompile.cli.options import FILE
from dyncompile.cli.progress import showing_progress
from dyncompile.cli.sources import read_source, source_options
from dyncompile.files import check_writable
from dyncompile.manifest import TargetName
from dyncompile.passes.specialise_levels import Lowering


@click.command("export")
@source_options
@click.option(
    "--target",
    type=click.Choice(("onnx", "marked", "tensorrt")),
    default="onnx",
    show_default=True,
    help="marked: dense, compiled later without torch. tensorrt: what its builders accept.",
)
@click.option("--fp16", is_flag=True, help="Compute in float16; for target tensorrt.")
@click.option(
    "--budgets",
    type=click.Choice(("auto", "switch", "slice", "chain")),
    default="auto",
    show_default=True,
    help="Channel budgets: a network per level, weights cut in each call, or sums of groups.",
)
@click.option("--default-knobs", is_flag=True, help="Let ONNX Runtime run it without knobs.")
@click.option("--external-data", is_flag=True, help="Keep the weights in OUTPUT.data.")
@click.option("--telemetry", is_flag=True, help="Report what each call decides, as outputs.")
@click.option("-o", "--output", type=FILE, required=True, metavar="NET.onnx")
def export_command(  # noqa: PLR0913 - click gives them by name
    *,
    target: TargetName,
    fp16: bool,
    budgets: Lowering,
    default_knobs: bool,
    external_data: bool,
    telemetry: bool,
    no_verify: bool,
    output: Path,
    **source: Any,  # noqa: ANN401
) -> None:
    """Compile a network, or a file of one, to a file that skips work."""
    from rich.console import Console

    from dyncompile import artifact
    from dyncompile.cli.report import print_artifact, print_report
    from dyncompile.exporting import export

    check_writable(output)
    with showing_progress() as progress:
        given = read_source(**source, output=output)
        report = export(
            given.model,
            given.example,
            output,
            knobs=given.knobs,
            target=target,
            samples=given.samples,
            verify=not no_verify,
            fp16=fp16,
            budgets=budgets,
            default_knobs=default_knobs,
            external_data=external_data or None,
            telemetry=telemetry,
            progress=progress,
        )
    written, manifest = artifact.read(output)
    assert manifest is not None
    console = Console(highlight=False, soft_wrap=True)
    print_artifact(output, written, manifest, console)
    if report is not None:
        print_report(report, console)
    if target == "tensorrt":
        from dyncompile.targets.trt.trtexec import trtexec_lines

        for line in trtexec_lines(written, output):
            click.echo(line)
