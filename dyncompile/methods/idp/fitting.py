"""Train an incomplete network: its profile is fixed, its layers are cut at random."""

from __future__ import annotations

__all__ = ["fit"]

import math
from collections.abc import Callable
from contextlib import ExitStack
from numbers import Real
from pathlib import Path
from typing import Any, Literal

from torch import Tensor
from torch.utils.data import Dataset

from dyncompile.errors import InputError
from dyncompile.methods.idp.network import IncompleteNet
from dyncompile.methods.idp.ranging import held_in_range
from dyncompile.methods.idp.truncating import Truncated, straight_gradients
from dyncompile.methods.idp.trying import check_incomplete, check_runs
from dyncompile.progress import Progress, untold
from dyncompile.training import Recipe, train
from dyncompile.training.options import check_progress, path_of

EPOCHS, LR = 20, 0.1
MEAN = 0.1
GRADIENTS = ("autograd", "released")


def fit(  # noqa: PLR0913 - one entry point, every option by name
    net: IncompleteNet,
    data: Dataset[Any],
    *,
    recipe: Recipe | None = None,
    truncation: Literal["exponential"] | float | None = "exponential",
    gradient: Literal["autograd", "released"] = "autograd",
    across: bool = False,
    augment: Callable[[Tensor], Tensor] | None = None,
    checkpoint: str | Path | None = None,
    progress: Progress | None = None,
) -> None:
    """Train a network in place, by cross-entropy; its profile stays as it is.

    In every step each incomplete layer reads a random part of its input, drawn by itself:
    ``1 - d`` of the channels, d from the exponential distribution, drawn again where it is above 1.

    With ranges, they are trained one after the other, each by the whole recipe, at its widest
    level or a random part of it. A range trains the weights between channels that it adds, and its
    own first and last layer; what the ranges before it compute stays as it is, to the bit.

    Normalisations learn the mean and variance of all widths mixed: ``recalibrate`` afterwards. The
    network is in evaluation mode then.

    Args:
        net: From ``convert``.
        data: Elements are a sample and its label, from 0 to classes - 1.
        recipe: Settings of the training; None takes 20 epochs at a learning rate of 0.1.
        truncation: Mean of d: ``exponential`` is 0.1. None cuts nothing.
        gradient: ``autograd`` is that of what is computed. ``released`` gives weights that
            of a complete layer without a profile, as the code of the paper does.
        across: With ranges, whether a range also trains the weights between channels it adds and
            earlier ones, which otherwise stay as they began.
        augment: Takes a batch of samples and returns another of its shape.
        checkpoint: File that the state of the training is kept in, to go on from; with ranges
            one for each, its number put before the suffix.
        progress: Called with the epoch, the steps done and all steps.

    Raises:
        InputError: an option is none of these, the network has weights for each level, or the
            data does not fit it.
        ArtifactError: the checkpoint cannot be read or written, or is of another training.
    """
    recipe = Recipe(epochs=EPOCHS, lr=LR) if recipe is None else recipe
    check_incomplete(net)
    check_progress(progress)
    file = path_of(checkpoint)
    mean = _mean(truncation)
    _check_options(net, gradient, across)
    check_runs(net, data)
    several = len(net.ranges) > 1
    with ExitStack() as stack:
        if gradient == "released":
            stack.enter_context(straight_gradients(net))
        for number, levels in enumerate(net.ranges):
            train(
                net,
                data,
                recipe,
                loss=Truncated(mean, levels[-1], gradient == "released"),
                augment=augment,
                held=held_in_range(net, number, across=across) if several else None,
                checkpoint=_of_range(file, number) if several else file,
                progress=_told(progress or untold, number) if several else progress,
            )
            for norm in net.norms():
                for level in levels[:-1]:
                    norm.learn_from(level, levels[-1])


def _of_range(checkpoint: Path | None, number: int) -> Path | None:
    if checkpoint is None:
        return None
    return checkpoint.with_name(f"{checkpoint.stem}.{number}{checkpoint.suffix}")


def _told(progress: Progress, number: int) -> Progress:
    return lambda part, done, total: progress(f"range {number + 1}, {part}", done, total)


# --- checks -----------------------------------------------------------------------------------


def _mean(truncation: object) -> float | None:
    if truncation is None:
        return None
    if truncation == "exponential":
        return MEAN
    is_number = isinstance(truncation, Real) and not isinstance(truncation, bool)
    if is_number and 0 < truncation < math.inf:  # type: ignore[operator]
        return float(truncation)  # type: ignore[arg-type]
    raise InputError(
        f"{truncation!r} is no way to cut layers.",
        where="truncation",
        remedy="Give 'exponential', the mean of what is cut such as 0.25, or None.",
    )


def _check_options(net: IncompleteNet, gradient: str, across: bool) -> None:
    if gradient not in GRADIENTS:
        raise InputError(
            f"there is no gradient of this name; there are {', '.join(GRADIENTS)}.",
            where=f"gradient {gradient!r}",
            remedy="Name one of these.",
        )
    if across and len(net.ranges) == 1:
        raise InputError(
            "there is one range of levels, so nothing leads across.",
            where="across",
            remedy="Leave it out, or convert with ranges=.",
        )
    if net.switchable:
        raise InputError(
            "each level has its own weights of normalisation, and layers cut by themselves are at"
            " no level.",
            where="net",
            remedy="Train it with fit_sandwich, or convert with norm='shared'.",
        )
