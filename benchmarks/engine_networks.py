"""Networks that engines are built of: one for each marker, and those whose plans are weighed."""

from __future__ import annotations

__all__ = [
    "MARKERS",
    "CondWidths",
    "GatedBlocks",
    "InnerWidths",
    "Marked",
    "marker_network",
]

import copy
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from benchmarks.budgets_networks import RATIOS, counts_of
from benchmarks.networks import seeded
from dyncompile.backbones import Block, ResNet, conv_block, pooled_head
from dyncompile.knobs import Levels, Threshold
from dyncompile.markers import (
    channel_budget,
    early_exit,
    gate,
    level_value,
    per_level,
    switch,
)

WIDTH, SIZE = 8, 8


# --- one network per marker -----------------------------------------------------------------


class Marked(nn.Module):
    """Two convolutions, and what a marker makes of the second, before a linear layer.

    Args:
        knobs: What scales it at run time, one knob at most.
        mark: From the module, features ``float[N, 8, 8, 8]`` and the knob to features.
    """

    def __init__(
        self,
        knobs: Mapping[str, Levels | Threshold],
        mark: Callable[[Marked, Tensor, Tensor], Tensor],
    ) -> None:
        super().__init__()
        self.knobs = knobs
        self.mark = mark
        self.stem, self.block = conv_block(3, WIDTH), conv_block(WIDTH, WIDTH)
        self.wide, self.narrow = conv_block(WIDTH, 4 * WIDTH), conv_block(4 * WIDTH, WIDTH)
        self.norms = nn.ModuleList(nn.BatchNorm2d(WIDTH) for _ in RATIOS)
        self.head, self.early = pooled_head(WIDTH), pooled_head(WIDTH)

    def forward(self, x: Tensor, knob: Tensor) -> Tensor:
        """Return ``float[N, 10]``."""
        scores: Tensor = self.head(self.mark(self, self.stem(x), knob))
        return scores

    def on(self, x: Tensor) -> Tensor:
        """Return features of the same shape."""
        features: Tensor = self.block(x)
        return features

    def confidence(self, x: Tensor) -> Tensor:
        """Return the largest probability of scores, ``float[N]``."""
        largest: Tensor = self.early(x).softmax(-1).amax(-1)
        return largest

    def inside(self, x: Tensor, cut: Callable[[Tensor], Tensor]) -> Tensor:
        """Return features of the same shape, by way of a wider map that may be cut."""
        features: Tensor = self.narrow(cut(self.wide(x)))
        return x + features


def _gate(net: Marked, x: Tensor, knob: Tensor) -> Tensor:
    return gate(x.mean((1, 2, 3)) > knob, x + net.on(x), x, name="gate")


def _early_exit(net: Marked, x: Tensor, knob: Tensor) -> Tensor:
    return early_exit(net.confidence(x) > knob, x, net.on(x), name="exit")


def _switch(net: Marked, x: Tensor, knob: Tensor) -> Tensor:
    return switch(knob, [x, net.on(x), net.inside(x, torch.relu), x + net.on(x)], name="switch")


def _inner_budget(net: Marked, x: Tensor, knob: Tensor) -> Tensor:
    counts = counts_of(4 * WIDTH)
    return net.inside(x, lambda hidden: channel_budget(hidden, knob, counts, name="inner"))


def _budget(net: Marked, x: Tensor, knob: Tensor) -> Tensor:
    x = channel_budget(x, knob, counts_of(WIDTH), name="width")
    return channel_budget(net.on(x), knob, counts_of(WIDTH), name="width")


def _per_level(net: Marked, x: Tensor, knob: Tensor) -> Tensor:
    x = net.on(x)
    normed: Tensor = per_level(knob, lambda level: net.norms[level](x), len(RATIOS), name="norm")
    return normed


def _level_value(net: Marked, x: Tensor, knob: Tensor) -> Tensor:
    bound = level_value(knob, (-1.0, 0.0, 0.2, 1.0))
    return gate(x.mean((1, 2, 3)) > bound, net.on(x), x, name="gate")


LEVEL = {"knob": Levels(RATIOS)}

MARKERS: Mapping[str, Callable[[], Marked]] = {
    "gate": lambda: Marked({"knob": Threshold(0.1)}, _gate),
    "early_exit": lambda: Marked({"knob": Threshold(0.2, 0, 1)}, _early_exit),
    "switch": lambda: Marked(LEVEL, _switch),
    "channel_budget, a chain": lambda: Marked(LEVEL, _inner_budget),
    "channel_budget, a switch": lambda: Marked(LEVEL, _budget),
    "per_level": lambda: Marked(LEVEL, _per_level),
    "level_value": lambda: Marked(LEVEL, _level_value),
}


def marker_network(name: str) -> tuple[Marked, Tensor]:
    """Return the network of a marker, seeded, and an example of its input."""
    x = torch.randn(1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    return seeded(MARKERS[name]).eval(), x


# --- networks whose plans are weighed -------------------------------------------------------


class GatedBlocks(nn.Module):
    """Blocks of one convolution, each skipped as ``take``, ``bool[blocks]``, says."""

    def __init__(self, blocks: int, width: int = 32) -> None:
        super().__init__()
        self.stem, self.head = conv_block(3, width), pooled_head(width)
        self.blocks = nn.ModuleList(conv_block(width, width) for _ in range(blocks))

    def forward(self, x: Tensor, take: Tensor | None = None) -> Tensor:
        """Return ``float[N, 10]``; without ``take`` it is static, all blocks on."""
        x = self.stem(x)
        for number, block in enumerate(self.blocks):
            on = x + block(x)
            x = on if take is None else gate(take[number], on, x, name=f"block{number}")
        scores: Tensor = self.head(x)
        return scores


class InnerWidths(nn.Module):
    """A residual network whose blocks have budgets of channels inside."""

    def __init__(self, net: ResNet) -> None:
        super().__init__()
        self.net = net
        self.knobs = {"level": Levels(RATIOS)}

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        """Return ``float[N, 10]``."""

        def cut(hidden: Tensor) -> Tensor:
            return channel_budget(hidden, level, counts_of(hidden.shape[1]), name="level")

        x = self.net.stem(x)
        for block in self.net.blocks:
            assert isinstance(block, Block)
            x = (block.residual[3:](cut(block.residual[:3](x))) + block.shortcut(x)).relu()
        scores: Tensor = self.net.classifier(x)
        return scores


class CondWidths(nn.Module):
    """The same written with ``torch.cond``: a network of its own for each level."""

    def __init__(self, net: ResNet) -> None:
        super().__init__()
        self.nets = nn.ModuleList(_narrowed(net, level) for level in range(len(RATIOS)))

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        """Return ``float[N, 10]``."""
        return self._from(x, level, 0)

    def _from(self, x: Tensor, level: Tensor, number: int) -> Tensor:
        if number == len(RATIOS) - 1:
            scores: Tensor = self.nets[number](x)
            return scores
        chosen: Tensor = torch.cond(
            level <= number,
            lambda x, _: self.nets[number](x),
            lambda x, level: self._from(x, level, number + 1),
            (x, level),
        )
        return chosen


def _narrowed(net: ResNet, level: int) -> ResNet:
    """Return a copy of a network whose blocks have only the channels of a level inside."""
    net = copy.deepcopy(net)
    for block in net.blocks:
        assert isinstance(block, Block)
        first, norm, _, second, *_ = block.residual
        assert isinstance(first, nn.Conv2d)
        assert isinstance(norm, nn.BatchNorm2d)
        assert isinstance(second, nn.Conv2d)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        count = counts_of(first.out_channels)[level]
        first.weight.data = first.weight.data[:count].clone()
        second.weight.data = second.weight.data[:, :count].clone()
        norm.weight.data, norm.bias.data = norm.weight.data[:count], norm.bias.data[:count]
        norm.running_mean, norm.running_var = norm.running_mean[:count], norm.running_var[:count]
        first.out_channels = second.in_channels = norm.num_features = count
    return net
