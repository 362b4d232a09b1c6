"""The command ``verify``."""

from __future__ import annotations

__all__ = ["verify_command"]

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dyncompile.cli.options import FILE, MODULE, SAMPLES, WEIGHTS
from dyncompile.cli.progress import showing_progress
from dyncompile.errors import ArtifactError
from dyncompile.manifest import no_manifest

if TYPE_CHECKING:
    import onnx_ir as ir

    from dyncompile.examples import InputSpec
    from dyncompile.knobs import Knob


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
    from dyncompile.examples import draw_inputs, read_samples
    from dyncompile.loading import load_module

    specs, is_dynamic = _inputs(model, manifest.knobs, str(file))
    example = {name: tensor.numpy() for name, tensor in draw_inputs(specs).items()}
    if samples_file is None:
        samples = verify.draw_samples(example)
    else:
        samples = read_samples(samples_file, example, any_size=is_dynamic)
    network = load_module(source, weights)
    with showing_progress() as progress:
        report = verify.verify(model, manifest, network, samples, progress=progress)
    print_report(report, Console(highlight=False, soft_wrap=True))


def _inputs(model: ir.Model, knobs: Mapping[str, Knob], file: str) -> tuple[list[InputSpec], bool]:
    """Return the inputs that are not knobs, dynamic sizes as 1, and whether there were any."""
    from dyncompile.examples import InputSpec

    specs, is_dynamic = [], False
    for value in model.graph.inputs:
        if value.name in knobs:
            continue
        if value.name is None or value.dtype is None or value.shape is None:
            raise ArtifactError(
                f"the input {value.name!r} has no type.",
                where=file,
                remedy="Export the network again.",
            )
        is_dynamic |= not value.shape.is_static()
        shape = tuple(size if isinstance(size, int) else 1 for size in value.shape)
        specs.append(InputSpec(value.name, value.dtype.numpy(), shape))
    return specs, is_dynamic
