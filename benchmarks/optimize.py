"""What optimising an exported file wins: ``python -m benchmarks.optimize``.

The networks of ``exported.py``, two residual networks and one with exits, written with
``torch.cond``, ``while_loop`` and ``scan``: exported by torch; the same file read and written
by graphsurgeon; and the same file after ``dyncompile optimize``. Times are medians of
quotients, measured in turns against a static network of the same path.
"""

from __future__ import annotations

__all__ = ["GROUPS", "main"]

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch

from benchmarks import exported, networks, timing
from benchmarks.exported import Example, Given
from benchmarks.figures import ratio_row, weigh
from benchmarks.harness import OURS, STATIC, Bench, Row, command, feeds, image
from dyncompile.errors import one_line
from dyncompile.optimizing.optimize import optimize
from dyncompile.timing import Timings

EXPORTED, TRIP = "as exported", "+ graphsurgeon"

RESNET20 = {"on": 1.16}
RESNET18 = {"on": 1.04}
EXITS = {"e0": 1.06, "e3": 1.06, "e7": 1.06}
DIFFERENCE = 1e-5
FASTER, AS_FAST = 1.1, 0.95  # than the file as exported: on the path that gains most, on all
SECONDS = 2.0


def resnet20(bench: Bench) -> Iterator[Row]:
    """A small network, 7 gates."""
    net = networks.resnet20()
    yield from _rows(bench, exported.gated("ResNet-20, 7 gates", net, image(32)), RESNET20)


def resnet18(bench: Bench) -> Iterator[Row]:
    """A large network, 5 gates."""
    net = networks.resnet18()
    yield from _rows(bench, exported.gated("ResNet-18, 5 gates", net, image(224)), RESNET18)


def exits(bench: Bench) -> Iterator[Row]:
    """Eight exits, 64 channels at 32 x 32."""
    net = networks.seeded(partial(networks.ExitNet, 64))
    number = torch.arange(net.exits - 1)
    paths: dict[str, Given] = {
        f"e{last}": ({"leave": number == last}, networks.StaticExit(net, last))
        for last in (0, 3, 7)
    }
    example = Example("8 exits C64 S32", networks.CondExits(net), image(32), paths)
    yield from _rows(bench, example, EXITS)


def examples(group: str) -> Callable[[Bench], Iterator[Row]]:
    """Return what makes the rows of a group of small networks."""

    def rows(bench: Bench) -> Iterator[Row]:
        for example in exported.EXAMPLES[group]():
            yield from _rows(bench, example, {})

    return rows


def time_taken(bench: Bench) -> Iterator[Row]:
    """How long a large file takes, with the comparison and without."""
    model, inputs = exported.wide_gates()
    source = bench.torch_file("optimize-wide-gates", model, *inputs)
    ours = bench.folder / "optimize-wide-gates-ours.onnx"
    title = f"6 wide gates, {weigh(source) / 1e6:.0f} MB"
    for verify, name in ((True, "optimize"), (False, "optimize --no-verify")):
        seconds = []
        for _ in range(3):
            started = time.perf_counter()
            optimize(source, ours, verify=verify)
            seconds.append(time.perf_counter() - started)
        yield Row(title, "the clock", name, None, float(np.median(seconds)), "s", SECONDS)


GROUPS = {
    "resnet20": resnet20,
    "resnet18": resnet18,
    "exits": exits,
    **{group: examples(group) for group in exported.EXAMPLES},
    "time-taken": time_taken,
}


def _rows(bench: Bench, example: Example, limits: Mapping[str, float]) -> Iterator[Row]:
    """Time every path of one network in all forms."""
    title, stem = example.title, f"optimize-{_stem(example.title)}"
    source = bench.torch_file(stem, example.model, *example.inputs)
    bench.say(f"dyncompile optimize {source.name}")
    ours = source.with_name(f"{stem}-ours.onnx")
    if not optimize(source, ours).changed:
        yield Row(title, EXPORTED, "file", None, None, note="left alone: nothing to win")
        return
    trip = _round_trip(bench, source)
    if isinstance(trip, str):
        yield Row(title, TRIP, "file", None, None, note=trip)
    others = {EXPORTED: source} | ({TRIP: trip} if isinstance(trip, Path) else {})
    seen: dict[str, Timings] = {}
    difference = 0.0
    for path, (given, model) in example.paths.items():
        static = bench.torch_file(f"{stem}-{_stem(path)}", model, example.image)
        fed = feeds(x=example.image, **given)
        seen[path] = bench.compare(
            {STATIC: (static, feeds(x=example.image))}
            | {label: (file, fed) for label, file in {OURS: ours, **others}.items()}
        )
        difference = max(difference, _difference(ours, source, fed))
    yield from _path_rows(title, seen, list(others), limits)
    yield Row(title, EXPORTED, "all", None, difference * 1e6, "e-6 apart", DIFFERENCE * 1e6)
    for label, file in others.items():
        yield Row(title, label, "file", None, weigh(ours) / weigh(file), "x bytes")


def _path_rows(
    title: str, seen: Mapping[str, Timings], others: Sequence[str], limits: Mapping[str, float]
) -> Iterator[Row]:
    """Compare path by path: one has to become faster, and none slower."""
    gains = {path: timings.ratio(EXPORTED, OURS).median for path, timings in seen.items()}
    best = max(gains, key=gains.__getitem__)
    for path, timings in seen.items():
        yield ratio_row(title, path, timings, limits.get(path))
        for label in others:
            us, faster = timings.us(label).median, timings.ratio(label, OURS).median
            limit = (FASTER if path == best else AS_FAST) if label == EXPORTED else None
            yield Row(title, label, path, us, faster, "x faster", limit, at_least=True)


def _round_trip(bench: Bench, source: Path) -> Path | str:
    """Return the file that graphsurgeon writes, or why that one does not run."""
    try:
        trip = bench.round_trip_file(source)
        timing.Run(trip, {}).open()
    except Exception as error:
        return one_line(error)[:60]
    return trip


def _difference(one: Path, other: Path, fed: timing.Feeds) -> float:
    """Return how far the outputs are apart, relative to ``max(1, largest element)``."""
    return max(
        float(np.abs(np.subtract(ours, theirs)).max() / max(1.0, np.abs(theirs).max()))
        for ours, theirs in zip(
            timing.Run(one, fed).open()(), timing.Run(other, fed).open()(), strict=True
        )
    )


def _stem(title: str) -> str:
    return "-".join("".join(c if c.isalnum() else " " for c in title.lower()).split())


main = command(
    "benchmarks.optimize", GROUPS, about="Print what optimising exported control flow wins."
)

if __name__ == "__main__":
    main()
