"""Small networks to build engines of."""

from __future__ import annotations

__all__ = ["Leveled", "Skipping", "Slim", "image"]

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from dyncompile import Levels, Threshold, channel_budget, early_exit, gate, per_level


class Skipping(nn.Module):
    """A block that can be skipped, an exit behind it."""

    knobs: Mapping[str, Threshold] = {"threshold": Threshold(0.4, 0, 1)}

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.block = nn.Conv2d(4, 4, 3, padding=1)
        self.head, self.tail = nn.Linear(4, 3), nn.Linear(4, 3)

    def forward(self, x: Tensor, threshold: Tensor) -> Tensor:
        x = gate(x.mean((1, 2, 3)) > 0, x + self.block(x).relu(), x, name="skip")
        early: Tensor = self.head(x.mean((2, 3)))
        late: Tensor = self.tail(x.amax((2, 3)))
        return early_exit(early.softmax(1).amax(1) > threshold, early, late, name="exit")


class Slim(nn.Module):
    """Channels that grow with a level; the batch may be any."""

    def __init__(self, counts: tuple[int, ...] = (2, 4, 8)) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.counts = counts
        self.knobs = {"level": Levels(tuple(count / 8 for count in counts))}
        self.first, self.second = nn.Conv2d(4, 8, 3, padding=1), nn.Conv2d(8, 4, 3)

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        hidden = channel_budget(self.first(x).relu(), level, self.counts, name="width")
        y: Tensor = self.second(hidden)
        return y


class Leveled(nn.Module):
    """A layer for each of three levels, and a gate that no knob decides."""

    knobs: Mapping[str, Levels] = {"level": Levels((1, 2, 3))}

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.layers = nn.ModuleList(nn.Linear(4, 4) for _ in range(4))

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        x = per_level(level, lambda k: self.layers[k](x), 3, name="layer")
        y: Tensor = gate(x.sum(1) > 0, self.layers[3](x), x, name="last")
        return y


def image(batch: int = 1) -> Tensor:
    """Draw an input of the convolutional ones."""
    return torch.randn(batch, 4, 8, 8, generator=torch.Generator().manual_seed(0))
