"""The command ``verify``."""

from __future__ import annotations

__all__ = ["verify_command"]

from pathlib import Path

import click

from dyncompile.cli.options import FILE, MODULE, SAMPLES, WEIGHTS
from dyncompile.cli.progress import showing_progress
from dyncompile.manifest import no_manifest


@click.command("verify")
@click.argument("file", type=FILE, metavar="NET.onnx")
@click.argument("source", metavar=MODULE)
@WEIGHTS
@SAMPLES
def verify_command(
    file: Path, source: str, weights: Path | None, samples_file: Path | None
) -> None:
    """Hold an artifact against the network it was made from."""
    from rich.console import Console

    from dyncompile import artifact

    model, manifest = artifact.read(file)
    if manifest is None:
        raise no_manifest(str(file))
    from dyncompile import verify
    from dyncompile.cli.report import print_report
    from dyncompile.examples import draw_inputs
    from dyncompile.loading import load_module
    from dyncompile.samples import data_inputs, read_samples

    specs, is_dynamic = data_inputs(model, manifest.knobs, str(file))
    example = {name: tensor.numpy() for name, tensor in draw_inputs(specs).items()}
    if samples_file is None:
        samples = verify.draw_samples(example)
    else:
        samples = read_samples(samples_file, example, any_size=is_dynamic)
    network = load_module(source, weights)
    with showing_progress() as progress:
        report = verify.verify(model, manifest, network, samples, progress=progress)
    print_report(report, Console(highlight=False, soft_wrap=True))
