"""What the C++ library adds to a call of ONNX Runtime: ``python -m benchmarks.cpp``.

The library and the programs of ``cpp/benchmarks`` are built first. A bare call uses the C API of
ONNX Runtime alone: from the caller's memory to the caller's memory, one thread, the same file at
the same value of its knob. Outputs are compared, byte for byte, before anything is timed.
"""

from __future__ import annotations

__all__ = ["GROUPS", "main"]

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from torch import Tensor, nn

import dyncompile
from benchmarks import networks
from benchmarks.cpp_programs import Contender, Contenders, Programs, built
from benchmarks.engine_networks import InnerWidths, marker_network
from benchmarks.harness import Bench, Row, command, image, quiet
from dyncompile.exporting import export
from dyncompile.timing import time_in_turns

LABEL = "calls of the C++ library, a Release build; CPU, untrained weights"
BARE, SILENT, CPP = "C API alone", "without telemetry", "C++"
BUFFERS, OUTPUTS, GOVERNED = "into buffers", "returning outputs", "governed, into buffers"
US, ALLOCATIONS, SCALING = 2.0, 0.0, 0.95
THREADS = 4
PROCESSES, QUICK_PROCESSES = 5, 1

Made = tuple[nn.Module, Tensor]


def marker(name: str) -> Callable[[Bench], Iterator[Row]]:
    """Return what makes the rows of a small network: the call is short, and what is added shows."""

    def rows(bench: Bench) -> Iterator[Row]:
        yield from _rows(bench, f"small, a {name}", marker_network(name))

    return rows


def widths(bench: Bench) -> Iterator[Row]:
    """A network of usual size.

    Two sessions of it differ by more than what is added, so the figures are quotients.
    """
    made = InnerWidths(networks.resnet20()).eval(), image(32)
    yield from _rows(bench, "ResNet-20, 4 widths", made, is_small=False)


GROUPS = {"gate": marker("gate"), "switch": marker("switch"), "widths": widths}


def _rows(bench: Bench, title: str, made: Made, *, is_small: bool = True) -> Iterator[Row]:
    bench.say("build cpp")
    programs = Programs(built(), QUICK_PROCESSES if bench.quick else PROCESSES, bench.seconds)
    yield from measured(bench, programs, title, made, is_small=is_small)


def measured(
    bench: Bench, programs: Programs, title: str, made: Made, *, is_small: bool
) -> Iterator[Row]:
    """Export a network with one knob, with telemetry and without, and time every way to call it.

    Args:
        bench: Where files go.
        programs: Time them.
        title: What the network is.
        made: The network, in evaluation mode, and its input, whose elements the programs replace.
        is_small: Whether a call is so short that microseconds beyond a bare one can be told.
    """
    stem = f"cpp-{title.lower().replace(', ', '-').replace(' ', '-')}"
    plain = _export(bench, stem, made, telemetry=False)
    telling = _export(bench, f"{stem}-telemetry", made, telemetry=True)
    bench.say(f"bench_calls {title}")
    calls = programs.calls(plain)
    yield from _call_rows(title, calls, is_small=is_small)
    bench.say(f"bench_threads {title}")
    share = programs.share_of_scaling(plain, THREADS)
    yield Row(
        title, BARE, f"{THREADS} threads", None, share, "of its scaling", SCALING, at_least=True
    )
    bench.say(f"bench_telemetry {title}")
    told = programs.telemetry(plain, telling)
    for path, name, reference in ((BUFFERS, "telling", "buffers"), ("trace", "trace", "outputs")):
        yield _beyond(title, SILENT, path, told[reference], told[name], is_small=is_small)
    outputs = calls["outputs"].us
    ratio = _python_us(plain, made[1], bench.seconds) / outputs
    yield Row(title, f"{CPP}, {OUTPUTS}", "Python", outputs, ratio)


def _call_rows(title: str, calls: Contenders, *, is_small: bool) -> Iterator[Row]:
    bare = calls["bare"]
    limits = {BUFFERS: US} if is_small else {}
    ways = {BUFFERS: "buffers", OUTPUTS: "outputs", GOVERNED: "governed"}
    for path, name in ways.items():
        limit = limits.get(path)
        yield _beyond(title, BARE, path, bare, calls[name], is_small=is_small, limit=limit)
    for path in (BUFFERS, GOVERNED, OUTPUTS):
        counted = calls[ways[path]].allocations
        assert counted is not None
        assert bare.allocations is not None
        limit = None if path == OUTPUTS else ALLOCATIONS
        beyond = counted - bare.allocations
        yield Row(title, BARE, path, None, beyond, "allocations", limit)


def _beyond(  # noqa: PLR0913 - all that a row is made of
    title: str,
    against: str,
    path: str,
    reference: Contender,
    found: Contender,
    *,
    is_small: bool,
    limit: float | None = None,
) -> Row:
    """Compare with a reference: what is beyond it, or as a multiple."""
    if is_small:
        return Row(title, against, path, reference.us, found.beyond_us, "us", limit)
    return Row(title, against, path, reference.us, 1 + found.beyond_us / reference.us, "x", limit)


def _export(bench: Bench, stem: str, made: Made, *, telemetry: bool) -> Path:
    model, x = made
    path = bench.folder / f"{stem}.onnx"
    bench.say(f"dyncompile.export {stem}")
    with quiet():
        export(model, (x,), path, verify=False, telemetry=telemetry)
    return path


def _python_us(path: Path, x: Tensor, seconds: float) -> float:
    """Time ``net(x, knob)`` on what the programs feed: the same input, the knob at its default."""
    net = dyncompile.load(path, threads=1)
    (knob,) = net.knobs
    feed, value = np.full(x.shape, 0.5, np.float32), net.knobs[knob].default
    seen = time_in_turns({CPP: lambda: net(feed, **{knob: value})}, seconds=seconds)
    return seen.us(CPP).median


main = command(
    "benchmarks.cpp",
    GROUPS,
    about="Print what the C++ library adds to a call of ONNX Runtime.",
    label=LABEL,
)

if __name__ == "__main__":
    main()
