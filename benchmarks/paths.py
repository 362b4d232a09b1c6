"""What a path through a compiled network costs: ``python -m benchmarks.paths``.

Every ratio is a median of quotients, measured in turns against a static network of the same
path. See ``harness.py``.
"""

from __future__ import annotations

__all__ = ["GROUPS", "main"]

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import onnx_ir as ir
import torch
from torch import Tensor

from benchmarks import networks, timing
from benchmarks.figures import peer_rows, ratio_row, size_row, size_rows, torch_rows
from benchmarks.gated import all_on, gate_rows
from benchmarks.harness import (
    COND,
    OURS,
    ROUND_TRIP,
    STATIC,
    TORCH,
    Bench,
    Row,
    command,
    feeds,
    image,
    quiet,
    torch_program,
)
from dyncompile import pipeline
from dyncompile.capture import capture_model
from dyncompile.targets import ort

EXIT_NETS = {"C16 S32": (16, 32), "C64 S8": (64, 8), "C64 S32": (64, 32)}
EXITS = (0, 3, 7)
DEEPER = 4

RESNET20 = {"on": 1.16, "half": 1.21}
GATE_US = 6.0
EXIT_SLOW, EXIT_FAST = 1.06, 1.14  # from one millisecond on, and below
ANYTIME = 1.08
COND_SPEEDUP = 1.5
RUNTIME_US = 10.0
PASSES_SHARE = 0.15
GROWTH = 1.25 * DEEPER  # linear, and a quarter for noise


# --- gates ----------------------------------------------------------------------------------


def gates_resnet20(bench: Bench) -> Iterator[Row]:
    """A small network, and what a user would use instead."""
    title = "ResNet-20, 7 gates"
    net = networks.resnet20()
    rows = gate_rows(bench, title, net, image(32), limits=RESNET20, speedup=COND_SPEEDUP)
    for row in rows:
        yield row
        if (row.against, row.path) == (STATIC, "off"):
            assert row.value is not None
            assert row.reference_us is not None
            extra = (row.value - 1) * row.reference_us / net.gates
            kind = f"{title}, <= 64 KB"
            yield Row(kind, STATIC, "off", row.reference_us, extra, "us/gate", GATE_US)


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
            given = feeds(x=x, leave=torch.arange(net.exits - 1) == last)
            seen = bench.compare(
                {
                    STATIC: (_static_exit(bench, stem, net, x, last), feeds(x=x)),
                    OURS: (ours, given),
                    COND: (cond, given),
                    ROUND_TRIP: (trip, given),
                }
            )
            yield ratio_row(title, f"e{last}", seen)
            yield from peer_rows(title, f"e{last}", seen)
            static = networks.StaticExit(net, last)
            yield from torch_rows(bench, title, f"e{last}", (ours, given), (static, (x,)))
        yield from size_rows(title, ours, cond, trip)


def exits_scored(bench: Bench) -> Iterator[Row]:
    """Exits that compare a score with a threshold; the reference computes the same scores."""
    for kind, net, x in _exit_nets():
        title, stem = f"8 exits {kind}, scored", _stem(kind)
        ours = bench.our_file(f"{stem}-scored", networks.ScoredExits(net), x)
        for last in EXITS:
            static = _static_scored(bench, stem, net, x, last)
            given = feeds(x=x, threshold=net.forcing(last))
            seen = bench.compare({STATIC: (static, given), OURS: (ours, given)})
            yield ratio_row(
                title,
                f"e{last}",
                seen,
                EXIT_SLOW if seen.us(STATIC).median >= 1e3 else EXIT_FAST,
            )
        yield size_row(title, ours, static, net.exits - 1)


def anytime(bench: Bench) -> Iterator[Row]:
    """One switch over the exits."""
    for kind, net, x in _exit_nets():
        title, stem = f"anytime {kind}", _stem(kind)
        ours = bench.our_file(f"{stem}-anytime", networks.AnytimeExits(net), x)
        for level in EXITS if bench.quick else range(net.exits):
            static = _static_exit(bench, stem, net, x, level)
            given = feeds(x=x, level=torch.tensor(level))
            seen = bench.compare({STATIC: (static, feeds(x=x)), OURS: (ours, given)})
            yield ratio_row(title, f"e{level}", seen, ANYTIME)
        yield size_row(title, ours, _static_scored(bench, stem, net, x, net.exits - 1), 1)


# --- compile time ---------------------------------------------------------------------------


def compile_time(bench: Bench) -> Iterator[Row]:
    """Our passes against torch.onnx.export, and both against depth."""
    width = 16 if bench.quick else 64
    ours, theirs = {}, {}
    for times in (1, DEEPER):
        net, x = networks.resnet101(times, width), image(32)
        title = f"ResNet-101 width {width}, {net.gates} gates"
        name = f"resnet101-width{width}-gates{net.gates}"
        bench.say(f"{TORCH} {name}")
        started = time.perf_counter()
        torch_program(networks.StaticResNet(net, [True] * net.gates), (x,))
        theirs[times] = time.perf_counter() - started
        bench.say(f"capture {name}")
        with quiet():
            marked = capture_model(networks.GatedResNet(net), (x, all_on(net)), {})
        ours[times] = _passes_seconds(bench, marked)
        share = ours[times] / theirs[times]
        yield Row(title, TORCH, "", theirs[times] * 1e6, share, "of its time", PASSES_SHARE)
    for what, seconds, limit in ((TORCH, theirs, None), ("our passes", ours, GROWTH)):
        growth = seconds[DEEPER] / seconds[1]
        title = f"{what}, {DEEPER} x deeper"
        yield Row(title, "33 gates", "", seconds[1] * 1e6, growth, "x", limit)


def _passes_seconds(bench: Bench, marked: ir.Model) -> float:
    seconds = 0.0
    for step in pipeline.run(marked, ort.passes()):
        bench.say(f"  {step.name}: {step.seconds:.3f} s, {step.nodes} nodes")
        seconds += step.seconds
    return seconds


# --- the runtime ----------------------------------------------------------------------------


def runtime(bench: Bench) -> Iterator[Row]:
    """What dyncompile's own runtime adds to a call of ONNX Runtime: names, defaults, checks."""
    net = networks.seeded(partial(networks.ExitNet, 4))
    x, level = image(8), torch.tensor(0)
    path = bench.our_file("runtime-anytime", networks.AnytimeExits(net), x)
    given = feeds(x=x, level=level)
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
        seen = bench.compare({label: (file, feeds(x=x)) for label, file in files.items()})
        median = seen.us("LSTM operator").median
        ratio = seen.ratio("written out", "LSTM operator").median
        yield Row(f"8 LSTM steps, hidden {hidden}", "LSTM operator", "written out", median, ratio)


GROUPS = {
    "gates-resnet20": gates_resnet20,
    "exits-given": exits_given,
    "exits-scored": exits_scored,
    "anytime": anytime,
    "runtime": runtime,
    "lstm-step": lstm_step,
    "compile-time": compile_time,
}


def _exit_nets() -> Iterator[tuple[str, networks.ExitNet, Tensor]]:
    for kind, (width, size) in EXIT_NETS.items():
        yield kind, networks.seeded(partial(networks.ExitNet, width)), image(size)


def _stem(kind: str) -> str:
    return "exits-" + kind.lower().replace(" ", "-")


def _static_exit(bench: Bench, stem: str, net: networks.ExitNet, x: Tensor, last: int) -> Path:
    return bench.torch_file(f"{stem}-static-e{last}", networks.StaticExit(net, last), x)


def _static_scored(bench: Bench, stem: str, net: networks.ExitNet, x: Tensor, last: int) -> Path:
    model, threshold = networks.StaticScoredExit(net, last), torch.zeros(net.exits - 1)
    return bench.torch_file(f"{stem}-scored-static-e{last}", model, x, threshold)


main = command(
    "benchmarks.paths",
    GROUPS,
    about="Print what each path costs against the static network of the same path.",
)

if __name__ == "__main__":
    main()
