"""The networks that are timed, each in every form that is compared.

One set of weights, four forms: written with markers, written with ``torch.cond``, and static
along one path. Weights are random but seeded; BatchNorm statistics are random too, so that
folding them matters to the result.
"""

from __future__ import annotations

__all__ = [
    "AnytimeExits",
    "CondExits",
    "CondResNet",
    "ExitNet",
    "GatedExits",
    "GatedResNet",
    "ResNet",
    "ScoredExits",
    "StaticExit",
    "StaticResNet",
    "StaticScoredExit",
    "resnet18",
    "resnet20",
    "resnet101",
    "seeded",
]

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

from dyncompile.knobs import Levels, Threshold
from dyncompile.markers import early_exit, gate, switch

CLASSES = 10

Net = TypeVar("Net", bound=nn.Module)


# --- residual networks -----------------------------------------------------------------------


class Block(nn.Module):
    """A residual block, open to a gate: ``join`` is the work, ``shortcut`` what is left."""

    def __init__(self, width_in: int, width: int, stride: int, *, bottleneck: bool) -> None:
        super().__init__()
        width_out = 4 * width if bottleneck else width
        if bottleneck:
            layers = [*_conv(width_in, width, 1), nn.ReLU(), *_conv(width, width, 3, stride)]
            layers += [nn.ReLU(), *_conv(width, width_out, 1)]
        else:
            layers = [*_conv(width_in, width, 3, stride), nn.ReLU(), *_conv(width, width)]
        self.residual = nn.Sequential(*layers)
        self.keeps_shape = stride == 1 and width_in == width_out
        self.shortcut: nn.Module = nn.Identity()
        if not self.keeps_shape:
            self.shortcut = nn.Sequential(*_conv(width_in, width_out, 1, stride))
        self.width_out = width_out

    @property
    def last_scale(self) -> Tensor:
        """Scale of the last normalisation, small in trained networks."""
        scale = self.residual[-1].weight
        assert isinstance(scale, Tensor)
        return scale

    def join(self, x: Tensor, shortcut: Tensor) -> Tensor:
        """Add the residual to what the shortcut carries."""
        return torch.relu(self.residual(x) + shortcut)

    def forward(self, x: Tensor) -> Tensor:
        """Run the whole block."""
        return self.join(x, self.shortcut(x))


class ResNet(nn.Module):
    """Stem, residual blocks, classifier.

    Args:
        stem: From the image to the first block.
        widths: Width of each stage; stages after the first halve the resolution.
        depths: Blocks of each stage.
        bottleneck: 1x1-3x3-1x1 blocks that are four times wider outside.
        gate_all: Gate every block; otherwise only those that keep their shape.
    """

    def __init__(
        self,
        stem: nn.Sequential,
        widths: Sequence[int],
        depths: Sequence[int],
        *,
        bottleneck: bool = False,
        gate_all: bool = False,
    ) -> None:
        super().__init__()
        self.stem = stem
        width_in, blocks = widths[0], []
        for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            for position in range(depth):
                stride = 2 if stage and not position else 1
                block = Block(width_in, width, stride, bottleneck=bottleneck)
                width_in = block.width_out
                blocks.append(block)
        self.blocks = nn.ModuleList(blocks)
        self.is_gated = tuple(gate_all or block.keeps_shape for block in blocks)
        self.classifier = _head(width_in)

    @property
    def gates(self) -> int:
        """How many decisions a path has."""
        return sum(self.is_gated)

    def walk(self, x: Tensor, decide: Callable[[int, Block, Tensor], Tensor]) -> Tensor:
        """Run the network; ``decide(number, block, x)`` runs or skips each gated block."""
        x, number = self.stem(x), 0
        for block, is_gated in zip(self.blocks, self.is_gated, strict=True):
            assert isinstance(block, Block)
            x = decide(number, block, x) if is_gated else block(x)
            number += is_gated
        scores: Tensor = self.classifier(x)
        return scores


class GatedResNet(nn.Module):
    """Written with markers: ``take`` is ``bool[G]``."""

    def __init__(self, net: ResNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor, take: Tensor) -> Tensor:
        """Return ``float[N, 10]``."""

        def decide(number: int, block: Block, x: Tensor) -> Tensor:
            carried: Tensor = block.shortcut(x)
            on = block.join(x, carried)
            return gate(take[number], on, carried, name=f"block{number}")

        return self.net.walk(x, decide)


class CondResNet(nn.Module):
    """Written with ``torch.cond``; its identity side has to be a copy."""

    def __init__(self, net: ResNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor, take: Tensor) -> Tensor:
        """Return ``float[N, 10]``."""

        def decide(number: int, block: Block, x: Tensor) -> Tensor:
            chosen: Tensor = torch.cond(
                take[number],
                block.join,
                lambda _, carried: carried.clone(),
                (x, block.shortcut(x)),
            )
            return chosen

        return self.net.walk(x, decide)


class StaticResNet(nn.Module):
    """One path and nothing else."""

    def __init__(self, net: ResNet, path: Sequence[bool]) -> None:
        super().__init__()
        self.net = net
        self.path = tuple(path)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``float[N, 10]``."""

        def decide(number: int, block: Block, x: Tensor) -> Tensor:
            taken: Tensor = block(x) if self.path[number] else block.shortcut(x)
            return taken

        return self.net.walk(x, decide)


def resnet18() -> ResNet:
    """ResNet-18 for ``float[N, 3, 224, 224]``: 5 of 8 blocks can be skipped."""

    def stem() -> nn.Sequential:
        return nn.Sequential(*_conv(3, 64, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1))

    return seeded(lambda: ResNet(stem(), (64, 128, 256, 512), (2, 2, 2, 2)))


def resnet20() -> ResNet:
    """ResNet-20 for ``float[N, 3, 32, 32]``: 7 of 9 blocks can be skipped."""
    return seeded(lambda: ResNet(_small_stem(16), (16, 32, 64), (3, 3, 3)))


def resnet101(times: int = 1, width: int = 64) -> ResNet:
    """ResNet-101 for ``float[N, 3, 32, 32]``, or deeper; every block gated."""
    widths = [width * scale for scale in (1, 2, 4, 8)]
    depths = [times * depth for depth in (3, 4, 23, 3)]
    return seeded(
        lambda: ResNet(_small_stem(width), widths, depths, bottleneck=True, gate_all=True)
    )


# --- networks with exits ---------------------------------------------------------------------


class ExitNet(nn.Module):
    """Segments of two convolutions, a classifier after each.

    Args:
        width: Channels.
        exits: Segments, and so exits.
    """

    def __init__(self, width: int, exits: int = 8) -> None:
        super().__init__()
        first = [3] + [width] * (exits - 1)
        self.segments = nn.ModuleList(
            nn.Sequential(*_conv(w, width), nn.ReLU(), *_conv(width, width), nn.ReLU())
            for w in first
        )
        self.heads = nn.ModuleList(_head(width) for _ in first)

    @property
    def exits(self) -> int:
        """How many exits there are; the last one is not a decision."""
        return len(self.heads)

    def step(self, x: Tensor, number: int) -> tuple[Tensor, Tensor]:
        """Return the features after a segment, and its scores ``float[N, 10]``."""
        x = self.segments[number](x)
        return x, self.heads[number](x)


class GatedExits(nn.Module):
    """Decisions given: ``leave`` is ``bool[exits - 1]``."""

    def __init__(self, net: ExitNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor, leave: Tensor, number: int = 0) -> Tensor:
        """Return ``float[N, 10]``."""
        x, scores = self.net.step(x, number)
        if number == self.net.exits - 1:
            return scores
        return early_exit(
            leave[number], scores, self.forward(x, leave, number + 1), name=f"exit{number}"
        )


class ScoredExits(nn.Module):
    """Leaves where the largest probability exceeds ``threshold``, ``float[exits - 1]``."""

    def __init__(self, net: ExitNet) -> None:
        super().__init__()
        self.net = net
        self.knobs = {"threshold": Threshold((0.8,) * (net.exits - 1), 0, 1)}

    def forward(self, x: Tensor, threshold: Tensor, number: int = 0) -> Tensor:
        """Return ``float[N, 10]``."""
        x, scores = self.net.step(x, number)
        if number == self.net.exits - 1:
            return scores
        rest = self.forward(x, threshold, number + 1)
        confident = _confidence(scores) > threshold[number]
        return early_exit(confident, scores, rest, name=f"exit{number}")


class AnytimeExits(nn.Module):
    """Runs up to the exit that ``level`` names."""

    def __init__(self, net: ExitNet) -> None:
        super().__init__()
        self.net = net
        self.knobs = {"level": Levels(tuple(range(net.exits)))}

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        """Return ``float[N, 10]``."""
        options = []
        for number in range(self.net.exits):
            x, scores = self.net.step(x, number)
            options.append(scores)
        return switch(level, options, name="level")


class CondExits(nn.Module):
    """Written with nested ``torch.cond``: ``leave`` is ``bool[exits - 1]``."""

    def __init__(self, net: ExitNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor, leave: Tensor) -> Tensor:
        """Return ``float[N, 10]``."""
        return self._after(x, leave, 0)

    def _after(self, x: Tensor, leave: Tensor, number: int) -> Tensor:
        x = self.net.segments[number](x)
        head = self.net.heads[number]
        if number == self.net.exits - 1:
            scores: Tensor = head(x)
            return scores
        chosen: Tensor = torch.cond(
            leave[number],
            lambda x, _: head(x),
            lambda x, leave: self._after(x, leave, number + 1),
            (x, leave),
        )
        return chosen


class StaticExit(nn.Module):
    """The prefix up to one exit and the head of that exit."""

    def __init__(self, net: ExitNet, last: int) -> None:
        super().__init__()
        self.net = net
        self.last = last

    def forward(self, x: Tensor) -> Tensor:
        """Return ``float[N, 10]``."""
        for number in range(self.last):
            x = self.net.segments[number](x)
        return self.net.step(x, self.last)[1]


class StaticScoredExit(nn.Module):
    """The prefix with every head and comparison that is needed to arrive at one exit."""

    def __init__(self, net: ExitNet, last: int) -> None:
        super().__init__()
        self.net = net
        self.last = last

    def forward(self, x: Tensor, threshold: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``float[N, 10]`` and the comparisons, ``bool[...]``."""
        compared = []
        for number in range(self.last + 1):
            x, scores = self.net.step(x, number)
            if number < self.net.exits - 1:
                compared.append(_confidence(scores) > threshold[number])
        return scores, torch.cat(compared)


class LstmSteps(nn.Module):
    """The controller of recurrent gates: one LSTM step per block, on features of 16 channels.

    Args:
        hidden: Size of the state.
        written_out: Whether a step is a cell of plain operators, not an LSTM of length one.
    """

    def __init__(self, hidden: int, *, written_out: bool, steps: int = 8) -> None:
        super().__init__()
        self.lstm = nn.LSTM(16, hidden)
        self.cell = nn.LSTMCell(16, hidden)
        self.cell.load_state_dict(
            {name.removesuffix("_l0"): value for name, value in self.lstm.state_dict().items()}
        )
        self.hidden, self.steps, self.written_out = hidden, steps, written_out

    def forward(self, x: Tensor) -> Tensor:
        h = c = torch.zeros(1, self.hidden)
        for _ in range(self.steps):
            seen = x * h.mean() + x  # each step waits for the one before
            if self.written_out:
                h, c = self.cell(seen, (h, c))
            else:
                _, (deep_h, deep_c) = self.lstm(seen[None], (h[None], c[None]))
                h, c = deep_h[0], deep_c[0]
        return h


def _confidence(scores: Tensor) -> Tensor:
    return scores.softmax(-1).amax(-1)


# --- parts -----------------------------------------------------------------------------------


def seeded(build: Callable[[], Net], seed: int = 0) -> Net:
    """Build a network in evaluation mode with random weights that keep activations near 1."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = build().eval()
        for module in net.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            elif isinstance(module, nn.BatchNorm2d):
                _randomise_statistics(module)
        for module in net.modules():
            if isinstance(module, Block):
                nn.init.uniform_(module.last_scale, 0.2, 0.4)
    return net


def _randomise_statistics(norm: nn.BatchNorm2d) -> None:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    nn.init.uniform_(norm.weight, 0.7, 1.1)
    nn.init.normal_(norm.bias, std=0.1)
    nn.init.normal_(norm.running_mean, std=0.1)
    nn.init.uniform_(norm.running_var, 0.8, 1.4)


def _conv(width_in: int, width: int, kernel: int = 3, stride: int = 1) -> list[nn.Module]:
    conv = nn.Conv2d(width_in, width, kernel, stride, kernel // 2, bias=False)
    return [conv, nn.BatchNorm2d(width)]


def _small_stem(width: int) -> nn.Sequential:
    return nn.Sequential(*_conv(3, width), nn.ReLU())


def _head(width: int) -> nn.Sequential:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, CLASSES))
