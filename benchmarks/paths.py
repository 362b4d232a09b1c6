"""What a path through a compiled network costs: ``python -m benchmarks.paths``.

ONNX Runtime on the CPU, 1 thread, batch 1. Every ratio is a median of quotients, measured in
turns against a static network of the same path, exported by ``torch.onnx.export`` with the
same opset and folding. All files are kept in the output folder for inspection.
"""

from __future__ import annotations

__all__ = ["Bench", "Row", "main"]

import json
import logging
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

import click
import numpy as np
import onnx
import onnx_graphsurgeon as gs
import onnx_ir as ir
import onnx_ir.passes.common as ir_passes
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from benchmarks import networks, timing
from dyncompile import pipeline
from dyncompile.capture import capture_model
from dyncompile.exporting import export
from dyncompile.machine import describe_machine
from dyncompile.targets import ort
from dyncompile.timing import Timings

OPSET = 21
WIDTH = 120
LABEL = "compiler overhead, untrained weights"
STATIC, OURS, COND, ROUND_TRIP = "static", "ours", "torch.cond", "torch.cond + graphsurgeon"
TORCH, EAGER = "torch.onnx.export", "eager PyTorch"

EXIT_NETS = {"C16 S32": (16, 32), "C64 S8": (64, 8), "C64 S32": (64, 32)}
EXITS = (0, 3, 7)
DEEPER = 4

RESNET18 = 1.04
RESNET20 = {"on": 1.16, "half": 1.21, "off": None}
GATE_US = 6.0
EXIT_SLOW, EXIT_FAST = 1.06, 1.14  # from one millisecond on, and below
ANYTIME = 1.08
COND_SPEEDUP = 1.5
RUNTIME_US = 10.0
ROUND_TRIP_TIME, ROUND_TRIP_BYTES = 1.02, 1.0
DECISION_BYTES = 4096
PASSES_SHARE = 0.15
GROWTH = 1.25 * DEEPER  # linear, and a quarter for noise


@dataclass(frozen=True)
class Row:
    """One figure.

    Attributes:
        network: What was measured.
        against: The reference.
        path: The decisions taken.
        reference_us: Microseconds of the reference; None where nothing is timed.
        value: The figure.
        unit: What it counts; ``x`` is time as a multiple of the reference.
        limit: What it may be; None where no target is set.
        at_least: The limit is a lower one.
    """

    network: str
    against: str
    path: str
    reference_us: float | None
    value: float
    unit: str = "x"
    limit: float | None = None
    at_least: bool = False

    @property
    def verdict(self) -> str:
        """``ok``, ``over`` (on the wrong side of the limit), or nothing."""
        if self.limit is None:
            return ""
        missed = self.value < self.limit if self.at_least else self.value > self.limit
        return "over" if missed else "ok"


@dataclass(frozen=True)
class Bench:
    """Where files go and how long each measurement lasts.

    Attributes:
        folder: Receives every ONNX file.
        seconds: Time spent on each session of a comparison.
        quick: Fewer levels, and narrower networks for the compile time.
        say: Receives one line per step.
        made: The files that torch has exported, by name.
    """

    folder: Path
    seconds: float
    quick: bool
    say: Callable[[str], None]
    made: dict[str, Path] = field(default_factory=dict)

    def torch_file(self, name: str, model: nn.Module, *inputs: Tensor) -> Path:
        """Export with torch alone, once per name."""
        if name not in self.made:
            self.say(f"{TORCH} {name}")
            self.made[name] = self.folder / f"{name}.onnx"
            _torch_program(model, inputs).save(self.made[name])
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
        with _quiet():
            export(model.eval(), inputs, path, verify=False)
        return path

    def compare(self, runs: Mapping[str, tuple[Path, timing.Feeds] | timing.Opened]) -> Timings:
        """Time files, and modules as they are, against each other."""
        seen = timing.compare(
            {
                label: timing.Run(*run) if isinstance(run, tuple) else run
                for label, run in runs.items()
            },
            self.seconds,
        )
        for label in runs:
            us = seen.us(label)
            self.say(f"  {label}: {us.median:.1f} us, quartiles {us.high - us.low:.1f} apart")
        return seen


# --- gates ----------------------------------------------------------------------------------


def gates_resnet18(bench: Bench) -> Iterator[Row]:
    """A large network: overheads should vanish."""
    title, net, x = "ResNet-18, 5 gates", networks.resnet18(), _image(224)
    ours = bench.our_file("resnet18-gated", networks.GatedResNet(net), x, _all(net))
    for name, path in _paths(net).items():
        static = _static(bench, "resnet18", net, x, name)
        given = _feeds(x=x, take=path)
        seen = bench.compare({STATIC: (static, _feeds(x=x)), OURS: (ours, given)})
        yield _ratio(title, name, seen, RESNET18)
    yield _size(title, ours, bench.made["resnet18-static-on"], net.gates)


def gates_resnet20(bench: Bench) -> Iterator[Row]:
    """A small network, and what a user would use instead."""
    title, net, x = "ResNet-20, 7 gates", networks.resnet20(), _image(32)
    ours = bench.our_file("resnet20-gated", networks.GatedResNet(net), x, _all(net))
    cond = bench.torch_file("resnet20-cond", networks.CondResNet(net), x, _all(net))
    trip = bench.round_trip_file(cond)
    for name, path in _paths(net).items():
        static = _static(bench, "resnet20", net, x, name)
        given = _feeds(x=x, take=path)
        seen = bench.compare(
            {
                STATIC: (static, _feeds(x=x)),
                OURS: (ours, given),
                COND: (cond, given),
                ROUND_TRIP: (trip, given),
            }
        )
        yield _ratio(title, name, seen, RESNET20[name])
        if name == "off":
            static_us = seen.us(STATIC).median
            extra = (seen.ratio(OURS, STATIC).median - 1) * static_us / net.gates
            kind = f"{title}, <= 64 KB"
            yield Row(kind, STATIC, name, static_us, extra, "us/gate", GATE_US)
        yield from _peers(title, name, seen, COND_SPEEDUP if name == "on" else None)
        eager = timing.Eager(networks.StaticResNet(net, path.tolist()).eval(), (x,))
        seen = bench.compare({OURS: (ours, given), EAGER: eager})
        yield Row(
            title, EAGER, name, seen.us(EAGER).median, seen.ratio(EAGER, OURS).median, "x faster"
        )
    yield _size(title, ours, bench.made["resnet20-static-on"], net.gates)
    yield from _bytes(title, ours, cond, trip)


# --- exits ----------------------------------------------------------------------------------


def exits_given(bench: Bench) -> Iterator[Row]:
    """Exits whose decisions are inputs: a path is a prefix and one head."""
    for kind, net, x in _exit_nets():
        title, stem = f"8 exits {kind}, given", _stem(kind)
        nowhere = torch.zeros(net.exits - 1, dtype=torch.bool)
        ours = bench.our_file(f"{stem}-given", networks.GatedExits(net), x, nowhere)
        cond = bench.torch_file(f"{stem}-cond", networks.CondExits(net), x, nowhere)
        trip = bench.round_trip_file(cond)
        for last in EXITS:
            given = _feeds(x=x, leave=torch.arange(net.exits - 1) == last)
            seen = bench.compare(
                {
                    STATIC: (_static_exit(bench, stem, net, x, last), _feeds(x=x)),
                    OURS: (ours, given),
                    COND: (cond, given),
                    ROUND_TRIP: (trip, given),
                }
            )
            yield _ratio(title, f"e{last}", seen)
            yield from _peers(title, f"e{last}", seen, None)
        yield from _bytes(title, ours, cond, trip)


def exits_scored(bench: Bench) -> Iterator[Row]:
    """Exits that compare a score with a threshold; the reference computes the same scores."""
    for kind, net, x in _exit_nets():
        title, stem = f"8 exits {kind}, scored", _stem(kind)
        ours = bench.our_file(f"{stem}-scored", networks.ScoredExits(net), x)
        for last in EXITS:
            threshold = torch.full((net.exits - 1,), torch.inf)
            threshold[last : last + 1] = -torch.inf
            static = _static_scored(bench, stem, net, x, last)
            given = _feeds(x=x, threshold=threshold)
            seen = bench.compare({STATIC: (static, given), OURS: (ours, given)})
            yield _ratio(
                title,
                f"e{last}",
                seen,
                EXIT_SLOW if seen.us(STATIC).median >= 1e3 else EXIT_FAST,
            )
        yield _size(title, ours, static, net.exits - 1)


def anytime(bench: Bench) -> Iterator[Row]:
    """One switch over the exits."""
    for kind, net, x in _exit_nets():
        title, stem = f"anytime {kind}", _stem(kind)
        ours = bench.our_file(f"{stem}-anytime", networks.AnytimeExits(net), x)
        for level in EXITS if bench.quick else range(net.exits):
            static = _static_exit(bench, stem, net, x, level)
            given = _feeds(x=x, level=torch.tensor(level))
            seen = bench.compare({STATIC: (static, _feeds(x=x)), OURS: (ours, given)})
            yield _ratio(title, f"e{level}", seen, ANYTIME)
        yield _size(title, ours, _static_scored(bench, stem, net, x, net.exits - 1), 1)


# --- compile time ---------------------------------------------------------------------------


def compile_time(bench: Bench) -> Iterator[Row]:
    """Our passes against torch.onnx.export, and both against depth."""
    width = 16 if bench.quick else 64
    ours, theirs = {}, {}
    for times in (1, DEEPER):
        net, x = networks.resnet101(times, width), _image(32)
        title = f"ResNet-101 width {width}, {net.gates} gates"
        name = f"resnet101-width{width}-gates{net.gates}"
        bench.say(f"{TORCH} {name}")
        started = time.perf_counter()
        _torch_program(networks.StaticResNet(net, [True] * net.gates), (x,))
        theirs[times] = time.perf_counter() - started
        bench.say(f"capture {name}")
        with _quiet():
            marked = capture_model(networks.GatedResNet(net), (x, _all(net)), {})
        ours[times] = _passes_seconds(bench, marked)
        share = ours[times] / theirs[times]
        yield Row(title, TORCH, "", theirs[times] * 1e6, share, "of its time", PASSES_SHARE)
    for what, seconds, limit in ((TORCH, theirs, None), ("our passes", ours, GROWTH)):
        growth = seconds[DEEPER] / seconds[1]
        title = f"{what}, {DEEPER} x deeper"
        yield Row(title, "33 gates", "", seconds[1] * 1e6, growth, "x", limit)


def _passes_seconds(bench: Bench, marked: ir.Model) -> float:
    seconds = 0.0
    for step in pipeline.run(marked, ort.PASSES):
        bench.say(f"  {step.name}: {step.seconds:.3f} s, {step.nodes} nodes")
        seconds += step.seconds
    return seconds


# --- the runtime ----------------------------------------------------------------------------


def runtime(bench: Bench) -> Iterator[Row]:
    """What dyncompile's own runtime adds to a call of ONNX Runtime: names, defaults, checks."""
    net = networks.seeded(partial(networks.ExitNet, 4))
    x, level = _image(8), torch.tensor(0)
    path = bench.our_file("runtime-anytime", networks.AnytimeExits(net), x)
    given = _feeds(x=x, level=level)
    seen = bench.compare({STATIC: (path, given), OURS: timing.Loaded(path, given)})
    extra = seen.us(OURS).median - seen.us(STATIC).median
    median = seen.us(STATIC).median
    yield Row("a call, one input, one knob", "session.run", "", median, extra, "us", RUNTIME_US)


# --- recurrent gates ------------------------------------------------------------------------


def lstm_step(bench: Bench) -> Iterator[Row]:
    """A controller with LSTM steps written out, against the LSTM operator: why no pass does so."""
    x = torch.randn(1, 16, generator=torch.Generator().manual_seed(0))
    for hidden in (10, 64):
        files = {
            label: bench.torch_file(
                f"lstm-{hidden}-{label.replace(' ', '-')}",
                networks.seeded(partial(networks.LstmSteps, hidden, written_out=written_out)),
                x,
            )
            for label, written_out in (("LSTM operator", False), ("written out", True))
        }
        seen = bench.compare({label: (file, _feeds(x=x)) for label, file in files.items()})
        median = seen.us("LSTM operator").median
        ratio = seen.ratio("written out", "LSTM operator").median
        yield Row(f"8 LSTM steps, hidden {hidden}", "LSTM operator", "written out", median, ratio)


GROUPS = {
    "gates-resnet18": gates_resnet18,
    "gates-resnet20": gates_resnet20,
    "exits-given": exits_given,
    "exits-scored": exits_scored,
    "anytime": anytime,
    "runtime": runtime,
    "lstm-step": lstm_step,
    "compile-time": compile_time,
}


# --- inputs and references ------------------------------------------------------------------


def _paths(net: networks.ResNet) -> dict[str, Tensor]:
    number = torch.arange(net.gates)
    return {"on": number >= 0, "half": number % 2 == 0, "off": number < 0}


def _all(net: networks.ResNet) -> Tensor:
    return torch.ones(net.gates, dtype=torch.bool)


def _image(size: int) -> Tensor:
    return torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(0))


def _feeds(**inputs: Tensor) -> timing.Feeds:
    return {name: np.ascontiguousarray(value.numpy()) for name, value in inputs.items()}


def _exit_nets() -> Iterator[tuple[str, networks.ExitNet, Tensor]]:
    for kind, (width, size) in EXIT_NETS.items():
        yield kind, networks.seeded(partial(networks.ExitNet, width)), _image(size)


def _stem(kind: str) -> str:
    return "exits-" + kind.lower().replace(" ", "-")


def _static(bench: Bench, stem: str, net: networks.ResNet, x: Tensor, path: str) -> Path:
    model = networks.StaticResNet(net, _paths(net)[path].tolist())
    return bench.torch_file(f"{stem}-static-{path}", model, x)


def _static_exit(bench: Bench, stem: str, net: networks.ExitNet, x: Tensor, last: int) -> Path:
    return bench.torch_file(f"{stem}-static-e{last}", networks.StaticExit(net, last), x)


def _static_scored(bench: Bench, stem: str, net: networks.ExitNet, x: Tensor, last: int) -> Path:
    model, threshold = networks.StaticScoredExit(net, last), torch.zeros(net.exits - 1)
    return bench.torch_file(f"{stem}-scored-static-e{last}", model, x, threshold)


def _torch_program(model: nn.Module, inputs: Sequence[Tensor]) -> torch.onnx.ONNXProgram:
    with _quiet(), torch.no_grad():
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
def _quiet() -> Iterator[None]:
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


# --- figures --------------------------------------------------------------------------------


def _ratio(title: str, path: str, seen: Timings, limit: float | None = None) -> Row:
    ratio = seen.ratio(OURS, STATIC).median
    return Row(title, STATIC, path, seen.us(STATIC).median, ratio, "x", limit)


def _peers(title: str, path: str, seen: Timings, speedup: float | None) -> Iterator[Row]:
    cond, trip = seen.us(COND).median, seen.us(ROUND_TRIP).median
    faster, ratio = seen.ratio(COND, OURS).median, seen.ratio(OURS, ROUND_TRIP).median
    yield Row(title, COND, path, cond, faster, "x faster", speedup, at_least=True)
    yield Row(title, ROUND_TRIP, path, trip, ratio, "x", ROUND_TRIP_TIME)


def _size(title: str, ours: Path, static: Path, decisions: int) -> Row:
    extra = (_weigh(ours) - _weigh_bare(static)) / decisions
    return Row(title, "static, bare", "file", None, extra, "B/decision", DECISION_BYTES)


def _bytes(title: str, ours: Path, cond: Path, trip: Path) -> Iterator[Row]:
    size = _weigh(ours)
    yield Row(title, COND, "file", None, size / _weigh(cond), "x bytes")
    yield Row(title, ROUND_TRIP, "file", None, size / _weigh(trip), "x bytes", ROUND_TRIP_BYTES)


def _weigh(path: Path) -> int:
    data = path.with_name(f"{path.name}.data")
    return path.stat().st_size + (data.stat().st_size if data.exists() else 0)


def _weigh_bare(path: Path) -> int:
    """Count the bytes without what torch notes about the source of each node."""
    model = ir.load(path)
    ir_passes.ClearMetadataAndDocStringPass()(model)
    return len(ir.to_proto(model).SerializeToString())


# --- report ---------------------------------------------------------------------------------


def _table(rows: Sequence[Row]) -> Table:
    table = Table(title=LABEL)
    for heading in ("network", "against", "path"):
        table.add_column(heading)
    for heading in ("reference us", "figure", "target"):
        table.add_column(heading, justify="right")
    table.add_column("")
    for row in rows:
        digits = 3 if abs(row.value) < 100 else 0
        table.add_row(
            row.network,
            row.against,
            row.path,
            "" if row.reference_us is None else f"{row.reference_us:.1f}",
            f"{row.value:.{digits}f} {row.unit}",
            "" if row.limit is None else f"{'>=' if row.at_least else '<='} {row.limit:g}",
            row.verdict,
            style="red" if row.verdict == "over" else None,
        )
    return table


@click.command()
@click.option("--quick", is_flag=True, help="Shorter timings, fewer levels, narrower nets.")
@click.option("--only", multiple=True, type=click.Choice(list(GROUPS)), help="Only this group.")
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
def main(*, quick: bool, only: tuple[str, ...], json_path: Path | None, folder: Path) -> None:
    """Print what each path costs against the static network of the same path."""
    folder.mkdir(parents=True, exist_ok=True)
    progress = Console(stderr=True)
    console = Console() if progress.is_terminal else Console(width=WIDTH)
    bench = Bench(folder, 0.3 if quick else 1.5, quick, progress.print)
    machine = describe_machine()
    console.print(machine)
    rows: list[Row] = []
    for name in only or GROUPS:
        found = list(GROUPS[name](bench))
        console.print(_table(found))
        rows += found
    over = sum(row.verdict == "over" for row in rows)
    console.print(f"{len(rows)} figures, {over} over their target; files in {folder}")
    if json_path:
        lines = [asdict(row) | {"verdict": row.verdict} for row in rows]
        report = {"machine": machine, "label": LABEL, "quick": quick, "rows": lines}
        json_path.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
