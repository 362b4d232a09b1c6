"""What a path through a compiled network costs: ``python -m benchmarks.paths``.

ONNX Runtime on the CPU, 1 thread, batch 1. Every ratio is a quotient of medians measured in
turns against a static network of the same path, exported by ``torch.onnx.export`` with the
same opset and folding. All files are kept in the output folder for inspection.
"""

from __future__ import annotations

__all__ = ["Bench", "Row", "main"]

import json
import logging
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import click
import numpy as np
import onnx
import onnx_graphsurgeon as gs
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from benchmarks import networks, timing
from dyncompile import artifact, pipeline
from dyncompile.export import export
from dyncompile.targets import ort

OPSET = 21
LABEL = "compiler overhead, untrained weights"
EXIT_NETS = {"C16 S32": (16, 32), "C64 S8": (64, 8), "C64 S32": (64, 32)}
EXITS = (0, 3, 7)

GATE_BYTES = 4096
GATE_US = 6.0
COND_SPEEDUP = 1.5
ROUND_TRIP_TIME = 1.02
ANYTIME = 1.08
EXIT_SLOW, EXIT_FAST = 1.06, 1.14  # from one millisecond on, and below
PASSES_SHARE = 0.15
DEEPER = 4
GROWTH = 1.25 * DEEPER  # linear, and a quarter for noise


@dataclass(frozen=True)
class Row:
    """One figure.

    Attributes:
        network: What was measured, and against what.
        path: The decisions taken.
        static_us: Median of the reference in microseconds; None where nothing is timed.
        value: The figure.
        unit: What it counts; ``x`` is time as a multiple of the reference.
        limit: What it may be; None where no target is set.
        at_least: The limit is a lower one.
    """

    network: str
    path: str
    static_us: float | None
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
        quick: Leave out the large networks of the compile-time figures.
        say: Receives one line per step.
    """

    folder: Path
    seconds: float
    quick: bool
    say: Callable[[str], None]
    made: dict[str, Path] = field(default_factory=dict)

    def torch_file(self, name: str, model: nn.Module, *inputs: Tensor) -> Path:
        """Export with torch alone, once per name."""
        if name not in self.made:
            self.say(f"torch.onnx.export {name}")
            self.made[name] = self.folder / f"{name}.onnx"
            _torch_export(model, inputs, self.made[name])
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

    def compiled_file(
        self, name: str, model: nn.Module, *inputs: Tensor, target: str = "onnx"
    ) -> Path:
        """Export with dyncompile; the outputs are compared with the static network instead."""
        self.say(f"dyncompile.export {name}")
        path = self.folder / f"{name}.onnx"
        with _quiet():
            export(model.eval(), inputs, path, target=target, verify=False)
        return path

    def times(self, runs: dict[str, tuple[Path, timing.Feeds]]) -> dict[str, float]:
        """Return the median in microseconds of every run; the first one is the reference."""
        opened = {
            label: timing.Run(timing.open_session(path), feeds)
            for label, (path, feeds) in runs.items()
        }
        found = timing.compare(opened, self.seconds)
        for label, one in found.items():
            self.say(
                f"  {label}: {one.median_us:.1f} us, quartiles {one.spread_us:.1f} us apart"
            )
        return {label: one.median_us for label, one in found.items()}


# --- gates ------------------------------------------------------------------------------------


def gates_resnet18(bench: Bench) -> Iterator[Row]:
    """A large network: overheads should vanish."""
    net, x = networks.resnet18(), _image(224)
    ours = bench.compiled_file("resnet18-gated", networks.GatedResNet(net), x, _all(net))
    for name, path in _paths(net.gates).items():
        static = _static(bench, "resnet18", net, x, path)
        us = bench.times(
            {"static": (static, _feeds(x=x)), "ours": (ours, _feeds(x=x, take=path))}
        )
        yield Row(
            "ResNet-18, 5 gates", name, us["static"], us["ours"] / us["static"], limit=1.04
        )
    yield _size("ResNet-18, 5 gates", ours, bench.made["resnet18-static-on"], net.gates)


def gates_resnet20(bench: Bench) -> Iterator[Row]:
    """A small network, and what a user would use instead."""
    net, x = networks.resnet20(), _image(32)
    ours = bench.compiled_file("resnet20-gated", networks.GatedResNet(net), x, _all(net))
    cond = bench.torch_file("resnet20-cond", networks.CondResNet(net), x, _all(net))
    trip = bench.round_trip_file(cond)
    limits = {"on": 1.16, "half": 1.21, "off": None}
    for name, path in _paths(net.gates).items():
        given = _feeds(x=x, take=path)
        us = bench.times(
            {
                "static": (_static(bench, "resnet20", net, x, path), _feeds(x=x)),
                "ours": (ours, given),
                "torch.cond": (cond, given),
                "torch.cond, graphsurgeon": (trip, given),
            }
        )
        title, static = "ResNet-20, 7 gates", us["static"]
        yield Row(title, name, static, us["ours"] / static, limit=limits[name])
        if not any(path):
            extra = (us["ours"] - static) / net.gates
            yield Row(f"{title}, up to 64 KB", name, static, extra, "us/gate", GATE_US)
        yield from _peers(title, name, us, COND_SPEEDUP if all(path) else None)
    yield _size(title, ours, bench.made["resnet20-static-on"], net.gates)
    yield from _bytes(title, ours, cond, trip)


# --- exits ------------------------------------------------------------------------------------


def exits_given(bench: Bench) -> Iterator[Row]:
    """Exits whose decisions are inputs: a path is a prefix and one head."""
    for title, net, x in _exit_nets():
        stem, nowhere = _stem(title), torch.zeros(net.exits - 1, dtype=torch.bool)
        ours = bench.compiled_file(f"{stem}-given", networks.GatedExits(net), x, nowhere)
        cond = bench.torch_file(f"{stem}-cond", networks.CondExits(net), x, nowhere)
        trip = bench.round_trip_file(cond)
        title = f"8 exits {title}, decisions given"
        for last in EXITS:
            given = _feeds(x=x, leave=torch.arange(net.exits - 1) == last)
            us = bench.times(
                {
                    "static": (_static_exit(bench, stem, net, x, last), _feeds(x=x)),
                    "ours": (ours, given),
                    "torch.cond": (cond, given),
                    "torch.cond, graphsurgeon": (trip, given),
                }
            )
            yield Row(title, f"e{last}", us["static"], us["ours"] / us["static"])
            yield from _peers(title, f"e{last}", us, None)
        yield from _bytes(title, ours, cond, trip)


def exits_scored(bench: Bench) -> Iterator[Row]:
    """Exits that compare a score with a threshold; the reference computes the same scores."""
    for title, net, x in _exit_nets():
        stem = _stem(title)
        ours = bench.compiled_file(f"{stem}-scored", networks.ScoredExits(net), x)
        title = f"8 exits {title}, with scores"
        for last in EXITS:
            threshold = torch.full((net.exits - 1,), torch.inf)
            threshold[last : last + 1] = -torch.inf
            static = bench.torch_file(
                f"{stem}-scored-static-e{last}",
                networks.StaticScoredExit(net, last),
                x,
                threshold,
            )
            given = _feeds(x=x, threshold=threshold)
            us = bench.times({"static": (static, given), "ours": (ours, given)})
            limit = EXIT_SLOW if us["static"] >= 1e3 else EXIT_FAST
            ratio = us["ours"] / us["static"]
            yield Row(title, f"e{last}", us["static"], ratio, limit=limit)
        yield _size(title, ours, bench.made[f"{stem}-scored-static-e7"], net.exits - 1)


def anytime(bench: Bench) -> Iterator[Row]:
    """One switch over the exits."""
    for title, net, x in _exit_nets():
        stem = _stem(title)
        ours = bench.compiled_file(f"{stem}-anytime", networks.AnytimeExits(net), x)
        for last in EXITS if bench.quick else range(net.exits):
            us = bench.times(
                {
                    "static": (_static_exit(bench, stem, net, x, last), _feeds(x=x)),
                    "ours": (ours, _feeds(x=x, level=torch.tensor(last))),
                }
            )
            ratio = us["ours"] / us["static"]
            yield Row(f"anytime {title}", f"e{last}", us["static"], ratio, limit=ANYTIME)
        whole = networks.StaticScoredExit(net, net.exits - 1)
        heads = bench.torch_file(
            f"{stem}-scored-static-e7", whole, x, torch.zeros(net.exits - 1)
        )
        yield _size(f"anytime {title}", ours, heads, 1)


# --- compile time -----------------------------------------------------------------------------


def compile_time(bench: Bench) -> Iterator[Row]:
    """Our passes against torch.onnx.export, and both against depth."""
    width = 16 if bench.quick else 64
    name = f"ResNet-101 width {width}"
    ours, theirs = {}, {}
    for times in (1, DEEPER):
        net, x = networks.resnet101(times, width), _image(32)
        stem = f"resnet{100 * times + 1}-width{width}"
        started = time.perf_counter()
        bench.torch_file(f"{stem}-static", networks.StaticResNet(net, [True] * net.gates), x)
        theirs[times] = time.perf_counter() - started
        marked = bench.compiled_file(
            f"{stem}-marked", networks.GatedResNet(net), x, _all(net), target="marked"
        )
        model, _ = artifact.read(marked)
        ours[times] = 0.0
        for step in pipeline.run(model, ort.PASSES):
            bench.say(f"  {step.name}: {step.seconds:.3f} s, {step.nodes} nodes")
            ours[times] += step.seconds
        title = f"{name}, {net.gates} gates"
        yield Row(title, "torch.onnx.export", None, theirs[times], "s")
        yield Row(title, "our passes", None, ours[times], "s")
        share = ours[times] / theirs[times]
        yield Row(title, "passes / torch", None, share, "of export", PASSES_SHARE)
    title = f"{name}, {DEEPER} x deeper"
    yield Row(title, "torch.onnx.export", None, theirs[DEEPER] / theirs[1], "x time")
    yield Row(title, "our passes", None, ours[DEEPER] / ours[1], "x time", GROWTH)


GROUPS = {
    "gates-resnet18": gates_resnet18,
    "gates-resnet20": gates_resnet20,
    "exits-given": exits_given,
    "exits-scored": exits_scored,
    "anytime": anytime,
    "compile-time": compile_time,
}


# --- parts ------------------------------------------------------------------------------------


def _paths(gates: int) -> dict[str, Tensor]:
    number = torch.arange(gates)
    return {"on": number >= 0, "half": number % 2 == 0, "off": number < 0}


def _all(net: networks.ResNet) -> Tensor:
    return torch.ones(net.gates, dtype=torch.bool)


def _image(size: int) -> Tensor:
    return torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(0))


def _feeds(**inputs: Tensor) -> timing.Feeds:
    return {name: np.ascontiguousarray(value.numpy()) for name, value in inputs.items()}


def _static(bench: Bench, stem: str, net: networks.ResNet, x: Tensor, path: Tensor) -> Path:
    name = next(name for name, other in _paths(net.gates).items() if other.equal(path))
    return bench.torch_file(
        f"{stem}-static-{name}", networks.StaticResNet(net, path.tolist()), x
    )


def _static_exit(bench: Bench, stem: str, net: networks.ExitNet, x: Tensor, last: int) -> Path:
    return bench.torch_file(f"{stem}-static-e{last}", networks.StaticExit(net, last), x)


def _exit_nets() -> Iterator[tuple[str, networks.ExitNet, Tensor]]:
    for title, (width, size) in EXIT_NETS.items():
        yield title, networks.seeded(lambda w=width: networks.ExitNet(w)), _image(size)


def _stem(title: str) -> str:
    return "exits-" + title.lower().replace(" ", "-")


def _peers(
    title: str, path: str, us: dict[str, float], speedup: float | None
) -> Iterator[Row]:
    ours, cond, trip = us["ours"], us["torch.cond"], us["torch.cond, graphsurgeon"]
    yield Row(
        f"{title}: torch.cond / ours", path, us["static"], cond / ours, "x", speedup, True
    )
    name = f"{title}: ours / torch.cond + graphsurgeon"
    yield Row(name, path, us["static"], ours / trip, limit=ROUND_TRIP_TIME)


def _size(title: str, ours: Path, static: Path, decisions: int) -> Row:
    extra = (_weigh(ours) - _weigh(static)) / decisions
    return Row(f"{title}: file - static", "file", None, extra, "B/decision", GATE_BYTES)


def _bytes(title: str, ours: Path, cond: Path, trip: Path) -> Iterator[Row]:
    size = _weigh(ours)
    yield Row(f"{title}: ours / torch.cond", "file", None, size / _weigh(cond), "x bytes")
    name = f"{title}: ours / torch.cond + graphsurgeon"
    yield Row(name, "file", None, size / _weigh(trip), "x bytes", 1.0)


def _weigh(path: Path) -> int:
    data = path.with_name(f"{path.name}.data")
    return path.stat().st_size + (data.stat().st_size if data.exists() else 0)


def _torch_export(model: nn.Module, inputs: Sequence[Tensor], path: Path) -> None:
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
        program.save(path)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's remarks about torchvision and its own deprecations off the screen."""
    exporter = logging.getLogger("torch.onnx")
    level = exporter.level
    exporter.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        exporter.setLevel(level)


# --- report -----------------------------------------------------------------------------------


def _table(rows: Sequence[Row]) -> Table:
    table = Table(title=LABEL)
    table.add_column("network", overflow="fold")
    table.add_column("path")
    for heading in ("static us", "figure", "target"):
        table.add_column(heading, justify="right")
    table.add_column("")
    for row in rows:
        bound = ">=" if row.at_least else "<="
        table.add_row(
            row.network,
            row.path,
            "" if row.static_us is None else f"{row.static_us:.1f}",
            f"{row.value:.3f} {row.unit}"
            if row.value < 100
            else f"{row.value:.0f} {row.unit}",
            "" if row.limit is None else f"{bound} {row.limit:g}",
            row.verdict,
            style="red" if row.verdict == "over" else None,
        )
    return table


@click.command()
@click.option(
    "--quick", is_flag=True, help="Time less, and a narrower network for compile time."
)
@click.option(
    "--only", multiple=True, type=click.Choice(list(GROUPS)), help="This group only."
)
@click.option(
    "--json",
    "json_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the rows.",
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
    console, progress = Console(), Console(stderr=True)
    bench = Bench(folder, 0.3 if quick else 1.5, quick, progress.print)
    machine = timing.describe_machine()
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
