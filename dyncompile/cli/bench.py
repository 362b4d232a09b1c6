"""The command ``bench``."""

from __future__ import annotations

__all__ = ["bench_command"]

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dyncompile.cli.options import FILE, MODULE, WEIGHTS
from dyncompile.cli.progress import showing_progress
from dyncompile.errors import InputError
from dyncompile.files import check_writable, replacing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from dyncompile.measuring.findings import Findings


@click.command("bench")
@click.argument("file", type=FILE, metavar="NET.onnx")
@click.option("--against", metavar=f"{MODULE}|OTHER.onnx", help="What else to run and time.")
@WEIGHTS
@click.option(
    "--data",
    type=FILE,
    metavar="DATA.npz",
    help="One array per input, one row per sample; labels; names of the classes in 'classes'.",
)
@click.option("--labels", metavar="NAME", help="Which array of DATA.npz holds the labels.")
@click.option("--logits", metavar="NAME", help="Which output scores the classes.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Run N samples of the data.")
@click.option(
    "--sweep",
    "sweeps",
    multiple=True,
    metavar="KNOB=VALUE,...",
    help="Values to try, as in threshold=0.5,0.7,0.9.",
)
@click.option(
    "--threads",
    type=click.IntRange(1),
    multiple=True,
    default=(1,),
    show_default="1",
    help="May be repeated.",
)
@click.option(
    "--provider",
    "providers",
    multiple=True,
    default=("CPUExecutionProvider",),
    show_default="CPUExecutionProvider",
    metavar="NAME",
    help="Execution provider; may be repeated.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(0, 3600, min_open=True),
    default=0.3,
    show_default=True,
    help="Time for each path, and for each setting of the knobs.",
)
@click.option("--no-torch-compile", is_flag=True, help="Do not try torch.compile.")
@click.option("--json", "json_file", type=FILE, metavar="OUT.json", help="Write all figures.")
@click.option("-o", "--output", type=FILE, metavar="REPORT.html", help="Write a report.")
def bench_command(  # noqa: PLR0913, PLR0917 - click gives them by name
    file: Path,
    against: str | None,
    weights: Path | None,
    data: Path | None,
    labels: str | None,
    logits: str | None,
    limit: int | None,
    sweeps: tuple[str, ...],
    threads: tuple[int, ...],
    providers: tuple[str, ...],
    seconds: float,
    no_torch_compile: bool,
    json_file: Path | None,
    output: Path | None,
) -> None:
    """Measure a network here: every path, deciding for itself, and where the time goes."""
    from rich.console import Console

    from dyncompile.measuring.bench import bench
    from dyncompile.measuring.points import parse_sweeps

    _check_outputs(_read_files(file, against, data, weights), json_file, output)
    with showing_progress() as progress:
        findings = bench(
            file,
            against=against,
            weights=weights,
            data=data,
            labels=labels,
            logits=logits,
            limit=limit,
            sweeps=parse_sweeps(sweeps),
            threads=threads,
            providers=providers,
            seconds=seconds,
            compiled=not no_torch_compile,
            progress=progress,
        )
    if json_file is not None:
        with replacing(json_file) as stream:
            stream.write(findings.to_json().encode())
    if output is not None:
        from dyncompile.reporting import write_report

        write_report(findings, output)
    _print(findings, Console(highlight=False))
    for written in filter(None, (json_file, output)):
        click.echo(f"Wrote {written}")


def _read_files(network: Path, against: str | None, *others: Path | None) -> list[Path]:
    """Return what must not be overwritten, the network first, then its weights."""
    files = [network, Path(f"{network}.data"), *filter(None, others)]
    if against is not None:
        files += [Path(against), Path(f"{against}.data"), Path(against.rpartition(":")[0])]
    return files


def _check_outputs(read: Sequence[Path], *outputs: Path | None) -> None:
    """Find out before minutes are spent whether the results can be written."""
    taken = list(read)
    for output in outputs:
        if output is None:
            continue
        check_writable(output)
        if any(_is_same(output, other) for other in taken):
            is_network = _is_same(output, read[0])
            what = "the network itself" if is_network else "named for something else too"
            raise InputError(f"this is {what}.", where=str(output), remedy="Write to another file.")
        taken.append(output)
    if outputs[-1] is not None:
        for package in ("jinja2", "matplotlib"):
            importlib.import_module(package)


def _is_same(one: Path, other: Path) -> bool:
    if one.resolve() == other.resolve():
        return True
    return one.is_file() and other.is_file() and one.samefile(other)


def _print(findings: Findings, console: Console) -> None:
    from rich.text import Text

    from dyncompile.measuring import tables

    console.print(Text(findings.machine, "dim"))
    for found in findings.setups:
        console.print(Text(f"{findings.artifact}: {tables.spell_setup(found.setup)}", "bold"))
        console.print(tables.paths_table(found, findings.decisions))
        if key := tables.paths_key(found, findings.decisions):
            console.print(Text(key))
        if len(found.paths) > tables.MOST_ROWS:
            rest = len(found.paths) - tables.MOST_ROWS
            console.print(f"And {rest} more paths; --json writes them all.")
        console.print(tables.points_table(found))
        if found.parts:
            console.print(tables.parts_table(found.parts))
    if findings.setups:
        console.print(Text(tables.times_key(findings.setups[0])))
    for label, words in findings.others.items():
        console.print(Text(f"{label}: {words}"))
    for note in findings.notes:
        console.print(Text(f"Note: {note}"))
