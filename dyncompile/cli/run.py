"""The command ``run``."""

from __future__ import annotations

__all__ = ["run_command"]

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dyncompile.cli.options import FILE
from dyncompile.errors import InputError, KnobError
from dyncompile.knobs import Knob, Levels

if TYPE_CHECKING:
    from dyncompile.runtime import Net


@click.command("run")
@click.argument("file", type=FILE, metavar="NET.onnx|NET.engine")
@click.argument("data", type=FILE, nargs=-1, metavar="[X.npy]...")
@click.option("--input", "inputs", multiple=True, metavar="NAME=X.npy", help="Input by name.")
@click.option("--knob", "knobs", multiple=True, metavar="NAME=VALUE", help="0.8, 2, 0.8,0.9")
@click.option("-o", "--output", type=FILE, help="Write .npy (one output) or .npz.")
@click.option("--trace", is_flag=True, help="Print the option that every decision took.")
def run_command(
    file: Path,
    data: tuple[Path, ...],
    inputs: tuple[str, ...],
    knobs: tuple[str, ...],
    output: Path | None,
    trace: bool,
) -> None:
    """Run a network on arrays from .npy files, or from an .npz that names its inputs."""
    from dyncompile.array_files import write_arrays
    from dyncompile.runtime import load

    net = load(file)
    _check_output(output, net)
    positional, named = _arrays(data, inputs)
    for name, text in _pairs(knobs, "--knob"):
        _set(named, name, _knob_value(name, text, net.knobs), "--knob")
    path: dict[str, int] = {}
    if trace:
        results, path = net.trace(*positional, **named)
    else:
        results = net(*positional, **named)
    several = results if isinstance(results, tuple) else (results,)
    arrays = dict(zip(net.outputs, several, strict=True))
    if output:
        write_arrays(output, arrays)
    for name, array in arrays.items():
        click.echo(f"{name}: {array.dtype}{list(array.shape)}")
    for name, option in path.items():
        click.echo(f"{name} -> {option if option >= 0 else 'not reached'}")


def _check_output(output: Path | None, net: Net) -> None:
    if output is None or output.suffix == ".npz":
        return
    if output.suffix != ".npy":
        raise InputError(
            "neither .npy nor .npz.", where=f"--output {output}", remedy="Give one of the two."
        )
    if len(net.outputs) != 1:
        raise InputError(
            f"the network has {len(net.outputs)} outputs.",
            where=f"--output {output}",
            remedy="Write them to one .npz.",
        )


def _arrays(files: Iterable[Path], inputs: Iterable[str]) -> tuple[list[Any], dict[str, Any]]:
    from dyncompile.array_files import read_arrays

    positional: list[Any] = []
    named: dict[str, Any] = {}
    for file in files:
        found = read_arrays(file)
        if isinstance(found, dict):
            for name, array in found.items():
                _set(named, name, array, str(file))
        else:
            positional.append(found)
    for name, text in _pairs(inputs, "--input"):
        found = read_arrays(Path(text))
        if isinstance(found, dict):
            found = _only(found, text)
        _set(named, name, found, "--input")
    return positional, named


def _only(arrays: Mapping[str, Any], where: str) -> Any:  # noqa: ANN401
    if len(arrays) != 1:
        raise InputError(
            f"holds {len(arrays)} arrays.", where=where, remedy="Give a file with one array."
        )
    return next(iter(arrays.values()))


def _pairs(texts: Iterable[str], option: str) -> list[tuple[str, str]]:
    pairs = []
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise InputError(
                f"{text!r} is not NAME=VALUE.",
                where=option,
                remedy="Write a name, =, a value.",
            )
        pairs.append((name, value))
    return pairs


def _set(named: dict[str, Any], name: str, value: object, where: str) -> None:
    if name in named:
        raise InputError(f"{name!r} is given twice.", where=where, remedy="Give it once.")
    named[name] = value


def _knob_value(name: str, text: str, knobs: Mapping[str, Knob]) -> object:
    if name not in knobs:
        raise KnobError(
            "the network has no such knob.",
            where=f"--knob {name}",
            remedy=f"Its knobs are {', '.join(knobs) or 'none'}.",
        )
    number = int if isinstance(knobs[name], Levels) else float
    try:
        values = [number(part) for part in text.split(",")]
    except ValueError as error:
        what = "whole number" if number is int else "number"
        raise KnobError(
            f"{text!r} is not a {what}.", where=f"--knob {name}", remedy=f"Give a {what}."
        ) from error
    return values[0] if len(values) == 1 else values
