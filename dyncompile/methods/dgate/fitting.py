"""Train the gates: alone, on the features of the frozen backbone, or everything at once."""

from __future__ import annotations

__all__ = ["fit"]

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import Dataset

from dyncompile.errors import InputError
from dyncompile.methods.dgate.gates import DecisionGates
from dyncompile.methods.dgate.labels import class_numbers
from dyncompile.methods.dgate.losses import LOSSES
from dyncompile.progress import Progress
from dyncompile.training import Recipe, in_batches, train
from dyncompile.training.options import check_augment, check_progress, check_recipe, path_of

_STEPS = 2000


def fit(  # noqa: PLR0913 - one entry point, every option by name
    net: DecisionGates,
    data: Dataset[Any],
    *,
    recipe: Recipe | None = None,
    loss: Literal["hinge", "crammer-singer", "cross-entropy"] = "hinge",
    joint: Sequence[float] | None = None,
    augment: Callable[[Tensor], Tensor] | None = None,
    checkpoint: str | Path | None = None,
    batch_size: int = 256,
    workers: int = 0,
    progress: Progress | None = None,
) -> None:
    """Train the gates of a network in place.

    Each gate is trained by itself, as a linear classifier on what the frozen backbone gives in
    evaluation mode; that is computed once. The features are brought to mean 0 and standard
    deviation 1 for it, over the root of their number, so that one learning rate suits few and
    many; the weights are brought back afterwards. Nothing of the backbone changes.

    With ``joint``, everything that requires gradients is trained at once, the backbone too, with
    the weighted sum of the exits' cross-entropies (BranchyNet; Teerapittayanon, McDanel and Kung,
    2016). The network is in evaluation mode afterwards.

    The levels of effort go back to none and all: calibrate afterwards.

    Args:
        net: From ``convert``.
        data: Elements are a sample and its label, from 0 to classes - 1.
        recipe: Settings of the training. None takes what suits the gates, or with ``joint``, 20
            epochs at a learning rate of 0.02.
        loss: Of the gates alone: ``hinge``, one against the rest; ``crammer-singer``, the class
            against the best other; or ``cross-entropy``.
        joint: Weight of each gate, then of the backbone's own answer: K + 1 positive numbers.
        augment: For ``joint``: takes a batch and returns another of its shape.
        checkpoint: File that the state of the training is kept in, to go on from.
        batch_size: Largest number of samples that the frozen backbone runs at once; the training
            itself goes by the recipe.
        workers: Processes that prepare these batches; 0 prepares them in between.
        progress: Called with a step's name, what is done and what there is to do.

    Raises:
        InputError: the options do not fit each other, or the data not the network.
        ArtifactError: the checkpoint cannot be read or written, or is of another training.
    """
    _check_options(loss, joint, augment)
    if recipe is not None:
        check_recipe(recipe)
    check_augment(augment)
    check_progress(progress)
    file = path_of(checkpoint)
    if joint is None:
        said = in_batches(
            net.features, data, batch_size=batch_size, workers=workers, progress=progress
        )
        _fit_alone(net, said, recipe, LOSSES[loss], file, progress)
        net.reset_levels()
        return
    recipe = Recipe(epochs=20, lr=0.02) if recipe is None else recipe
    weighted = _WeightedSum(_checked(joint, net))
    net.reset_levels()
    train(
        net,
        data,
        recipe,
        loss=weighted,
        augment=augment,
        checkpoint=file,
        progress=progress,
    )


def _fit_alone(
    net: DecisionGates,
    said: tuple[Sequence[Tensor], Tensor],
    recipe: Recipe | None,
    of_gate: Callable[[Tensor, Tensor], Tensor],
    checkpoint: Path | None,
    progress: Progress | None,
) -> None:
    """Train on what ``net.features`` gave, and the labels."""
    (*features, logits), given = said
    labels = class_numbers(given, logits.shape[1])
    means, scales = zip(*map(_mean_and_scale, features), strict=True)
    parts = zip(features, means, scales, strict=True)
    standard = torch.cat([((z.double() - mean) * scale).float() for z, mean, scale in parts], 1)
    alone = _Alone([z.shape[1] for z in features], logits.shape[1])

    def summed(model: nn.Module, batch: Tensor, labels: Tensor) -> Tensor:
        return torch.stack([of_gate(each, labels) for each in model(batch)]).sum()

    train(
        alone.to(net.table.device),
        _Features(standard, labels),
        _recipe(len(labels)) if recipe is None else recipe,
        loss=summed,
        checkpoint=checkpoint,
        progress=progress,
    )
    for gate, trained, mean, scale in zip(net.gates, alone.gates, means, scales, strict=True):
        _fold(gate, trained, mean, scale)


def _mean_and_scale(features: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean of each feature, and what brings its deviation to 1 over their root.

    What is constant is left out: what remains of it is rounding.
    """
    features = features.double()
    if not features.isfinite().all():
        raise InputError(
            "the backbone gives features that are infinite or NaN.",
            where="data",
            remedy="Look for samples that are not finite, or for weights that are not.",
        )
    mean, std = features.mean(0), features.std(0, correction=0)
    varies = std > 1e-6 * mean.abs()
    root = math.sqrt(features.shape[1])
    return mean, torch.where(varies, 1 / (root * std.where(varies, 1)), 0)


def _recipe(samples: int) -> Recipe:
    """Return what suits linear gates on features of unit length: some thousand steps."""
    size = 128
    epochs = math.ceil(_STEPS / math.ceil(samples / size))
    return Recipe(min(max(epochs, 10), 200), 0.5, size, "adamw", weight_decay=0.01)


class _Alone(nn.Module):
    """Linear gates side by side, at zero in the beginning: each learns by itself."""

    def __init__(self, widths: Sequence[int], classes: int) -> None:
        super().__init__()
        self.widths = list(widths)
        with torch.random.fork_rng(devices=()):  # their first weights are not wanted
            self.gates = nn.ModuleList(nn.Linear(width, classes) for width in widths)
        for parameter in self.parameters():
            nn.init.zeros_(parameter)

    def forward(self, features: Tensor) -> list[Tensor]:
        parts = torch.split(features, self.widths, 1)
        return [gate(part) for gate, part in zip(self.gates, parts, strict=True)]


class _Features(Dataset[tuple[Tensor, Tensor]]):
    """Features and labels, handed out in whole batches."""

    def __init__(self, features: Tensor, labels: Tensor) -> None:
        self.features, self.labels = features, labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.features[index], self.labels[index]

    def __getitems__(self, indices: list[int]) -> tuple[Tensor, Tensor]:
        chosen = torch.tensor(indices)
        return self.features[chosen], self.labels[chosen]


def _fold(gate: nn.Module, trained: nn.Module, mean: Tensor, scale: Tensor) -> None:
    """Write weights that were trained on ``(x - mean) * scale`` so that they take ``x``."""
    assert isinstance(gate, nn.Linear)
    assert isinstance(trained, nn.Linear)
    weight = trained.weight.detach().cpu().double() * scale
    with torch.no_grad():
        gate.weight.copy_(weight)
        gate.bias.copy_(trained.bias.detach().cpu().double() - weight @ mean)


@dataclass(frozen=True)
class _WeightedSum:
    """The cross-entropies of all exits, each with its weight."""

    weights: Sequence[float]

    def __call__(self, net: nn.Module, batch: Tensor, labels: Tensor) -> Tensor:
        assert isinstance(net, DecisionGates)
        heads = net.heads(batch)
        wanted = class_numbers(labels, heads[-1].shape[1])
        losses = [cross_entropy(logits.float(), wanted) for logits in heads]
        return torch.stack([w * each for w, each in zip(self.weights, losses, strict=True)]).sum()


# --- checks -----------------------------------------------------------------------------------


def _check_options(loss: str, joint: object, augment: object) -> None:
    if loss not in LOSSES:
        raise InputError(
            f"there is no loss of this name; there are {', '.join(LOSSES)}.",
            where=f"loss {loss!r}",
            remedy="Name one of these.",
        )
    if joint is None and augment is not None:
        raise InputError(
            "the features of the frozen backbone are computed once, of the data as it is.",
            where="augment",
            remedy="Leave it out, or train everything with joint=.",
        )
    if joint is not None and loss == "crammer-singer":
        raise InputError(
            "with joint=, every exit has the cross-entropy.",
            where=f"loss {loss!r}",
            remedy="Leave it out, or train the gates alone.",
        )


def _checked(joint: Sequence[float], net: DecisionGates) -> list[float]:
    """Return the weights of the exits."""
    count = len(net.gates) + 1
    try:
        weights = [float(weight) for weight in joint]
    except (TypeError, ValueError):
        weights = []
    if len(weights) != count or not all(0 < weight < math.inf for weight in weights):
        raise InputError(
            f"{joint!r} does not weigh {count} exits.",
            where="joint",
            remedy=f"Give {count} positive numbers: one per gate, then the backbone's.",
        )
    return weights
