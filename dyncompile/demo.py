"""The demo: digits, a residual network that decides how much of itself to run, one file.

A small ResNet with two early exits and three skippable blocks is trained on the scikit-learn
digits, exported, and measured against static networks that can only do one of its paths.
Imports torch and scikit-learn; nothing else in the package imports this module.
"""

from __future__ import annotations

__all__ = [
    "EXITS",
    "SKIPS",
    "Comparison",
    "DemoResult",
    "Digits",
    "DigitsNet",
    "OperatingPoint",
    "PathTiming",
    "Split",
    "StaticPath",
    "choose_threshold",
    "compare",
    "load_images",
    "run",
    "show",
    "train",
]

import math
import statistics
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from dyncompile import markers
from dyncompile.knobs import Knob, Threshold

SKIPS = ("skip1", "skip2", "skip3")
EXITS = ("exit1", "exit2")

_WIDTHS = (32, 64, 128)
_SIDE = 24
_CLASSES = 10
_ALL_BLOCKS = dict.fromkeys(SKIPS, 1)
_SWEEP = (0.5, 0.7, 0.9, math.inf)
_MOST_PATHS = 6
_SAMPLES_PER_PATH = 8

Image = NDArray[np.float32]
Path1 = tuple[tuple[str, int], ...]


# --- the images -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Split:
    """Images ``float32[N, 1, 24, 24]`` in 0..1 and their labels ``int64[N]``."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def head(self, count: int) -> Split:
        """Return the first ``count`` images."""
        return Split(self.images[:count], self.labels[:count])


@dataclass(frozen=True)
class Digits:
    """Three disjoint splits, each with every digit in proportion."""

    train: Split
    validation: Split
    test: Split


def load_images(seed: int, *, validation: int = 400, test: int = 500) -> Digits:
    """Return the 1797 digits of scikit-learn, enlarged from 8x8 to 24x24 and split."""
    digits = load_digits()
    small = torch.tensor(digits.images, dtype=torch.float32)[:, None] / 16
    images = F.interpolate(small, size=(_SIDE, _SIDE), mode="bilinear")
    labels = torch.tensor(digits.target)

    def divide(of: NDArray[np.int64], size: int) -> list[NDArray[np.int64]]:
        parts: list[NDArray[np.int64]] = train_test_split(
            of, test_size=size, stratify=digits.target[of], random_state=seed
        )
        return parts

    rest, held_out = divide(np.arange(len(labels)), test)
    parts = (*divide(rest, validation), held_out)
    return Digits(*(Split(images[part], labels[part]) for part in parts))


# --- the network ----------------------------------------------------------------------------


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
        """Map ``float[N, entering, H, W]`` to ``float[N, leaving, H / stride, W / stride]``."""
        return F.relu(self.body(x) + self.shortcut(x))


class SkippableBlock(nn.Module):
    """An identity block that runs only for the samples whose score is positive."""

    def __init__(self, width: int, name: str) -> None:
        super().__init__()
        self.block = Block(width, width)
        self.judge = nn.Sequential(nn.Linear(width, 1), nn.BatchNorm1d(1))
        self.name = name

    def score(self, x: Tensor) -> Tensor:
        """Return ``float[N, 1]``: run the block where it is positive."""
        score: Tensor = self.judge(x.mean((2, 3)))
        return score

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
        width, side = _WIDTHS[number], _SIDE // 2**number
        self.widen = Block(_WIDTHS[max(number - 1, 0)], width, 2 if number else 1)
        self.skip = SkippableBlock(width, SKIPS[number])
        self.classify = nn.Sequential(
            nn.AvgPool2d(side // 2), nn.Flatten(), nn.Linear(width * 4, _CLASSES)
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the features, the logits of the stage and the decision of its gate."""
        x, take = self.skip(self.widen(x))
        return x, self.classify(x), take


class DigitsNet(nn.Module):
    """Three stages with an exit after the first two and a skippable block in each.

    Decisions: ``skip1`` ... ``skip3`` (1 runs the block), ``exit1`` and ``exit2`` (1 leaves
    with the logits of that stage).
    """

    def __init__(self) -> None:
        super().__init__()
        self.knobs: dict[str, Knob] = {"threshold": Threshold((0.8, 0.8), low=0, high=1)}
        self.stem = nn.Sequential(
            nn.Conv2d(1, _WIDTHS[0], 3, 1, 1, bias=False),
            nn.BatchNorm2d(_WIDTHS[0]),
            nn.ReLU(),
        )
        self.stages = nn.ModuleList(Stage(number) for number in range(len(_WIDTHS)))
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("deviation", torch.ones(()))

    def enter(self, image: Tensor) -> Tensor:
        """Return the features before the first stage."""
        features: Tensor = self.stem((image - self.mean) / self.deviation)
        return features

    def heads(self, image: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Return the logits of every stage and the decision of every gate."""
        x, logits, takes = self.enter(image), [], []
        for stage in self.stages:
            x, out, take = stage(x)
            logits.append(out)
            takes.append(take)
        return logits, takes

    def forward(self, image: Tensor, threshold: Tensor) -> Tensor:
        """Classify ``float[N, 1, 24, 24]``; exit k is used above ``threshold[k]``."""
        (first, second, last), _ = self.heads(image)
        rest = markers.early_exit(confidence(second) > threshold[1], second, last, name=EXITS[1])
        return markers.early_exit(confidence(first) > threshold[0], first, rest, name=EXITS[0])


def confidence(logits: Tensor) -> Tensor:
    """Return the largest softmax probability, ``float[N]``."""
    return logits.softmax(1).amax(1)


class StaticPath(nn.Module):
    """The same network, able to do one path only: what an engineer would write by hand.

    Args:
        model: The network whose weights are used.
        path: The decisions, by name; exits left out are not taken, skips left out run.
        scores: Also compute and return the scores that the decisions on the path need.
    """

    def __init__(self, model: DigitsNet, path: Mapping[str, int], *, scores: bool = False) -> None:
        super().__init__()
        self.model = model
        self.path = dict(path)
        self.scores = scores

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Return the logits, then the scores if asked for."""
        x, scores = self.model.enter(image), []
        for number, stage in enumerate(self.model.stages):
            x = stage.widen(x)
            if self.scores:
                scores.append(stage.skip.score(x))
            if self.path.get(SKIPS[number], 1):
                x = stage.skip.block(x)
            if number == len(EXITS):
                break
            leaves = self.path.get(EXITS[number], 0)
            if self.scores:
                logits = stage.classify(x)
                scores.append(confidence(logits))
            if leaves:
                break
        else:
            raise AssertionError
        return stage.classify(x), *scores
