"""What decision gates have to beat: static prefixes, and static networks trained for themselves."""

from __future__ import annotations

__all__ = ["Static", "Statics", "best_prefix", "prefix_rows", "rival_rows", "statics_of", "thinner"]

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks import dgate_units as units
from benchmarks.dgate_levels import Found, Level
from benchmarks.dgate_units import DENSE, LABELS, PREFIX, difference_rows
from benchmarks.harness import Bench, Row, feeds
from benchmarks.published import macs
from dyncompile.backbones import ResNet, cifar_resnet

BETTER_BY = 0.0  # points, at the low end of the interval
BESIDE = "the default effort"


class Prefix(nn.Module):
    """A network up to a gate, with the gate as its classifier."""

    def __init__(self, backbone: ResNet, block: int, gate: nn.Module, pool: int) -> None:
        super().__init__()
        self.stem, self.blocks = backbone.stem, backbone.blocks[: block + 1]
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(pool), nn.Flatten(), gate)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``float[N, classes]``."""
        scores: Tensor = self.head(self.blocks(self.stem(x)))
        return scores


@dataclass(frozen=True)
class Static:
    """A static network.

    Attributes:
        name: What rows call it.
        model: Its weights.
        right: Of which test images it says the class.
        macs: Of an image.
    """

    name: str
    model: nn.Module
    right: NDArray[np.bool_]
    macs: float


@dataclass(frozen=True)
class Statics:
    """All of them, and their times.

    Attributes:
        prefixes: One per block but the last, shortest first.
        others: Trained for themselves, least work first.
        times: Of each, over that of the dense network, by name.
    """

    prefixes: tuple[Static, ...]
    others: tuple[Static, ...]
    times: dict[str, float]


def statics_of(found: Found, bench: Bench) -> Statics:
    """Train them, ask them, and time them in turns with the dense network; once a study."""
    return found.study.once("statics", lambda: _statics(found, bench))


def _statics(found: Found, bench: Bench) -> Statics:
    study = found.study
    prefixes = tuple(_prefixes(found))
    others = tuple(sorted(_others(found), key=lambda static: static.macs))
    here = replace(bench, folder=study.folder, made={})
    models = {DENSE: study.dense} | {each.name: each.model for each in (*prefixes, *others)}
    given = feeds(x=study.data.test.floats(slice(1)))
    runs = {
        name: (
            here.torch_file(
                f"static-{name.replace(', ', '-').replace(' ', '-')}", model, study.example
            ),
            given,
        )
        for name, model in models.items()
    }
    seen = here.compare(runs, alike=())
    return Statics(prefixes, others, {name: seen.ratio(name, DENSE).median for name in models})


def _prefixes(found: Found) -> Iterator[Static]:
    study = found.study
    blocks = [f"blocks.{number}" for number in range(len(study.dense.blocks) - 1)]
    missing = [name for name in blocks if name not in study.plan.after]
    nets = [study.gated(), study.gated(missing)]
    made = {}
    for net, answers in zip(nets, (found.answers, study.answers(nets[1])), strict=True):
        for number, name in enumerate(net.after):
            gate, block = net.gates[number], int(name.removeprefix("blocks."))
            prefix = Prefix(study.dense, block, gate, study.plan.pool).eval()
            work = macs(prefix, study.example)
            made[name] = Static(f"up to {name}", prefix, answers.right[:, number], work)
    yield from (made[name] for name in blocks)


def _others(found: Found) -> Iterator[Static]:
    study = found.study
    plan = study.plan
    for depth, width in {*plan.others, (plan.depth, thinner(found))}:
        net = study.static(depth, width)
        name = f"ResNet-{depth}, {width} channels"
        yield Static(name, net, study.right(net, study.data.test), macs(net, study.example))


def thinner(found: Found) -> int:
    """Return the largest width at which the network needs at most the MACs of the default level."""
    plan, most = found.study.plan, found.default.macs
    classes = len(found.study.data.test.classes)

    def work(width: int) -> float:
        return macs(cifar_resnet(plan.depth, classes, width=width), found.study.example)

    return max((width for width in range(1, plan.width) if work(width) <= most), default=1)


def best_prefix(statics: Statics, level: Level) -> Static | None:
    """Return the prefix that is right most often, of those with at most the MACs of a level."""
    small = [each for each in statics.prefixes if each.macs <= level.macs * (1 + 1e-9)]
    return max(small, key=lambda each: float(each.right.mean()), default=None)


def prefix_rows(found: Found, statics: Statics) -> Iterator[Row]:
    """Return the rows of the prefixes, and what each level is above the best of its MACs."""
    network = found.study.plan.network
    for static in statics.prefixes:
        yield from _static_rows(found, statics, f"{network}: static prefix", static)
    for level in found.levels:
        best = best_prefix(statics, level)
        if best is None or level.is_end:
            continue
        above = found.above(level.right, best.right)
        limit = BETTER_BY if level.is_default else None
        name, path = f"{network}: effort", level.name
        yield from difference_rows(name, PREFIX, path, above, units.ABOVE, limit)


def rival_rows(found: Found, statics: Statics) -> Iterator[Row]:
    """Return the rows of the networks trained for themselves, and the default level beside each."""
    network = f"{found.study.plan.title}: static, trained for itself"
    for static in statics.others:
        yield from _static_rows(found, statics, network, static)
        above = found.above(found.default.right, static.right)
        yield from difference_rows(network, BESIDE, static.name, above, units.ABOVE)


def _static_rows(found: Found, statics: Statics, network: str, static: Static) -> Iterator[Row]:
    name, us = static.name, found.times.dense
    yield Row(network, LABELS, name, None, 100 * float(static.right.mean()), units.RIGHT)
    yield Row(network, DENSE, name, None, 100 * static.macs / found.dense_macs, units.SHARE)
    yield Row(network, DENSE, name, us, statics.times[name], "x")
