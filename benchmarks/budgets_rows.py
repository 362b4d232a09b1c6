"""Rows of a network at all its widths."""

from __future__ import annotations

__all__ = [
    "LINEAR",
    "MASK",
    "PLAIN_SLICE",
    "SLICE",
    "Target",
    "layers_rows",
    "levels",
    "own_slices_rows",
    "percent",
    "switch_rows",
    "width_rows",
]

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks import timing
from benchmarks.budgets_files import budget_file, file_rows, load_rows, memory_rows
from benchmarks.budgets_networks import (
    RATIOS,
    Budgeted,
    Cond,
    Layers,
    Masked,
    Network,
    OwnSlices,
    Sliced,
    counts_of,
)
from benchmarks.figures import peer_rows, ratio_row, size_rows
from benchmarks.harness import COND, OURS, ROUND_TRIP, STATIC, Bench, Row, feeds
from benchmarks.published import macs
from dyncompile.methods import idp
from dyncompile.timing import Spread, Timings

SLICE, PLAIN_SLICE, MASK = "slice", "run-time Slice", "mask"

EXTRA_US = 10.0
SLICE_RATIO = 1.02  # a target of 1.0, and what a run is off by
SLICE_FULL = 1.02
SAVED = 0.95  # of the time that the static network of that width saves

Runs = Mapping[str, tuple[Path, timing.Feeds]]


@dataclass(frozen=True)
class Target:
    """What a switch may cost: a ratio, or ``EXTRA_US`` where the static network is fast.

    Attributes:
        ratio: Time over the time of the static network.
        from_us: Microseconds of the static network from which on the ratio counts.
    """

    ratio: float
    from_us: float


CONV = Target(1.03, 500)
LINEAR = Target(1.07, EXTRA_US / 0.07)


def levels(bench: Bench) -> list[int]:
    """Return the levels that are timed; the last is the full width."""
    every = range(len(RATIOS))
    return [1, every[-1]] if bench.quick else list(every)


def percent(level: int) -> str:
    """Return the name of a level."""
    return f"{RATIOS[level]:.0%}"


def width_rows(title: str, path: str, seen: Timings, target: Target = CONV) -> Iterator[Row]:
    """Compare with the static network of the width: by a ratio, or by microseconds if it is fast.

    Args:
        title: The network.
        path: The width.
        seen: Timings of our file and of the static one.
        target: What it may cost.
    """
    static, ratio = seen.us(STATIC).median, seen.ratio(OURS, STATIC).median
    is_fast = static < target.from_us
    yield ratio_row(title, path, seen, None if is_fast else target.ratio)
    if is_fast:
        yield Row(title, STATIC, path, static, (ratio - 1) * static, "us more", EXTRA_US)


# --- layers of one width ---------------------------------------------------------------------


def layers_rows(
    bench: Bench, network: Network, *, target: Target = CONV, peers: bool = False
) -> Iterator[Row]:
    """Time both lowerings at every width, and what one would do instead.

    Args:
        bench: Makes and times the files.
        network: Made of ``Layers``.
        target: What a switch may cost.
        peers: Whether ``torch.cond`` and a mask are timed too.
    """
    net, x = network.full, network.x
    assert isinstance(net, Layers)
    model = Budgeted(net, network.width)
    files = {
        OURS: budget_file(bench, network.stem, model, "switch", x),
        SLICE: budget_file(bench, network.stem, model, "slice", x),
        **_other_files(bench, network, net, peers=peers),
    }
    switch, sliced = f"{network.title}, switch", f"{network.title}, slice"
    for level in levels(bench):
        path, seen = percent(level), bench.compare(_runs(bench, network, files, level))
        yield from width_rows(switch, path, seen, target)
        if peers:
            yield from peer_rows(switch, path, seen)
            us, faster = seen.us(MASK).median, seen.ratio(MASK, OURS).median
            yield Row(switch, MASK, path, us, faster, "x faster")
        yield from _slice_rows(sliced, level, seen)
    full = _static_file(bench, network, levels(bench)[-1])
    yield from file_rows(switch, files[OURS], full)
    if peers:
        yield from size_rows(switch, files[OURS], files[COND], files[ROUND_TRIP])
    yield from file_rows(sliced, files[SLICE], full)
    yield from load_rows(bench, switch, files[OURS], full)
    yield from memory_rows(bench, full, {switch: files[OURS], sliced: files[SLICE]})


def _other_files(bench: Bench, network: Network, net: Layers, *, peers: bool) -> dict[str, Path]:
    stem, x, level = network.stem, network.x, torch.tensor(0)
    width = torch.tensor(counts_of(network.width)[1])
    model = Sliced(net, network.width)
    files = {PLAIN_SLICE: bench.torch_file(f"{stem}-run-time-slice", model, x, width)}
    if peers:
        files[COND] = bench.torch_file(f"{stem}-cond", Cond(net, network.width), x, level)
        files[ROUND_TRIP] = bench.round_trip_file(files[COND])
        files[MASK] = bench.torch_file(f"{stem}-mask", Masked(net, network.width), x, level)
    return files


def _runs(bench: Bench, network: Network, files: Mapping[str, Path], level: int) -> Runs:
    x, width = network.x, counts_of(network.width)[level]
    runs = {STATIC: (_static_file(bench, network, level), feeds(x=x))}
    for label, file in files.items():
        knob = {"width": width} if label == PLAIN_SLICE else {"level": level}
        given = {name: torch.tensor(value) for name, value in knob.items()}
        runs[label] = (file, feeds(x=x, **given))
    return runs


def _static_file(bench: Bench, network: Network, level: int) -> Path:
    name = f"{network.stem}-static-{percent(level).removesuffix('%')}"
    return bench.torch_file(name, network.static(level), network.x)


def _slice_rows(title: str, level: int, seen: Timings) -> Iterator[Row]:
    path, us = percent(level), {label: seen.us(label).median for label in (STATIC, PLAIN_SLICE)}
    against_plain = seen.ratio(SLICE, PLAIN_SLICE).median
    yield Row(title, PLAIN_SLICE, path, us[PLAIN_SLICE], against_plain, "x", SLICE_RATIO)
    limit = SLICE_FULL if RATIOS[level] == 1 else None
    yield Row(title, STATIC, path, us[STATIC], seen.ratio(SLICE, STATIC).median, "x", limit)


def own_slices_rows(bench: Bench, network: Network) -> Iterator[Row]:
    """Time what an author writes who slices: a switch over the network at each width."""
    net, x, title = network.full, network.x, f"{network.title}, own slices"
    assert isinstance(net, Layers)
    ours = bench.our_file(f"{network.stem}-own-slices", OwnSlices(net, network.width), x)
    for level in levels(bench):
        seen = bench.compare(_runs(bench, network, {OURS: ours}, level))
        yield from width_rows(title, percent(level), seen)
    yield from file_rows(title, ours, _static_file(bench, network, levels(bench)[-1]))


# --- whole networks --------------------------------------------------------------------------


def switch_rows(bench: Bench, network: Network, *, saving: bool = False) -> Iterator[Row]:
    """Time the switch of a whole network at every width, in one run.

    Args:
        bench: Makes and times the files.
        network: Any that ``idp.convert`` can cut.
        saving: Whether the time that half the width saves has to be that of the static network.
    """
    title, chosen = f"{network.title}, switch", levels(bench)
    model = idp.convert(network.full, ratios=RATIOS, example=network.x)
    ours = budget_file(bench, network.stem, model, "switch", network.x)
    runs: dict[str, tuple[Path, timing.Feeds]] = {}
    for level in chosen:
        found = _runs(bench, network, {OURS: ours}, level)
        runs |= {_label(form, level): run for form, run in found.items()}
    alike = [[_label(form, level) for form in (STATIC, OURS)] for level in chosen]
    seen = bench.compare(runs, alike)
    for level in chosen:
        yield from width_rows(title, percent(level), _of_level(seen, level))
    if saving:
        yield from _saved_rows(network, title, chosen, seen)
    full = _static_file(bench, network, chosen[-1])
    yield from file_rows(title, ours, full)
    yield from load_rows(bench, title, ours, full)
    yield from memory_rows(bench, full, {title: ours})


def _label(form: str, level: int) -> str:
    return f"{form}, {percent(level)}"


def _of_level(seen: Timings, level: int) -> Timings:
    return Timings({form: seen.rounds[_label(form, level)] for form in (STATIC, OURS)})


def _saved_rows(network: Network, title: str, chosen: list[int], seen: Timings) -> Iterator[Row]:
    """Compare narrower networks with the dense one: share of time saved, share of MACs saved."""
    *narrow, widest = chosen
    dense = seen.rounds[_label(STATIC, widest)]
    us, work = Spread.of(dense).median, macs(network.static(widest), network.x)
    for level in narrow:
        times = _of_level(seen, level).rounds
        for form, took in times.items():
            saved = Spread.of(1 - took / dense).median
            yield Row(title, "static, dense", _label(form, level), us, saved, "of its time saved")
        share = 1 - macs(network.static(level), network.x) / work
        yield Row(title, "static, dense", percent(level), None, share, "of its MACs saved")
        kept = Spread.of((dense - times[OURS]) / (dense - times[STATIC])).median
        limit = SAVED if RATIOS[level] == 0.5 else None
        path = percent(level)
        yield Row(title, STATIC, path, us, kept, "of its saving", limit, at_least=True)
