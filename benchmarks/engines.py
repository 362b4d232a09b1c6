"""What decisions cost in an engine: ``python -m benchmarks.engines``.

Plans of TensorRT for RTX, built without a GPU for its default chips: their bytes, and the seconds
of parser and builder, in turns with the static network. Nothing here runs a plan.
"""

from __future__ import annotations

__all__ = ["GROUPS", "main"]

import statistics
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmarks import networks
from benchmarks.engine_networks import (
    MARKERS,
    CondWidths,
    GatedBlocks,
    InnerWidths,
    marker_network,
)
from benchmarks.gated import all_on
from benchmarks.harness import COND, OURS, STATIC, Bench, Row, command, image, quiet
from dyncompile.engines.building import BuildReport, build
from dyncompile.engines.flavors import load_builder, rtx_chips
from dyncompile.engines.request import Flavor
from dyncompile.errors import DyncompileError
from dyncompile.exporting import export
from dyncompile.passes.specialise_levels import Lowering

FLAVOR: Flavor = "tensorrt-rtx"
LABEL = "plans of TensorRT for RTX: built on a CPU, not run"
TURNS, QUICK_TURNS = 7, 1
GATES, CHAIN, BLOCKS_SECONDS = 1.10, 1.12, 2.0


def gates(bench: Bench) -> Iterator[Row]:
    """A residual network whose blocks can be skipped."""
    net = networks.resnet20() if bench.quick else networks.resnet18()
    x = image(32 if bench.quick else 224)
    title = "ResNet-20, 9 gates" if bench.quick else f"ResNet-18, {net.gates} gates"
    gated = networks.GatedResNet(net)
    ours = _our_file(bench, "engines-gates", gated, x, all_on(net))
    static = bench.torch_file("engines-gates-static", net, x)
    yield from _rows(bench, title, {OURS: ours, STATIC: static}, limit=GATES, half=True)


def exits(bench: Bench) -> Iterator[Row]:
    """Eight exits behind each other, and scores that decide."""
    net = networks.seeded(lambda: networks.ExitNet(32 if bench.quick else 128)).eval()
    x = image(32)
    ours = _our_file(bench, "engines-exits", networks.ScoredExits(net), x)
    last = networks.StaticScoredExit(net, net.exits - 1)
    static = bench.torch_file("engines-exits-static", last, x, net.forcing(net.exits - 1))
    yield from _rows(bench, "8 exits", {OURS: ours, STATIC: static}, half=True)


def budgets(bench: Bench) -> Iterator[Row]:
    """Four widths inside of blocks, lowered in both ways, and written by hand."""
    net = networks.resnet20() if bench.quick else networks.resnet18()
    x = image(32 if bench.quick else 224)
    title = f"ResNet-{20 if bench.quick else 18}, 4 widths"
    static = bench.torch_file("engines-widths-static", net, x)
    widths = InnerWidths(net)
    ways: Mapping[Lowering, float | None] = {"chain": CHAIN, "switch": None}
    for lowering, limit in ways.items():
        ours = _our_file(bench, f"engines-widths-{lowering}", widths, x, budgets=lowering)
        files = {OURS: ours, STATIC: static}
        yield from _rows(
            bench, f"{title}, {lowering}", files, limit=limit, half=lowering == "chain"
        )
    level = torch.tensor(0)
    cond = bench.torch_file("engines-widths-cond", CondWidths(net), x, level)
    yield from _rows(bench, f"{title}, {COND}", {OURS: cond, STATIC: static})


def blocks(bench: Bench) -> Iterator[Row]:
    """Many small decisions."""
    net = networks.seeded(lambda: GatedBlocks(8 if bench.quick else 64)).eval()
    x, count = image(32), len(net.blocks)
    ours = _our_file(bench, "engines-blocks", net, x, x.new_ones(count).bool())
    static = bench.torch_file("engines-blocks-static", net, x)
    files = {OURS: ours, STATIC: static}
    yield from _rows(bench, f"{count} gated blocks", files, seconds=BLOCKS_SECONDS)


def chips(bench: Bench) -> Iterator[Row]:
    """Every marker, for every compute capability that there is."""
    for name in MARKERS:
        net, x = marker_network(name)
        file = _our_file(bench, f"engines-{name.replace(', ', '-').replace(' ', '-')}", net, x)
        for chip in rtx_chips(load_builder(FLAVOR)):
            for fp16 in (False, True):
                yield _chip_row(bench, name, file, chip, fp16=fp16)


GROUPS = {"gates": gates, "exits": exits, "budgets": budgets, "blocks": blocks, "chips": chips}


def _our_file(
    bench: Bench, name: str, model: nn.Module, *inputs: Tensor, budgets: Lowering = "auto"
) -> Path:
    """Export with dyncompile for TensorRT."""
    bench.say(f"dyncompile.export {name}")
    path = bench.folder / f"{name}.onnx"
    with quiet():
        export(model.eval(), inputs, path, target="tensorrt", verify=False, budgets=budgets)
    return path


def _build(
    file: Path, *, fp16: bool = False, chip: str | None = None, suffix: str = ""
) -> BuildReport:
    path = file.with_name(f"{file.stem}{suffix}.engine")
    asked = () if chip is None else (chip,)
    return build(file, path, flavor=FLAVOR, chips=asked, fp16=fp16, verify=False)


def _rows(
    bench: Bench,
    title: str,
    files: Mapping[str, Path],
    *,
    limit: float | None = None,
    half: bool = False,
    seconds: float | None = None,
) -> Iterator[Row]:
    """Compare plans and the time it takes to build them, in turns."""
    for fp16 in (False, True) if half else (False,):
        path = "float16" if fp16 else ""
        bench.say(f"build {title} {path}")
        turns = QUICK_TURNS if bench.quick else TURNS
        seen = [
            {label: _build(file, fp16=fp16) for label, file in files.items()} for _ in range(turns)
        ]
        ours, static = seen[-1][OURS], seen[-1][STATIC]
        bytes_ = ours.engine.bytes / static.engine.bytes
        yield Row(title, STATIC, f"plan {path}".strip(), None, bytes_, "x bytes", limit)
        quotients = [turn[OURS].built.seconds / turn[STATIC].built.seconds for turn in seen]
        took = statistics.median(turn[STATIC].built.seconds for turn in seen)
        ratio = statistics.median(quotients)
        yield Row(title, STATIC, f"build {path}".strip(), took * 1e6, ratio)
        if seconds is not None:
            own = statistics.median(turn[OURS].built.seconds for turn in seen)
            yield Row(title, "", "build", None, own, "s", seconds)


def _chip_row(bench: Bench, name: str, file: Path, chip: str, *, fp16: bool) -> Row:
    path = f"{chip}, float16" if fp16 else chip
    bench.say(f"build {name}, {path}")
    try:
        report = _build(file, fp16=fp16, chip=chip)
    except DyncompileError as error:
        return Row(name, "", path, None, None, note=str(error))
    return Row(name, "", path, None, report.engine.bytes / 1e6, "MB")


main = command(
    "benchmarks.engines",
    GROUPS,
    about="Print what decisions cost in the plans that TensorRT for RTX builds.",
    label=LABEL,
    strict=True,
)

if __name__ == "__main__":
    main()
