"""How sure a gate is: scores of its logits, and which side of a threshold lets a sample out."""

from __future__ import annotations

__all__ = ["SCORES", "Score", "score_from_name"]

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dyncompile.errors import InputError

Numbers = TypeVar("Numbers", Tensor, NDArray[np.floating], float)

_Formula = Callable[[Tensor, Tensor, Sequence[Tensor]], Tensor]


@dataclass(frozen=True)
class Score:
    """A score of a gate's logits, and what it fires at.

    Attributes:
        name: ``margin``, ``distance``, ``softmax``, ``entropy`` or ``patience``.
        formula: See ``__call__``.
        low: Smallest value it has.
        high: Largest value it has.
        grows: Whether it grows with sureness. Then a gate fires at or above its threshold,
            otherwise at or below.
    """

    name: str
    formula: _Formula
    low: float
    high: float
    grows: bool = True

    @property
    def always(self) -> float:
        """The threshold at which a gate fires whatever the score is."""
        return -math.inf if self.grows else math.inf

    @property
    def never(self) -> float:
        """The threshold at which no gate fires."""
        return -self.always

    def __call__(self, logits: Tensor, weight: Tensor, earlier: Sequence[Tensor] = ()) -> Tensor:
        """Return the score of each sample, ``float32[N]``; NaN where all logits are NaN.

        It is computed in float32 from what may be of another precision.

        Args:
            logits: Of this gate, ``float[N, classes]``.
            weight: Of this gate, ``float[classes, features]``.
            earlier: Logits of the gates before, in their order.
        """
        return self.formula(logits.float(), weight.float(), earlier)

    def fires(self, score: Tensor, threshold: Tensor | float) -> Tensor:
        """Return whether the gate lets each sample out, ``bool[N]``. NaN never does."""
        return score >= threshold if self.grows else score <= threshold

    def stricter(self, one: Tensor, other: Tensor) -> Tensor:
        """Return the threshold that a score passes only if it passes both."""
        return torch.maximum(one, other) if self.grows else torch.minimum(one, other)

    def sureness(self, values: Numbers) -> Numbers:
        """Turn scores, or thresholds, into numbers that grow with sureness; and back."""
        return values if self.grows else -values


def score_from_name(name: str) -> Score:
    """Return the score of this name.

    Raises:
        InputError: there is none.
    """
    if name not in SCORES:
        raise InputError(
            f"there is no score of this name; there are {', '.join(SCORES)}.",
            where=f"score {name!r}",
            remedy="Name one of these.",
        )
    return SCORES[name]


def _margin(logits: Tensor, weight: Tensor, earlier: Sequence[Tensor]) -> Tensor:
    """Return the largest one-vs-rest margin."""
    del weight, earlier
    return logits.amax(-1)


def _distance(logits: Tensor, weight: Tensor, earlier: Sequence[Tensor]) -> Tensor:
    """Return the largest signed distance from a class's hyperplane, among the features."""
    del earlier
    norm = weight.square().sum(-1).sqrt()
    return (logits / norm.clamp_min(torch.finfo(norm.dtype).tiny)).amax(-1)


def _softmax(logits: Tensor, weight: Tensor, earlier: Sequence[Tensor]) -> Tensor:
    """Return the largest probability."""
    del weight, earlier
    return logits.softmax(-1).amax(-1)


def _entropy(logits: Tensor, weight: Tensor, earlier: Sequence[Tensor]) -> Tensor:
    """Return the entropy of the probabilities in nats (BranchyNet, 2016)."""
    del weight, earlier
    logs = logits.log_softmax(-1)
    return -(logs.exp() * logs).sum(-1)


def _patience(logits: Tensor, weight: Tensor, earlier: Sequence[Tensor]) -> Tensor:
    """Return how many gates directly before gave the same class (after PABEE, 2020)."""
    del weight
    classes = [u.argmax(-1) for u in (*earlier, logits)]
    best = logits.amax(-1)
    count = torch.zeros_like(best)
    for before, after in itertools.pairwise(classes):
        count = torch.where(before == after, count + 1, 0)
    return torch.where(best.isnan(), best, count)


SCORES = {
    score.name: score
    for score in (
        Score("margin", _margin, -math.inf, math.inf),
        Score("distance", _distance, -math.inf, math.inf),
        Score("softmax", _softmax, 0, 1),
        Score("entropy", _entropy, 0, math.inf, grows=False),
        Score("patience", _patience, 0, math.inf),
    )
}
