"""What a training makes small, and where a model is."""

from __future__ import annotations

__all__ = ["Loss", "cross_entropy", "cross_entropy_of", "device_of"]

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from dyncompile.errors import InputError, one_line

Loss = Callable[[nn.Module, Tensor, Tensor], Tensor]


def cross_entropy(model: nn.Module, batch: Tensor, labels: Tensor) -> Tensor:
    """Return the mean cross-entropy of the logits ``float[N, classes]`` that a model gives.

    Raises:
        InputError: the labels do not fit the logits.
    """
    return cross_entropy_of(model(batch), labels)


def cross_entropy_of(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the mean cross-entropy of logits ``float[N, classes]``.

    Raises:
        InputError: the labels do not fit them.
    """
    if labels.is_floating_point():
        kind = f"{str(labels.dtype).removeprefix('torch.')}{list(labels.shape)}"
        raise InputError(
            f"the labels are {kind}, not numbers of classes.",
            where="labels",
            remedy="Give one whole number per sample, from 0 to classes - 1.",
        )
    try:
        return F.cross_entropy(logits.float(), labels)
    except (AttributeError, IndexError, RuntimeError, ValueError) as error:
        shape = list(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise InputError(
            f"the labels do not fit what the model gives, {shape}: {one_line(error)}.",
            where="labels",
            remedy="Give labels from 0 to classes - 1, and a model that gives float[N, classes].",
        ) from error


def device_of(module: nn.Module) -> torch.device:
    """Return where the first parameter of a module is; the CPU if it has none."""
    return next((each.device for each in module.parameters()), torch.device("cpu"))
