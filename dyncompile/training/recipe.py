"""How a network is trained."""

from __future__ import annotations

__all__ = ["Recipe"]

import math
from dataclasses import dataclass
from numbers import Real
from typing import Literal

from dyncompile.errors import InputError

_LEAST = {"epochs": 1, "batch_size": 1, "seed": 0, "workers": 0}
_CHOICES = {"optimizer": ("sgd", "adamw"), "precision": ("float32", "bfloat16")}


@dataclass(frozen=True)
class Recipe:
    """The settings of one training.

    The learning rate rises to ``lr`` in the first third and falls again, and the momentum falls
    while it rises (one cycle; Smith and Topin, "Super-convergence", 2019).

    Attributes:
        epochs: How often each sample is seen.
        lr: Largest learning rate.
        batch_size: Samples of a step; the last step of an epoch has fewer, and is left out where
            it would have one.
        optimizer: ``sgd`` with Nesterov momentum, or ``adamw``.
        weight_decay: Of the weights and biases.
        seed: Of the order of the samples, and of everything random in the steps; from 0 to
            2**32 - 1.
        precision: ``bfloat16`` computes convolutions and products in it: about twice as fast
            on processors that have it, weights stay float32.
        workers: Processes that prepare batches; 0 prepares them in between the steps.

    Raises:
        InputError: a setting is out of its range.
    """

    epochs: int
    lr: float
    batch_size: int = 128
    optimizer: Literal["sgd", "adamw"] = "sgd"
    weight_decay: float = 5e-4
    seed: int = 0
    precision: Literal["float32", "bfloat16"] = "float32"
    workers: int = 0

    def __post_init__(self) -> None:
        for name, least in _LEAST.items():
            value = getattr(self, name)
            most = 2**32 - 1 if name == "seed" else math.inf
            if not isinstance(value, int) or not least <= value <= most:
                span = f"from {least} to 2**32 - 1" if name == "seed" else f"of at least {least}"
                raise _refused(name, value, f"Give a whole number {span}.")
        for name, values in _CHOICES.items():
            if (value := getattr(self, name)) not in values:
                raise _refused(name, value, f"Give {' or '.join(map(repr, values))}.")
        if not (_is_number(self.lr) and 0 < self.lr < math.inf):
            raise _refused("lr", self.lr, "Give a number above 0.")
        if not (_is_number(self.weight_decay) and 0 <= self.weight_decay < math.inf):
            raise _refused("weight_decay", self.weight_decay, "Give 0 or more.")


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _refused(name: str, value: object, remedy: str) -> InputError:
    return InputError(f"{value!r} cannot be used.", where=f"Recipe, {name}", remedy=remedy)
