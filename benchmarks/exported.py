"""Examples of control flow in exported files: each a network, its paths, and what they come to.

64 channels at 32 x 32 where nothing else is said.
"""

from __future__ import annotations

__all__ = ["EXAMPLES", "Example", "Given", "gated", "wide_gates"]

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from benchmarks import networks
from benchmarks.exported_networks import (
    ROUNDS,
    WIDTHS,
    CondWidths,
    ConfidentLoop,
    DecidedTwice,
    Masked,
    Rounds,
    Selected,
    Sides,
    SlicedWidths,
    StackedLoop,
    StackedScan,
    StaticRounds,
    StaticSides,
    StaticWidth,
    Widths,
)
from benchmarks.gated import all_on, gate_paths
from benchmarks.harness import image

Given = tuple[dict[str, Tensor], nn.Module]  # decisions, and what computes the same


@dataclass(frozen=True)
class Example:
    """One network, how it is called, and what each call comes down to.

    Attributes:
        title: What it is.
        model: Called with the image and then the decisions.
        image: ``float[1, C, 32, 32]``.
        paths: Name to the decisions and the static network that computes the same.
    """

    title: str
    model: nn.Module
    image: Tensor
    paths: Mapping[str, Given]

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """What the network is exported with."""
        given, _ = next(iter(self.paths.values()))
        return (self.image, *given.values())


def early_exit() -> Example:
    """Two stages, an exit between them."""
    net = networks.seeded(lambda: networks.ExitNet(64, exits=2))
    paths = {
        f"exit {last}": ({"leave": torch.tensor([last == 0])}, networks.StaticExit(net, last))
        for last in range(2)
    }
    return Example("early exit", networks.CondExits(net), image(32), paths)


def gates() -> Example:
    """Six residual blocks, each behind a decision."""
    net = networks.seeded(lambda: networks.ResNet(_stem(64), (64,), (6,)))
    return gated("6 gates", net, image(32))


def gated(title: str, net: networks.ResNet, x: Tensor) -> Example:
    """Return a residual network whose blocks can be skipped."""
    paths: dict[str, Given] = {
        name: ({"take": take}, networks.StaticResNet(net, take.tolist()))
        for name, take in gate_paths(net).items()
    }
    return Example(title, networks.CondResNet(net), x, paths)


def wide_gates() -> tuple[nn.Module, tuple[Tensor, ...]]:
    """Return a network of wide gated blocks, some 100 MB of weights, and what it is called with.

    At 16 x 16 it does 64 multiply-accumulates for each byte; ResNet-101 at 224 does 44.
    """
    net = networks.seeded(lambda: networks.ResNet(_stem(512), (512,), (6,)))
    return networks.CondResNet(net), (image(16), all_on(net))


def cond_widths() -> Example:
    """Four widths, a branch each."""
    net = networks.seeded(Widths)
    paths: dict[str, Given] = {
        f"k = {width}": ({"level": torch.tensor(level)}, StaticWidth(net, width))
        for level, width in enumerate(WIDTHS)
        if width in (16, 32, 64)
    }
    return Example("width, nested cond", CondWidths(net), image(32), paths)


def sliced_widths() -> Example:
    """Any width."""
    net = networks.seeded(Widths)
    paths: dict[str, Given] = {
        f"k = {width}": ({"width": torch.tensor(width)}, StaticWidth(net, width))
        for width in (16, 32, 64)
    }
    return Example("width, Slice", SlicedWidths(net), image(32), paths)


def loop(*, shared: bool) -> Example:
    """A loop, its number of rounds an input."""
    rounds = networks.seeded(lambda: Rounds(shared=shared))
    paths: dict[str, Given] = {
        f"n = {count}": ({"count": torch.tensor(count)}, StaticRounds(rounds, count))
        for count in (1, 3, ROUNDS)
    }
    title = "Loop, shared weights" if shared else "Loop, stacked weights"
    return Example(title, StackedLoop(rounds), _noise(64), paths)


def confident_loop() -> Example:
    """A loop that stops when it is sure: at once, or never."""
    rounds = networks.seeded(lambda: Rounds(shared=False))
    paths: dict[str, Given] = {
        f"n = {count}": (
            {"threshold": torch.tensor(bound)},
            StaticRounds(rounds, count, with_means=True),
        )
        for count, bound in ((1, -1e30), (ROUNDS, torch.inf))
    }
    return Example("Loop, confidence", ConfidentLoop(rounds), _noise(64), paths)


def stacked_scan() -> Example:
    """A scan over the weights."""
    rounds = networks.seeded(lambda: Rounds(shared=False))
    static = StaticRounds(rounds, ROUNDS, with_means=True)
    return Example("Scan, stacked weights", StackedScan(rounds), _noise(64), {"": ({}, static)})


def selections() -> Iterator[Example]:
    """Yield work that is computed whatever is decided, and a decision made twice."""
    sides = networks.seeded(Sides)
    one, other = sides.one, sides.other
    relu = torch.relu
    forms: list[tuple[str, nn.Module, Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = [
        ("Where", Selected(sides), lambda x: relu(one(x)), lambda x: relu(other(x))),
        ("times a bool", Masked(sides), lambda x: relu(x + one(x)), relu),
        (
            "two Ifs, one condition",
            DecidedTwice(sides),
            lambda x: relu((y := relu(x + one(x))) + other(y)),
            torch.clone,
        ),
    ]
    for title, model, on, off in forms:
        paths: dict[str, Given] = {
            name: ({"take": torch.tensor(name == "on")}, StaticSides(compute, sides))
            for name, compute in (("on", on), ("off", off))
        }
        yield Example(title, model, _noise(64), paths)


EXAMPLES: Mapping[str, Callable[[], Iterator[Example]]] = {
    "branches": lambda: iter([early_exit(), gates(), cond_widths(), sliced_widths()]),
    "rounds": lambda: iter(
        [loop(shared=True), loop(shared=False), confident_loop(), stacked_scan()]
    ),
    "selections": selections,
}


def _noise(channels: int) -> Tensor:
    return torch.randn(1, channels, 32, 32, generator=torch.Generator().manual_seed(0))


def _stem(width: int) -> nn.Sequential:
    conv = nn.Conv2d(3, width, 3, padding=1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(width), nn.ReLU())
