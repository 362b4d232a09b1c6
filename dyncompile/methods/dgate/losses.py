"""What a gate is trained to make small."""

from __future__ import annotations

__all__ = ["LOSSES", "crammer_singer", "hinge"]

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot


def hinge(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the one-vs-rest hinge loss, ``sum_c max(0, 1 - y_c u_c)``, mean over samples.

    Args:
        logits: ``u``, ``float[N, classes]``.
        labels: ``int64[N]``; y_c is 1 for this class and -1 for all others.
    """
    sign = 2 * one_hot(labels, logits.shape[1]) - 1
    return (1 - sign * logits).clamp_min(0).sum(1).mean()


def crammer_singer(logits: Tensor, labels: Tensor) -> Tensor:
    """Return ``max(0, 1 + max_{c != y} u_c - u_y)``, mean over samples.

    Crammer and Singer, "On the algorithmic implementation of multiclass kernel-based vector
    machines", JMLR 2001.
    """
    own = logits.gather(1, labels[:, None])
    others = logits.scatter(1, labels[:, None], -torch.inf)
    return (1 + others.amax(1) - own[:, 0]).clamp_min(0).mean()


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "hinge": hinge,
    "crammer-singer": crammer_singer,
    "cross-entropy": cross_entropy,
}
