"""Where ``export`` and ``build`` read a network from, as options describe it."""

from __future__ import annotations

__all__ = ["Given", "read_source", "source_options"]

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from dyncompile.cli.options import MODULE, SAMPLES, WEIGHTS
from dyncompile.engine_file import SUFFIX
from dyncompile.errors import InputError, KnobError
from dyncompile.knobs import Knob, knob_from_spec

if TYPE_CHECKING:
    from torch import nn

    from dyncompile.jobs import Samples

Command = TypeVar("Command", bound=Callable[..., Any])

_OPTIONS = (
    click.argument("source", metavar=f"{MODULE}|NET.onnx"),
    WEIGHTS,
    click.option(
        "--input",
        "inputs",
        multiple=True,
        metavar="NAME=TYPE[SIZES]",
        help="Example, as in x=float32[1,3,32,32] or tokens=int64[1,16]:0..999.",
    ),
    click.option(
        "--knob",
        "knobs",
        multiple=True,
        metavar="NAME=KIND(...)",
        help="As in t=threshold(0.8;low=0;high=1) or level=levels(0.5,1;default=1).",
    ),
    SAMPLES,
    click.option("--no-verify", is_flag=True, help="Do not hold the result against its source."),
)


@dataclass(frozen=True)
class Given:
    """A network, as the library takes it."""

    model: nn.Module | Path
    example: Mapping[str, Any] | None
    knobs: dict[str, Knob]
    samples: Samples | None


def source_options(command: Command) -> Command:
    """Add the options that say where a network comes from."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def read_source(
    source: str,
    weights: Path | None,
    inputs: tuple[str, ...],
    knobs: tuple[str, ...],
    samples_file: Path | None,
    output: Path,
) -> Given:
    """Load a module, or check what may be given with a file.

    Raises:
        DyncompileError: it cannot be loaded, or an option does not fit.
    """
    chosen = _knobs(knobs)
    if Path(source).suffix not in {".onnx", SUFFIX}:  # an engine is refused where it is read
        return _module(source, weights, inputs, chosen, samples_file)
    file = Path(source)
    if output.exists() and file.exists() and output.samefile(file):
        raise InputError(
            "this is the source itself.",
            where=f"--output {output}",
            remedy="Write to another file.",
        )
    if weights is not None:
        raise _unfit("--weights", "an ONNX file holds its weights.")
    for option, value in (("--input", inputs), ("--samples", samples_file)):
        if value and _is_marked(file):
            raise _unfit(option, "a marked file holds its inputs.")
    return _file(file, inputs, chosen, samples_file)


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


def _unfit(option: str, problem: str) -> InputError:
    return InputError(problem, where=option, remedy="Leave this out.")


def _is_marked(file: Path) -> bool:
    from dyncompile import artifact

    _, manifest = artifact.read(file)
    return manifest is not None and manifest.target == "marked"


def _module(
    source: str,
    weights: Path | None,
    inputs: Iterable[str],
    knobs: dict[str, Knob],
    samples_file: Path | None,
) -> Given:
    from dyncompile.examples import draw_inputs, parse_input
    from dyncompile.loading import load_module
    from dyncompile.samples import read_samples

    example = draw_inputs(parse_input(text) for text in inputs)
    samples = None
    if samples_file is not None:
        samples = read_samples(samples_file, {n: t.numpy() for n, t in example.items()})
    return Given(load_module(source, weights), example, knobs, samples)


def _file(
    file: Path, inputs: Iterable[str], knobs: dict[str, Knob], samples_file: Path | None
) -> Given:
    import numpy as np

    from dyncompile.array_files import read_arrays
    from dyncompile.input_specs import parse_input

    specs = [parse_input(text) for text in inputs]
    rng = np.random.default_rng(0)
    example = {spec.name: spec.draw(rng) for spec in specs} or None
    if samples_file is None:
        return Given(file, example, knobs, None)
    samples = read_arrays(samples_file)
    if not isinstance(samples, dict):
        raise InputError(
            "it holds one array without a name.",
            where=str(samples_file),
            remedy="Write an .npz with one array per input.",
        )
    return Given(file, example, knobs, samples)
