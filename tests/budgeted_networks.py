"""Small networks with channel budgets, for tests of everything around the passes."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from dyncompile import Levels, Threshold, channel_budget, early_exit, gate, switch

COUNTS = (2, 4, 6, 8)
LEVELS = len(COUNTS)
CLASSES = 5
EXAMPLE = (torch.linspace(-1, 1, 3 * 6 * 6).reshape(1, 3, 6, 6),)


class Layers(nn.Module):
    """What the networks are made of."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.body = nn.Conv2d(8, 8, 3, padding=1)
        self.head = nn.Linear(8, CLASSES)
        self.score = nn.Linear(8, 1)
        self.choose = nn.Linear(3, LEVELS)

    def run(self, x: Tensor, level: Tensor) -> Tensor:
        """A gated block between two budgets."""
        x = channel_budget(self.stem(x).relu(), level, COUNTS, name="width")
        take = self.score(x.mean((2, 3))).squeeze(1) > self.score.bias.detach()
        wide = channel_budget((x + self.body(x)).relu(), level, COUNTS)
        x = gate(take, wide, x, name="block")
        y: Tensor = self.head(x.mean((2, 3)))
        return y


class Budgeted(Layers):
    """The level is a knob."""

    knobs: Mapping[str, Levels] = {"level": Levels((0.25, 0.5, 0.75, 1.0))}

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        return self.run(x, level)


class Switching(Layers):
    """A switch on the same level, of a name that comes first."""

    knobs: Mapping[str, Levels] = {"level": Levels((0.25, 0.5, 0.75, 1.0))}

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        y = self.run(x, level)
        return switch(level, [y, y * 2, y.relu(), y + 1], name="after")


class Choosing(Layers):
    """The level follows from the data."""

    def forward(self, x: Tensor) -> Tensor:
        return self.run(x, self.choose(x.amax((2, 3))).argmax(1))


class TwoNames(Layers):
    """Budgets of two names on one level, an exit between them, and work with the level itself."""

    knobs: Mapping[str, Levels | Threshold] = {
        "level": Levels(("tiny", "small", "large", "full")),
        "sure": Threshold(0.2, 0, 1),
    }

    def forward(self, x: Tensor, level: Tensor, sure: Tensor) -> Tensor:
        return self.decide(x, level, sure)

    def decide(self, x: Tensor, level: Tensor, sure: Tensor) -> Tensor:
        """Two budgets, an exit between them."""
        x = channel_budget(self.stem(x).relu(), level, COUNTS, name="width")
        early = self.head(x.mean((2, 3)))
        x = channel_budget(self.body(x).relu(), level, (1, 4, 7, 8), name="depth")
        late = self.head(x.mean((2, 3))) * (1 + level.float())
        y: Tensor = early_exit(early.softmax(1).amax(1) > sure, early, late, name="exit")
        return y


class ChoosingTwoNames(TwoNames):
    """The same, the level from the data."""

    knobs: Mapping[str, Levels | Threshold] = {"sure": Threshold(0.2, 0, 1)}

    def forward(self, x: Tensor, sure: Tensor) -> Tensor:  # type: ignore[override]
        return self.decide(x, self.choose(x.amax((2, 3))).argmax(1).sum(), sure)
