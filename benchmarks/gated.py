"""Residual networks whose blocks can be skipped, path by path."""

from __future__ import annotations

__all__ = ["all_on", "gate_paths", "gate_rows"]

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from benchmarks import networks
from benchmarks.figures import peer_rows, ratio_row, size_row, size_rows, torch_rows
from benchmarks.harness import COND, OURS, ROUND_TRIP, STATIC, Bench, Row, feeds


def gate_paths(net: networks.ResNet) -> dict[str, Tensor]:
    """Return the paths that are timed, ``bool[gates]`` each."""
    number = torch.arange(net.gates)
    return {"on": number >= 0, "half": number % 2 == 0, "off": number < 0}


def all_on(net: networks.ResNet) -> Tensor:
    """Return the path that skips nothing."""
    return torch.ones(net.gates, dtype=torch.bool)


def gate_rows(
    bench: Bench,
    title: str,
    net: networks.ResNet,
    x: Tensor,
    *,
    limits: Mapping[str, float],
    speedup: float | None = None,
) -> Iterator[Row]:
    """Time our file, the static network of each path, and what one would use instead.

    Args:
        bench: Makes and times the files, which are named after the first word of the title.
        title: The network.
        net: Its weights.
        x: Its input.
        limits: What each path may cost, as a multiple of the static network.
        speedup: How much faster than ``torch.cond`` it has to be with every gate on.
    """
    stem = title.split(",", maxsplit=1)[0].lower().replace("-", "")
    ours = bench.our_file(f"{stem}-gated", networks.GatedResNet(net), x, all_on(net))
    cond = bench.torch_file(f"{stem}-cond", networks.CondResNet(net), x, all_on(net))
    trip = bench.round_trip_file(cond)
    for name, path in gate_paths(net).items():
        model = networks.StaticResNet(net, path.tolist())
        static = bench.torch_file(f"{stem}-static-{name}", model, x)
        given = feeds(x=x, take=path)
        seen = bench.compare(
            {
                STATIC: (static, feeds(x=x)),
                OURS: (ours, given),
                COND: (cond, given),
                ROUND_TRIP: (trip, given),
            }
        )
        yield ratio_row(title, name, seen, limits.get(name))
        yield from peer_rows(title, name, seen, speedup if name == "on" else None)
        yield from torch_rows(bench, title, name, (ours, given), (model, (x,)))
    yield size_row(title, ours, bench.made[f"{stem}-static-on"], net.gates)
    yield from size_rows(title, ours, cond, trip)
