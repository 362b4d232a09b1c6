"""What the exits of a network with decision gates say of images, in PyTorch and in the artifact."""

from __future__ import annotations

__all__ = ["Answers", "Ran", "answers_of", "exit_of", "ran"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

import dyncompile
from dyncompile.data import Images
from dyncompile.methods.dgate import DecisionGates
from dyncompile.methods.dgate.thresholds import Outcome, outcome
from dyncompile.progress import Progress, untold
from dyncompile.training import in_batches


@dataclass(frozen=True)
class Answers:
    """What each of K + 1 exits says of N images, wherever they leave.

    Attributes:
        classes: ``int64[N, K + 1]``, the last column that of the dense network.
        right: Whether it is the label, ``bool[N, K + 1]``.
        sureness: Of the gates, ``float32[N, K]``.
    """

    classes: NDArray[np.int64]
    right: NDArray[np.bool_]
    sureness: NDArray[np.float32]

    def at(self, net: DecisionGates, level: int, costs: Sequence[float]) -> Outcome:
        """Return what a level of effort makes of the images.

        Args:
            net: Whose answers these are.
            level: Its number.
            costs: Of each exit.
        """
        thresholds = net.score.sureness(net.table[level].cpu().numpy())
        return outcome(self.sureness, self.right, costs, thresholds)


def answers_of(net: DecisionGates, images: Images, progress: Progress = untold) -> Answers:
    """Ask every exit."""
    heads, labels = in_batches(net.heads, images, progress=progress)
    classes = np.stack([logits.argmax(-1).numpy() for logits in heads], 1)
    with torch.no_grad():
        scores = np.stack([score.numpy() for score in net.scores(heads)], 1)
    return Answers(classes, classes == labels.numpy()[:, None], net.score.sureness(scores))


@dataclass(frozen=True)
class Ran:
    """What the artifact made of images, one call each.

    Attributes:
        exits: Where each left, ``int64[N]``.
        classes: What it said, ``int64[N]``.
    """

    exits: NDArray[np.int64]
    classes: NDArray[np.int64]


def ran(artifact: Path, images: Images, level: int, progress: Progress = untold) -> Ran:
    """Run the artifact at a level of effort."""
    net = dyncompile.load(artifact, threads=1)
    pixels = images.floats().numpy()
    exits, classes = [], []
    for number in range(len(pixels)):
        logits, path = net.trace(pixels[number : number + 1], effort=level)
        exits.append(exit_of(path, len(net.decisions)))
        classes.append(int(np.asarray(logits).argmax()))
        progress("images", number + 1, len(pixels))
    return Ran(np.array(exits), np.array(classes))


def exit_of(path: Mapping[str, int], gates: int) -> int:
    """Return the number of the exit at the end of a path: that of the gate that fired, or K."""
    fired = [int(name.removeprefix("gate")) - 1 for name, option in path.items() if option == 1]
    return fired[0] if fired else gates
