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
        self.mean: Tensor
        self.deviation: Tensor
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("deviation", torch.ones(()))

    def depth(self) -> list[Stage]:
        """Return the stages in the order they run."""
        return [stage for stage in self.stages if isinstance(stage, Stage)]

    def enter(self, image: Tensor) -> Tensor:
        """Return the features before the first stage."""
        features: Tensor = self.stem((image - self.mean) / self.deviation)
        return features

    def heads(self, image: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Return the logits of every stage and the decision of every gate."""
        x, logits, takes = self.enter(image), [], []
        for stage in self.depth():
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
        for stage, exit_name in zip(self.model.depth(), (*EXITS, None), strict=True):
            x = stage.widen(x)
            if self.scores:
                scores.append(stage.skip.score(x))
            if self.path.get(stage.skip.name, 1):
                x = stage.skip.block(x)
            leaves = exit_name is None or self.path.get(exit_name, 0)
            if leaves or self.scores:
                logits = stage.classify(x)
            if self.scores and exit_name:
                scores.append(confidence(logits))
            if leaves:
                break
        return logits, *scores


# --- training -------------------------------------------------------------------------------


def train(
    data: Split,
    seed: int,
    *,
    epochs: int = 14,
    batch: int = 32,
    report: Callable[[float], None] = lambda _: None,
) -> DigitsNet:
    """Train the network; the same seed gives the same weights.

    The stages' classifiers are trained jointly. All blocks run at first; then the gates learn,
    straight through their hard decisions, and the compute they cost is pulled to one half.

    Args:
        data: The images to learn from.
        seed: Seeds the weights, the order of the images and their distortions.
        epochs: How often each image is seen.
        batch: Images per step.
        report: Called after each step with the share of the training done.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = DigitsNet()
    model.mean.copy_(data.images.mean())
    model.deviation.copy_(data.images.std())
    chance = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.01)
    steps = epochs * (len(data) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 6e-3, total_steps=steps)
    model.train()
    for step in range(steps):
        if step % (steps // epochs) == 0:
            order = torch.randperm(len(data), generator=chance)
        chosen, order = order[:batch], order[batch:]
        images = _distort(data.images[chosen], chance)
        learns_to_skip = step >= 0.4 * steps
        with markers.follow({} if learns_to_skip else _ALL_BLOCKS):
            logits, takes = model.heads(images)
        loss = _loss(logits, data.labels[chosen])
        if learns_to_skip:
            loss = loss + 2 * sum((take.mean() - 0.5) ** 2 for take in takes)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        report((step + 1) / steps)
    return model.eval()


def _loss(logits: Sequence[Tensor], labels: Tensor) -> Tensor:
    losses = [F.cross_entropy(out, labels, label_smoothing=0.05) for out in logits]
    return 0.5 * losses[0] + 0.7 * losses[1] + losses[2]


def _distort(images: Tensor, chance: torch.Generator) -> Tensor:
    """Turn by up to 0.2 rad, shift by up to 15 % and scale by up to 10 %."""
    turn, across, down, scale = torch.rand(4, len(images), generator=chance) * 2 - 1
    scale = 1 + 0.1 * scale
    cos, sin = scale * (0.2 * turn).cos(), scale * (0.2 * turn).sin()
    matrix = torch.stack([cos, -sin, 0.15 * across, sin, cos, 0.15 * down], 1)
    grid = F.affine_grid(matrix.reshape(-1, 2, 3), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, align_corners=False)


@torch.no_grad()
def choose_threshold(
    model: DigitsNet, data: Split, *, tolerance: float = 0.005
) -> tuple[float, float]:
    """Return the thresholds that run the fewest stages within a loss of accuracy.

    Args:
        model: A trained network.
        data: Images held out from training; not the ones accuracy is reported on.
        tolerance: Share of the images that may be lost against using no exit.
    """
    logits, _ = model.heads(data.images)
    right = torch.stack([out.argmax(1) == data.labels for out in logits]).float()
    grid = torch.linspace(0.3, 1.0, 71)
    leaves = [confidence(out) > grid[:, None] for out in logits[:2]]
    candidates = []
    for first, second in product(range(len(grid)), repeat=2):
        stage = torch.where(leaves[0][first], 0, torch.where(leaves[1][second], 1, 2))
        accuracy = right.gather(0, stage[None]).mean().item()
        if accuracy >= right[2].mean().item() - tolerance:
            cost = stage.float().mean().item()
            candidates.append((cost, -accuracy, grid[first].item(), grid[second].item()))
    _, _, first_exit, second_exit = min(candidates)
    return round(first_exit, 2), round(second_exit, 2)


# --- what is measured -----------------------------------------------------------------------


@dataclass(frozen=True)
class OperatingPoint:
    """The artifact deciding for itself over the whole test set, at one setting.

    Attributes:
        threshold: One number per exit.
        accuracy: Share of the test images classified right.
        leaving: Share of the images that leave at exit 1, at exit 2, at the end.
        milliseconds: Mean latency per image.
    """

    threshold: tuple[float, ...]
    accuracy: float
    leaving: tuple[float, ...]
    milliseconds: float


@dataclass(frozen=True)
class PathTiming:
    """One path: how frequent, and how fast beside networks that know no other.

    Attributes:
        path: The decisions met, by name.
        share: Share of the test images that take it.
        milliseconds: Median latency of the artifact on such images.
        static: The same of a static network of the path.
        static_with_scores: The same of one that also computes the scores of the decisions.
    """

    path: dict[str, int]
    share: float
    milliseconds: float
    static: float
    static_with_scores: float


@dataclass(frozen=True)
class Comparison:
    """The artifact against static networks on the test set.

    Attributes:
        images: Size of the test set.
        dense_accuracy: Share right with every block and no exit.
        dense_milliseconds: Mean latency per image of the static network that does that.
        stage_accuracy: Share right if all images left at exit 1, at exit 2, at the end.
        agreeing: Test images on which artifact and PyTorch model give the same class.
        points: The chosen operating point first.
        paths: The most frequent paths at the chosen point, most frequent first.
    """

    images: int
    dense_accuracy: float
    dense_milliseconds: float
    stage_accuracy: tuple[float, ...]
    agreeing: int
    points: tuple[OperatingPoint, ...]
    paths: tuple[PathTiming, ...]


@dataclass(frozen=True)
class DemoResult:
    """What the demo made and found.

    Attributes:
        artifact: The exported file.
        static_folder: Where the static networks were written.
        threshold: The chosen thresholds, the defaults of the artifact's knob.
        comparison: The figures.
        seconds: How long the demo took.
    """

    artifact: Path
    static_folder: Path
    threshold: tuple[float, float]
    comparison: Comparison
    seconds: float
