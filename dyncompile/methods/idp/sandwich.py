"""Train all widths together: the sandwich rule of universally slimmable networks."""

from __future__ import annotations

__all__ = ["Sandwich", "fit_sandwich"]

from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import Dataset

from dyncompile.errors import InputError
from dyncompile.methods.idp.network import IncompleteNet
from dyncompile.methods.idp.trying import check_incomplete, check_runs
from dyncompile.progress import Progress
from dyncompile.training import Recipe, train
from dyncompile.training.loss import cross_entropy_of

EPOCHS, LR = 20, 0.1


def fit_sandwich(  # noqa: PLR0913 - one entry point, every option by name
    net: IncompleteNet,
    data: Dataset[Any],
    *,
    recipe: Recipe | None = None,
    middle: int = 2,
    distil: bool = True,
    augment: Callable[[Tensor], Tensor] | None = None,
    checkpoint: str | Path | None = None,
    progress: Progress | None = None,
) -> None:
    """Train a network in place, several widths in each step.

    Yu and Huang, "Universally slimmable networks and improved training techniques" (ICCV 2019):
    each step runs the widest level, the narrowest, and random widths between, all layers at one
    ratio, and follows the sum of their losses. The widest learns from the labels, the others from
    what the widest says of the batch (in-place distillation).

    With ``norm="switchable"`` the widths between are levels, drawn without repetition: each has
    weights of normalisation to train (Yu et al., "Slimmable neural networks", ICLR 2019).

    ``recalibrate`` afterwards. The network is in evaluation mode then.

    Args:
        net: From ``convert``, without ranges.
        data: Elements are a sample and its label, from 0 to classes - 1.
        recipe: Settings of the training; None takes 20 epochs at a learning rate of 0.1.
        middle: How many random widths a step has.
        distil: Whether narrower widths learn from the widest; otherwise from the labels too.
        augment: Takes a batch of samples and returns another of its shape.
        checkpoint: File that the state of the training is kept in, to go on from.
        progress: Called with the epoch, the steps done and all steps.

    Raises:
        InputError: an option is none of these, the network has ranges, or the data does not
            fit it.
        ArtifactError: the checkpoint cannot be read or written, or is of another training.
    """
    check_incomplete(net)
    _check_options(net, middle)
    check_runs(net, data)
    train(
        net,
        data,
        Recipe(epochs=EPOCHS, lr=LR) if recipe is None else recipe,
        loss=Sandwich(middle, distil),
        augment=augment,
        checkpoint=checkpoint,
        progress=progress,
    )
    if not net.switchable:
        for norm in net.norms():
            for level in range(1, len(net.ratios) - 1):
                norm.learn_from(level, -1)


@dataclass(frozen=True)
class Sandwich:
    """The sum of the losses of several widths.

    Attributes:
        middle: How many there are between the narrowest and the widest.
        distil: Whether the narrower learn from the widest.
    """

    middle: int
    distil: bool

    def __call__(self, net: nn.Module, batch: Tensor, labels: Tensor) -> Tensor:
        """Return ``float[]``, as ``train`` wants it."""
        assert isinstance(net, IncompleteNet)
        last = len(net.ratios) - 1
        widest = net.cut_to(batch, net.counts(last), last)
        loss = cross_entropy_of(widest, labels)
        wanted = widest.detach().float().softmax(1) if self.distil else labels
        for counts, level in self._narrower(net):
            logits = net.cut_to(batch, counts, level)
            loss = loss + cross_entropy(logits.float(), wanted)
        return loss

    def _narrower(self, net: IncompleteNet) -> list[tuple[list[int], int | None]]:
        """Return the narrowest width and some between: what layers keep, and the level it is."""
        last = len(net.ratios) - 1
        if not last:
            return []
        if net.switchable:
            drawn = (1 + torch.randperm(last - 1)[: self.middle]).tolist()
            return [(net.counts(level), level) for level in (0, *drawn)]
        low, high = net.ratios[0], net.ratios[-1]
        ratios = (low + (high - low) * torch.rand(self.middle)).tolist()
        between = [([layer.count(ratio) for layer in net.layers], None) for ratio in ratios]
        return [(net.counts(0), 0), *between]


def _check_options(net: IncompleteNet, middle: object) -> None:
    if isinstance(middle, bool) or not isinstance(middle, Integral) or middle < 0:
        raise InputError(
            f"{middle!r} is no number of widths.",
            where="middle",
            remedy="Give 0 or more, such as 2.",
        )
    if len(net.ranges) > 1:
        raise InputError(
            "its ranges are trained one after the other, not together.",
            where="net",
            remedy="Train it with fit, or convert without ranges.",
        )
