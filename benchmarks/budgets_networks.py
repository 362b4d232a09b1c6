"""Networks with a budget of channels, in every form that is compared, and static at each width.

One set of weights, multiplied by a linear profile along the input channels, as incomplete dot
products have it: so that activations keep their size at every width, and outputs that are equal
say something.
"""

from __future__ import annotations

__all__ = [
    "RATIOS",
    "Budgeted",
    "Cond",
    "Layers",
    "Masked",
    "Network",
    "OwnSlices",
    "Sliced",
    "conv_layers",
    "counts_of",
    "cut",
    "linear_layers",
]

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, linear

from benchmarks.networks import CLASSES, seeded
from dyncompile.knobs import Levels
from dyncompile.markers import channel_budget, per_level

RATIOS = (0.25, 0.5, 0.75, 1.0)

Layer = nn.Conv2d | nn.Linear
OnWidth = Callable[[Tensor], Tensor]


def counts_of(channels: int) -> list[int]:
    """Return the channels of each level."""
    return [max(1, math.floor(ratio * channels)) for ratio in RATIOS]


@dataclass(frozen=True)
class Network:
    """A network at all its widths.

    Attributes:
        title: Its name.
        full: Its weights.
        build: Makes a network of another width, whose weights are the first of ``full``.
        width: What ``full`` was built with.
        x: Its input.
    """

    title: str
    full: nn.Module
    build: Callable[[int], nn.Module]
    width: int
    x: Tensor

    @classmethod
    def of(cls, title: str, build: Callable[[int], nn.Module], width: int, x: Tensor) -> Network:
        """Draw the weights."""
        return cls(title, profiled(seeded(partial(build, width))), build, width, x)

    @property
    def stem(self) -> str:
        """What its files are called."""
        words = "".join(c if c.isalnum() else " " for c in self.title.lower()).split()
        return "budgets-" + "-".join(words)

    def static(self, level: int) -> nn.Module:
        """Return the plain network of a level, which has its weights and no others."""
        return cut(self.full, self.build(counts_of(self.width)[level]))


def cut(full: nn.Module, small: nn.Module) -> nn.Module:
    """Give a network the first channels of a wider one, and return it."""
    state = full.state_dict()
    small.load_state_dict(
        {
            name: state[name][tuple(map(slice, value.shape))]
            for name, value in small.state_dict().items()
        }
    )
    return small.eval()


def profiled(net: nn.Module) -> nn.Module:
    """Multiply weights by a linear profile, all but those of the first layer.

    Sums keep their size; scores, which begin small, grow to that size too.
    """
    layers = [layer for layer in net.modules() if isinstance(layer, Layer)]
    head = layers[-1].weight.data
    head *= math.sqrt(2 / head.shape[1]) / head.std()
    for layer in layers[1:]:
        channels = layer.weight.shape[1]
        if channels > 1:  # not depthwise
            profile = 1 - torch.arange(channels) / channels
            profile *= math.sqrt(channels / profile.square().sum())
            shape = (1, -1, *(1,) * (layer.weight.ndim - 2))
            layer.weight.data *= profile.reshape(shape)
    return net


# --- layers of one width ---------------------------------------------------------------------


class Layers(nn.Module):
    """Layers of one width, each with a ReLU, and a linear classifier.

    Args:
        make: From the channels of input and output to a layer.
        features: Channels of the input.
        width: Channels of every layer.
        hidden: Layers after the first.
    """

    def __init__(
        self, make: Callable[[int, int], Layer], features: int, width: int, hidden: int
    ) -> None:
        super().__init__()
        layers = [make(features, width), *(make(width, width) for _ in range(hidden))]
        for layer in layers:
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        self.layers = nn.ModuleList(layers)
        self.head = nn.Linear(width, CLASSES)

    def forward(self, x: Tensor, after: OnWidth | None = None) -> Tensor:
        """Return ``float[N, 10]``; ``after`` stands behind each ReLU."""
        for layer in self.layers:
            x = torch.relu(layer(x))
            x = after(x) if after else x
        scores: Tensor = self.head(_pooled(x))
        return scores

    def at(self, x: Tensor, width: int) -> Tensor:
        """Return the same from the first channels of every layer."""
        for layer in self.layers:
            assert isinstance(layer, Layer)
            assert layer.bias is not None
            weight, bias = layer.weight[:width, : x.shape[1]], layer.bias[:width]
            is_conv = isinstance(layer, nn.Conv2d)
            y = conv2d(x, weight, bias, padding=1) if is_conv else linear(x, weight, bias)
            x = torch.relu(y)
        return linear(_pooled(x), self.head.weight[:, :width], self.head.bias)

    def at_width(self, width: int) -> OnWidth:
        """Return the network of a width."""
        return lambda x: self.at(x, width)


def conv_layers(width: int, hidden: int = 8) -> Layers:
    """Return 3x3 convolutions on ``float[N, 3, H, W]``."""
    return Layers(partial(nn.Conv2d, kernel_size=3, padding=1), 3, width, hidden)


def linear_layers(width: int, hidden: int = 4, features: int = 64) -> Layers:
    """Return linear layers on ``float[N, 64]``."""
    return Layers(nn.Linear, features, width, hidden)


def _pooled(x: Tensor) -> Tensor:
    return x.mean((2, 3)) if x.ndim == 4 else x


class _Form(nn.Module):
    def __init__(self, net: Layers, width: int) -> None:
        super().__init__()
        self.net = net
        self.width = width
        self.counts = counts_of(width)
        self.knobs = {"level": Levels(RATIOS)}


class Budgeted(_Form):
    """A budget behind each ReLU."""

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        """Return ``float[N, 10]``."""
        return self.net.forward(x, lambda y: channel_budget(y, level, self.counts, name="width"))


class OwnSlices(_Form):
    """The author's own slices: each level is the network at that width."""

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        """Return ``float[N, 10]``."""
        return per_level(level, lambda k: self.net.at_width(self.counts[k])(x), name="width")


class Masked(_Form):
    """Zeros multiplied, as when training."""

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        """Return ``float[N, 10]``."""
        alive = torch.arange(self.width) < torch.tensor(self.counts)[level]

        def mask(y: Tensor) -> Tensor:
            return y * alive.to(y.dtype).reshape(1, -1, *(1,) * (y.ndim - 2))

        return self.net.forward(x, mask)


class Sliced(_Form):
    """Weights sliced by a run-time width."""

    def forward(self, x: Tensor, width: Tensor) -> Tensor:
        """Return ``float[N, 10]``."""
        size: int = width.item()  # type: ignore[assignment]
        torch._check(size >= 1)  # type: ignore[no-untyped-call]  # noqa: SLF001 - for torch.export
        torch._check(size <= self.width)  # type: ignore[no-untyped-call]  # noqa: SLF001
        return self.net.at(x, size)


class Cond(_Form):
    """A branch per width, by nested ``torch.cond``."""

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        """Return ``float[N, 10]``."""
        return self._among(0, len(self.counts))(x, level)

    def _among(self, first: int, last: int) -> Callable[[Tensor, Tensor], Tensor]:
        if last - first == 1:
            return lambda x, _: self.net.at(x, self.counts[first])
        middle = (first + last) // 2
        low, high = self._among(first, middle), self._among(middle, last)

        def choose(x: Tensor, level: Tensor) -> Tensor:
            chosen: Tensor = torch.cond(level < middle, low, high, (x, level))
            return chosen

        return choose
