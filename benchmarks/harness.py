"""What every table of figures needs: exports in all forms, timings in turns, a command.

ONNX Runtime on the CPU, 1 thread, batch 1. A static network is exported by
``torch.onnx.export`` with the same opset and folding. All files are kept in the output folder
for inspection.
"""

from __future__ import annotations

__all__ = [
    "COND",
    "EAGER",
    "LABEL",
    "OPSET",
    "OURS",
    "ROUND_TRIP",
    "STATIC",
    "TORCH",
    "TORCH_COMPILE",
    "Bench",
    "Group",
    "Results",
    "Row",
    "command",
    "feeds",
    "image",
    "quiet",
    "torch_program",
]

import datetime as dt
import logging
import time
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import onnx
import onnx_graphsurgeon as gs
import torch
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from torch import Tensor, nn

from benchmarks import timing
from benchmarks.rows import Results, Row
from dyncompile.errors import DyncompileError
from dyncompile.exporting import export
from dyncompile.files import check_writable
from dyncompile.machine import describe_machine
from dyncompile.timing import Timings

OPSET = 21
WIDTH = 120
LABEL = "compiler overhead: forced decisions, untrained weights, CPU only"
STATIC, OURS, COND, ROUND_TRIP = "static", "ours", "torch.cond", "torch.cond + graphsurgeon"
TORCH, EAGER, TORCH_COMPILE = "torch.onnx.export", "eager PyTorch", "torch.compile"

QUICK_SECONDS, SECONDS = 0.3, 1.5


@dataclass(frozen=True)
class Bench:
    """Where files go and how long each measurement lasts.

    Attributes:
        folder: Receives every ONNX file.
        seconds: Time spent on each session of a comparison.
        quick: Fewer levels, and narrower networks for the compile time.
        say: Receives one line per step.
        made: The files that torch has exported, by name.
        given: Values of the options that only this table has, by name.
    """

    folder: Path
    seconds: float
    quick: bool
    say: Callable[[str], None]
    made: dict[str, Path] = field(default_factory=dict)
    given: Mapping[str, Any] = field(default_factory=dict)

    def torch_file(self, name: str, model: nn.Module, *inputs: Tensor) -> Path:
        """Export with torch alone, once per name."""
        if name not in self.made:
            self.say(f"{TORCH} {name}")
            self.made[name] = self.folder / f"{name}.onnx"
            torch_program(model, inputs).save(self.made[name])
        return self.made[name]

    def round_trip_file(self, source: Path) -> Path:
        """Read and write a file with graphsurgeon, which copies weights into branches."""
        target = source.with_name(f"{source.stem}-graphsurgeon.onnx")
        model = onnx.load(source)
        # graphsurgeon loses the initializers of a branch that are also described outside
        weights = {tensor.name for tensor in model.graph.initializer}
        described = [info for info in model.graph.value_info if info.name not in weights]
        del model.graph.value_info[:]
        model.graph.value_info.extend(described)
        onnx.save(gs.export_onnx(gs.import_onnx(model)), target)
        return target

    def our_file(self, name: str, model: nn.Module, *inputs: Tensor) -> Path:
        """Export with dyncompile; the timing compares its outputs with the static ones."""
        self.say(f"dyncompile.export {name}")
        path = self.folder / f"{name}.onnx"
        with quiet():
            export(model.eval(), inputs, path, verify=False)
        return path

    def compare(
        self,
        runs: Mapping[str, tuple[Path, timing.Feeds] | timing.Opened],
        alike: Collection[Collection[str]] | None = None,
    ) -> Timings:
        """Time files, and modules as they are, against each other; see ``timing.compare``."""
        seen = timing.compare(
            {
                label: timing.Run(*run) if isinstance(run, tuple) else run
                for label, run in runs.items()
            },
            self.seconds,
            alike,
        )
        for label in runs:
            us = seen.us(label)
            self.say(f"  {label}: {us.median:.1f} us, quartiles {us.high - us.low:.1f} apart")
        return seen


Group = Callable[[Bench], Iterator[Row]]


def feeds(**inputs: Tensor) -> timing.Feeds:
    """Return what a session is fed."""
    return {name: value.contiguous().numpy() for name, value in inputs.items()}


def image(size: int) -> Tensor:
    """Return a drawn ``float[1, 3, size, size]``."""
    return torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(0))


def torch_program(model: nn.Module, inputs: Sequence[Tensor]) -> torch.onnx.ONNXProgram:
    """Export a module with torch, in memory."""
    with quiet(), torch.no_grad():
        program = torch.onnx.export(
            model.eval(),
            tuple(inputs),
            dynamo=True,
            opset_version=OPSET,
            optimize=True,
            verbose=False,
        )
    assert program is not None
    return program


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the exporter's remarks about torchvision and its deprecations off the screen."""
    exporter = logging.getLogger("torch.onnx")
    level = exporter.level
    exporter.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        exporter.setLevel(level)


# --- the command ----------------------------------------------------------------------------


def command(
    module: str,
    groups: Mapping[str, Group],
    *,
    about: str,
    label: str = LABEL,
    options: Sequence[click.Option] = (),
    strict: bool = False,
) -> click.Command:
    """Make the command of a table.

    Args:
        module: What comes after ``python -m``.
        groups: Names to what makes their rows.
        about: Its help.
        label: What the figures are about.
        options: Options of this table alone; ``Bench.given`` has their values.
        strict: Whether a figure that is missing or over its target is a failure.
    """

    @click.command(help=about)
    @click.option("--quick", is_flag=True, help="Shorter timings, fewer levels, narrower nets.")
    @click.option("--only", multiple=True, type=click.Choice(list(groups)), help="Only this group.")
    @click.option(
        "--json",
        "json_path",
        type=click.Path(dir_okay=False, path_type=Path),
        help="Write the figures to this file.",
    )
    @click.option(
        "--output",
        "folder",
        type=click.Path(file_okay=False, path_type=Path),
        default=Path("out/benchmarks"),
        show_default=True,
        help="Where the ONNX files are kept.",
    )
    def main(
        *,
        quick: bool,
        only: tuple[str, ...],
        json_path: Path | None,
        folder: Path,
        **given: Any,  # noqa: ANN401 - whatever the options are
    ) -> None:
        if json_path:
            _prepare(json_path)
        folder.mkdir(parents=True, exist_ok=True)
        words = [*(["--quick"] if quick else []), *(f"--only {name}" for name in only)]
        words += [
            f"{option.opts[0]} {given[str(option.name)]}"
            for option in options
            if given[str(option.name)] is not None
        ]
        chosen = {name: groups[name] for name in only or groups}
        bench = _bench(folder, quick=quick, given=given)
        try:
            results = _run(" ".join(["python -m", module, *words]), chosen, bench, label)
            if json_path:
                results.write(json_path)
            if strict:
                _check(results)
        except DyncompileError as error:
            raise click.ClickException(str(error)) from error

    main.params += options
    return main


def _check(results: Results) -> None:
    """Fail for figures that are missing, or on the wrong side of their limit."""
    wrong = [row for row in results.rows if row.value is None or row.verdict == "over"]
    if wrong:
        first = " ".join(word for word in (wrong[0].network, wrong[0].path) if word)
        raise click.ClickException(
            f"{len(wrong)} figures are missing or over their target, first {first}:"
            f" {wrong[0].figure}"
        )


def _bench(folder: Path, *, quick: bool, given: Mapping[str, Any]) -> Bench:
    say = Console(stderr=True).print
    return Bench(folder, QUICK_SECONDS if quick else SECONDS, quick, say, given=given)


def _prepare(path: Path) -> None:
    """Find out before the work is done whether the figures can be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        check_writable(path)
    except (DyncompileError, OSError) as error:
        raise click.ClickException(str(error)) from error


def _run(line: str, groups: Mapping[str, Group], bench: Bench, label: str) -> Results:
    console = Console() if Console(stderr=True).is_terminal else Console(width=WIDTH)
    machine, today = describe_machine(), dt.datetime.now(tz=dt.UTC).date()
    console.print(machine)
    rows: list[Row] = []
    started = time.perf_counter()
    for name, group in groups.items():
        since = time.perf_counter()
        found = list(group(bench))
        if found:
            console.print(_table(found, label))
        console.print(f"{name}: {time.perf_counter() - since:.0f} s")
        rows += found
    seconds = time.perf_counter() - started
    over = sum(row.verdict == "over" for row in rows)
    console.print(
        f"{len(rows)} figures, {over} over their target, {seconds:.0f} s; in {bench.folder}"
    )
    seconds = round(seconds, 1)
    return Results(line, machine, today.isoformat(), label, bench.quick, seconds, tuple(rows))


def _table(rows: Sequence[Row], label: str) -> Table:
    table = Table(title=label)
    for heading in ("network", "against", "path"):
        table.add_column(heading)
    for heading in ("reference us", "figure", "target"):
        table.add_column(heading, justify="right")
    table.add_column("")
    for row in rows:
        table.add_row(
            row.network,
            row.against,
            row.path,
            "" if row.reference_us is None else f"{row.reference_us:.1f}",
            escape(row.figure),
            row.target,
            row.verdict,
            style="red" if row.verdict == "over" else None,
        )
    return table
