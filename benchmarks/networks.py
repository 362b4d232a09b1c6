"""The networks that are timed, each in every form that is compared.

One set of weights, four forms: written with markers, written with ``torch.cond``, and static
along one path. Weights are random but seeded; BatchNorm statistics are random too, so that
folding them matters to the result.
"""

from __future__ import annotations

__all__ = [
    "CLASSES",
    "AnytimeExits",
    "CondExits",
    "CondResNet",
    "CondScoredExits",
    "DecisionGates",
    "ExitNet",
    "Exits",
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

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

from dyncompile import backbones
from dyncompile.backbones import CLASSES, Block, DenseNet, ResNet, conv_block, pooled_head
from dyncompile.knobs import Levels, Threshold
from dyncompile.markers import early_exit, gate, switch

Net = TypeVar("Net", bound=nn.Module)


# --- residual networks -----------------------------------------------------------------------


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
    """ResNet-18 for ``float[N, 3, 224, 224]``, seeded."""
    return seeded(backbones.resnet18)


def resnet20() -> ResNet:
    """ResNet-20 for ``float[N, 3, 32, 32]``, seeded."""
    return seeded(lambda: backbones.cifar_resnet(20))


def resnet101(times: int = 1, width: int = 64) -> ResNet:
    """ResNet-101 for ``float[N, 3, 32, 32]``, or deeper, seeded."""
    return seeded(lambda: backbones.resnet101(times=times, width=width))


# --- networks with exits ---------------------------------------------------------------------


class Exits(nn.Module):
    """Segments with a classifier after each.

    Args:
        segments: From the image, or from the features of the one before.
        heads: From the features after each segment to its scores.
    """

    def __init__(self, segments: Iterable[nn.Module], heads: Iterable[nn.Module]) -> None:
        super().__init__()
        self.segments = nn.ModuleList(segments)
        self.heads = nn.ModuleList(heads)

    @property
    def exits(self) -> int:
        """How many exits there are; the last one is not a decision."""
        return len(self.heads)

    @property
    def threshold(self) -> Threshold:
        """What the confidence is compared with, one value per decision."""
        return Threshold((0.8,) * (self.exits - 1), 0, 1)

    def forcing(self, last: int) -> Tensor:
        """Return the threshold that forces an exit: scores are computed and compared as ever."""
        threshold = torch.full((self.exits - 1,), torch.inf)
        threshold[last : last + 1] = -torch.inf
        return threshold

    def step(self, x: Tensor, number: int) -> tuple[Tensor, Tensor]:
        """Return the features after a segment, and its scores ``float[N, 10]``."""
        x = self.segments[number](x)
        return x, self.heads[number](x)

    def confidence(self, scores: Tensor) -> Tensor:
        """Return the largest probability, ``float[N]``."""
        return scores.softmax(-1).amax(-1)


class ExitNet(Exits):
    """Segments of two convolutions.

    Args:
        width: Channels.
        exits: Segments, and so exits.
    """

    def __init__(self, width: int, exits: int = 8) -> None:
        first = [3] + [width] * (exits - 1)
        super().__init__(
            [nn.Sequential(conv_block(w, width), conv_block(width, width)) for w in first],
            [pooled_head(width) for _ in first],
        )


class DecisionGates(Exits):
    """A published network with early exits at decision gates.

    A gate is a linear classifier on the mean of each channel. The sample leaves where the
    largest score, its distance to the hyperplane of a class, exceeds a threshold. After
    d-gate (Shafiee, Shafiee and Wong, 2018), whose exact normalisation and places of the gates
    are not reproduced here.

    Args:
        backbone: Its own classifier is the last exit.
        after: The number of blocks before each gate.
    """

    def __init__(self, backbone: ResNet | DenseNet, after: Sequence[int]) -> None:
        blocks, bounds = list(backbone.blocks), [0, *after, len(backbone.blocks)]
        segments = [nn.Sequential(*blocks[low:high]) for low, high in itertools.pairwise(bounds)]
        segments[0] = nn.Sequential(backbone.stem, *segments[0])
        gates = [pooled_head(backbone.block_widths[count - 1]) for count in after]
        super().__init__(segments, [*gates, backbone.classifier])

    @property
    def threshold(self) -> Threshold:
        """What the largest score is compared with, one value per gate."""
        return Threshold((1.0,) * (self.exits - 1))

    def confidence(self, scores: Tensor) -> Tensor:
        """Return the largest score, ``float[N]``."""
        return scores.amax(-1)


class GatedExits(nn.Module):
    """Decisions given: ``leave`` is ``bool[exits - 1]``."""

    def __init__(self, net: Exits) -> None:
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
    """Leaves where the confidence exceeds ``threshold``, ``float[exits - 1]``."""

    def __init__(self, net: Exits) -> None:
        super().__init__()
        self.net = net
        self.knobs = {"threshold": net.threshold}

    def forward(self, x: Tensor, threshold: Tensor, number: int = 0) -> Tensor:
        """Return ``float[N, 10]``."""
        x, scores = self.net.step(x, number)
        if number == self.net.exits - 1:
            return scores
        rest = self.forward(x, threshold, number + 1)
        confident = self.net.confidence(scores) > threshold[number]
        return early_exit(confident, scores, rest, name=f"exit{number}")


class AnytimeExits(nn.Module):
    """Runs up to the exit that ``level`` names."""

    def __init__(self, net: Exits) -> None:
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

    def __init__(self, net: Exits) -> None:
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


class CondScoredExits(nn.Module):
    """``ScoredExits`` written with nested ``torch.cond``; a side that returns its input copies."""

    def __init__(self, net: Exits) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor, threshold: Tensor, number: int = 0) -> Tensor:
        """Return ``float[N, 10]``."""
        x, scores = self.net.step(x, number)
        if number == self.net.exits - 1:
            return scores
        chosen: Tensor = torch.cond(
            (self.net.confidence(scores) > threshold[number]).squeeze(),
            lambda _x, scores, _threshold: scores.clone(),
            lambda x, _scores, threshold: self.forward(x, threshold, number + 1),
            (x, scores, threshold),
        )
        return chosen


class StaticExit(nn.Module):
    """The prefix up to one exit and the head of that exit."""

    def __init__(self, net: Exits, last: int) -> None:
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

    def __init__(self, net: Exits, last: int) -> None:
        super().__init__()
        self.net = net
        self.last = last

    def forward(self, x: Tensor, threshold: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``float[N, 10]`` and the comparisons, ``bool[...]``."""
        compared = []
        for number in range(self.last + 1):
            x, scores = self.net.step(x, number)
            if number < self.net.exits - 1:
                compared.append(self.net.confidence(scores) > threshold[number])
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
