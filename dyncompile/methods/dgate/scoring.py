"""What the gates of a network say of a dataset."""

from __future__ import annotations

__all__ = ["Said", "ask"]

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from dyncompile.errors import InputError
from dyncompile.methods.dgate.features import exit_macs
from dyncompile.methods.dgate.gates import DecisionGates
from dyncompile.methods.dgate.labels import class_numbers
from dyncompile.modules import evaluating
from dyncompile.progress import Progress
from dyncompile.training.batches import fetch
from dyncompile.training.predicting import in_batches


@dataclass(frozen=True)
class Said:
    """What K gates and the end of the network say of N samples.

    Attributes:
        sureness: Scores of the gates, turned so that they grow with sureness, ``float32[N, K]``.
        right: Whether each exit gives the label, the end last, ``bool[N, K + 1]``.
        costs: Of leaving at each exit, as a share of the dense network's MACs,
            ``float64[K + 1]``.
        labels: ``int64[N]``.
    """

    sureness: NDArray[np.float32]
    right: NDArray[np.bool_]
    costs: NDArray[np.float64]
    labels: NDArray[np.int64]


def ask(
    net: DecisionGates,
    data: Dataset[Any],
    *,
    batch_size: int = 256,
    workers: int = 0,
    progress: Progress | None = None,
) -> Said:
    """Run all gates on all samples, in evaluation mode.

    Raises:
        InputError: there are no samples with labels, a label is not the number of a class, or a
            score is infinite.
    """

    def answers(x: Tensor) -> tuple[Tensor, Tensor]:
        heads = net.heads(x.to(net.table.device))
        sureness = torch.stack([net.score.sureness(score) for score in net.scores(heads)], 1)
        return sureness, torch.stack([logits.argmax(1) for logits in heads], 1)

    with evaluating(net):
        (sureness, classes), labels = in_batches(
            answers, data, batch_size=batch_size, workers=workers, progress=progress
        )
    known = net.gates[0].out_features
    assert isinstance(known, int)
    labels = class_numbers(labels, known)
    _check_finite(sureness)
    example = fetch(data, [0])[0].to(net.table.device)
    macs = np.array(exit_macs(net, example), np.float64)
    right = classes == labels[:, None]
    return Said(sureness.numpy(), right.numpy(), macs / macs[-1], labels.numpy())


def _check_finite(sureness: Tensor) -> None:
    infinite = (sureness == torch.inf).nonzero()
    if len(infinite):
        sample, gate = infinite[0].tolist()
        raise InputError(
            f"the score of gate {gate + 1} is infinite on sample {sample}.",
            where="data",
            remedy="Check the features there, or take another score, such as softmax.",
        )
