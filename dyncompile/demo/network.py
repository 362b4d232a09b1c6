"""The dynamic network: an ordinary residual network with five markers in it."""

from __future__ import annotations

__all__ = [
    "ALL_BLOCKS",
    "CLASSES",
    "EXITS",
    "PLACES",
    "SIDE",
    "SKIPS",
    "DigitsNet",
    "Stage",
    "confidence",
    "spell",
]

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from dyncompile import markers
from dyncompile.knobs import Knob, Threshold

SKIPS = ("skip1", "skip2", "skip3")  # 1 runs the block
EXITS = ("exit1", "exit2")  # 1 leaves with the logits of that stage
PLACES = ("exit 1", "exit 2", "the end")
ALL_BLOCKS = dict.fromkeys(SKIPS, 1)

SIDE = 20
CLASSES = 10
_WIDTHS = (32, 64, 128)


class Block(nn.Module):
    """A basic residual block; the first of a stage may halve the image."""

    def __init__(self, entering: int, leaving: int, stride: int = 1) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(entering, leaving, 3, stride, 1, bias=False),
            nn.BatchNorm2d(leaving),
            nn.ReLU(),
            nn.Conv2d(leaving, leaving, 3, 1, 1, bias=False),
            nn.BatchNorm2d(leaving),
        )
        self.shortcut: nn.Module = nn.Identity()
        if (entering, stride) != (leaving, 1):
            self.shortcut = nn.Sequential(
                nn.Conv2d(entering, leaving, 1, stride, bias=False), nn.BatchNorm2d(leaving)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Return ``float[N, leaving, H, W]``, the sides divided by the stride."""
        return F.relu(self.body(x) + self.shortcut(x))


class SkippableBlock(nn.Module):
    """A block that keeps the shape, and runs only for the samples whose score is positive."""

    def __init__(self, width: int, side: int, name: str) -> None:
        super().__init__()
        self.block = Block(width, width)
        self.score = _pooled(side, nn.Linear(width, 1), nn.BatchNorm1d(1))
        self.name = name

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the features and the decision, which carries a gradient in training."""
        score = self.score(x)
        take = score > 0
        if self.training:
            soft = torch.sigmoid(score)
            take = take.float() + soft - soft.detach()
        return markers.gate(take, self.block(x), x, name=self.name), take


class Stage(nn.Module):
    """A block that widens, a block that may be skipped, and a classifier on their result."""

    def __init__(self, number: int) -> None:
        super().__init__()
        width, side = _WIDTHS[number], SIDE // 2**number
        self.widen = Block(_WIDTHS[max(number - 1, 0)], width, 2 if number else 1)
        self.skip = SkippableBlock(width, side, SKIPS[number])
        self.classify = _pooled(side, nn.Linear(width, CLASSES))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the features, the logits of the stage and the decision of its gate."""
        x, take = self.skip(self.widen(x))
        return x, self.classify(x), take


class DigitsNet(nn.Module):
    """Three stages with an exit after the first two and a skippable block in each."""

    def __init__(self) -> None:
        super().__init__()
        self.knobs: dict[str, Knob] = {"threshold": Threshold((0.8, 0.8), low=0, high=1)}
        self.stem = nn.Sequential(
            nn.Conv2d(1, _WIDTHS[0], 3, 1, 1, bias=False),
            nn.BatchNorm2d(_WIDTHS[0]),
            nn.ReLU(),
        )
        self.stage1, self.stage2, self.stage3 = (Stage(n) for n in range(len(_WIDTHS)))

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages, in the order they run."""
        return self.stage1, self.stage2, self.stage3

    def heads(self, image: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Return the logits of every stage and the decision of every gate."""
        x, logits, takes = self.stem(image), [], []
        for stage in self.stages:
            x, out, take = stage(x)
            logits.append(out)
            takes.append(take)
        return logits, takes

    def forward(self, image: Tensor, threshold: Tensor) -> Tensor:
        """Classify ``float[N, 1, 20, 20]``; exit k is used above ``threshold[k]``."""
        (first, second, last), _ = self.heads(image)
        rest = markers.early_exit(confidence(second) > threshold[1], second, last, name=EXITS[1])
        return markers.early_exit(confidence(first) > threshold[0], first, rest, name=EXITS[0])


def confidence(logits: Tensor) -> Tensor:
    """Return the largest softmax probability, ``float[N]``."""
    return logits.softmax(1).amax(1)


def _pooled(side: int, *head: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.AvgPool2d(side), nn.Flatten(), *head)


def spell(path: Mapping[str, int]) -> tuple[str, str]:
    """Return the skippable blocks of a path, ``-`` for one skipped, and where it leaves."""
    leaves = next((k for k, name in enumerate(EXITS) if path.get(name)), len(EXITS))
    met = SKIPS[: leaves + 1]
    blocks = " ".join(str(k + 1) if path.get(name, 1) else "-" for k, name in enumerate(met))
    return blocks, PLACES[leaves]
