"""Published networks with forced decisions: ``python -m benchmarks.published``.

Weights are random: this is what the compiler adds to each path, and nothing about accuracy. How
many samples leave at each gate is chosen, equally many at each, such that the mean work is what
the paper of the method saves.
"""

from __future__ import annotations

__all__ = ["GROUPS", "Gated", "decision_gate_rows", "macs", "main"]

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import networks, timing
from benchmarks.figures import size_rows, torch_rows
from benchmarks.gated import gate_rows
from benchmarks.harness import (
    COND,
    OURS,
    ROUND_TRIP,
    STATIC,
    Bench,
    Row,
    command,
    feeds,
    image,
)
from dyncompile import backbones
from dyncompile.timing import Spread, Timings

RESNET18 = {"on": 1.04, "half": 1.04, "off": 1.04}
SAVED = 0.95  # of the time that static prefixes save
DENSE, PREFIXES = "static, dense", "static prefixes"
DYNAMIC = (OURS, COND, ROUND_TRIP)


@dataclass(frozen=True)
class Gated:
    """A network with decision gates, and the work that it is to save.

    Attributes:
        title: Its name.
        net: Its weights.
        saving: The share of the multiply-accumulates that the mean sample does without.
    """

    title: str
    net: networks.DecisionGates
    saving: float

    @property
    def stem(self) -> str:
        """What its files are called."""
        return self.title.split(",", maxsplit=1)[0].lower()

    def shares(self, x: Tensor) -> list[float]:
        """Return the share of samples of each exit: as many at one gate as at the other."""
        work = [macs(networks.StaticExit(self.net, last), x) for last in range(self.net.exits)]
        share = self.saving / sum(1 - part / work[-1] for part in work[:-1])
        gates = len(work) - 1
        assert share * gates < 1, "a gate would have to stop more samples than there are"
        return [share] * gates + [1 - share * gates]


def resnet18(bench: Bench) -> Iterator[Row]:
    """A large network: overheads should vanish."""
    net = networks.resnet18()
    yield from gate_rows(bench, "ResNet-18, 5 gates", net, image(224), limits=RESNET18)


def resnet101(bench: Bench) -> Iterator[Row]:
    """Gates behind the second stage and in the middle of the third."""
    net = networks.seeded(lambda: networks.DecisionGates(backbones.resnet101(), (7, 18)))
    yield from decision_gate_rows(bench, Gated("ResNet-101, 2 exits", net, 0.44), image(32))


def densenet201(bench: Bench) -> Iterator[Row]:
    """Gates behind the second transition and in the middle of the third dense block."""
    net = networks.seeded(lambda: networks.DecisionGates(backbones.densenet201(), (20, 44)))
    yield from decision_gate_rows(bench, Gated("DenseNet-201, 2 exits", net, 0.39), image(32))


def decision_gate_rows(bench: Bench, gated: Gated, x: Tensor) -> Iterator[Row]:
    """Time every exit of every form in one run, and what the mean sample saves.

    The last static network is the dense one: it has no gates.
    """
    title, net, exits = gated.title, gated.net, range(gated.net.exits)
    files = _files(bench, gated, x)
    statics = [
        bench.torch_file(f"{gated.stem}-static-e{last}", networks.StaticExit(net, last), x)
        for last in exits
    ]
    runs: dict[str, tuple[Path, timing.Feeds] | timing.Opened] = {}
    for last in exits:
        runs[_label(STATIC, last)] = statics[last], feeds(x=x)
        given = feeds(x=x, threshold=net.forcing(last))
        runs |= {_label(form, last): (files[form], given) for form in DYNAMIC}
    alike = [[_label(form, last) for form in (STATIC, *DYNAMIC)] for last in exits]
    seen = bench.compare(runs, alike)
    for last in exits:
        yield from _exit_rows(title, last, seen)
        given = feeds(x=x, threshold=net.forcing(last))
        static = networks.StaticExit(net, last)
        yield from torch_rows(bench, title, f"e{last}", (files[OURS], given), (static, (x,)))
    yield from _mean_rows(title, gated.shares(x), seen)
    yield from size_rows(title, files[OURS], files[COND], files[ROUND_TRIP])


def _files(bench: Bench, gated: Gated, x: Tensor) -> Mapping[str, Path]:
    never = torch.zeros(gated.net.exits - 1)
    model, written_out = networks.ScoredExits(gated.net), networks.CondScoredExits(gated.net)
    cond = bench.torch_file(f"{gated.stem}-cond", written_out, x, never)
    return {
        OURS: bench.our_file(f"{gated.stem}-gates", model, x),
        COND: cond,
        ROUND_TRIP: bench.round_trip_file(cond),
    }


def _label(form: str, last: int) -> str:
    return f"{form}, e{last}"


def macs(model: nn.Module, x: Tensor) -> float:
    """Return the multiply-accumulates of a module."""
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        model.eval()(x)
    return float(counter.get_total_flops()) / 2


def _exit_rows(title: str, last: int, seen: Timings) -> Iterator[Row]:
    ours, path = _label(OURS, last), f"e{last}"
    for form in (STATIC, ROUND_TRIP):
        label = _label(form, last)
        yield Row(title, form, path, seen.us(label).median, seen.ratio(ours, label).median)
    cond = _label(COND, last)
    faster = seen.ratio(cond, ours).median
    yield Row(title, COND, path, seen.us(cond).median, faster, "x faster")


def _mean_rows(title: str, shares: Sequence[float], seen: Timings) -> Iterator[Row]:
    """Compare the mean sample with the dense network, round by round."""
    dense = seen.rounds[_label(STATIC, len(shares) - 1)]
    us = Spread.of(dense).median
    means = {form: _mean(form, shares, seen) for form in (STATIC, *DYNAMIC)}
    for form, mean in means.items():
        saved = Spread.of(1 - mean / dense).median
        yield Row(title, DENSE, f"mean, {form}", us, saved, "of its time saved")
    kept = Spread.of((dense - means[OURS]) / (dense - means[STATIC])).median
    path = "mean of " + ", ".join(f"{share:.0%}" for share in shares)
    yield Row(title, PREFIXES, path, us, kept, "of their saving", SAVED, at_least=True)


def _mean(form: str, shares: Sequence[float], seen: Timings) -> NDArray[np.float64]:
    times = [seen.rounds[_label(form, last)] for last in range(len(shares))]
    return np.asarray(sum(share * time for share, time in zip(shares, times, strict=True)))


GROUPS = {"resnet18": resnet18, "resnet101": resnet101, "densenet201": densenet201}

main = command(
    "benchmarks.published",
    GROUPS,
    about="Print what paths of published networks cost against static networks.",
)

if __name__ == "__main__":
    main()
