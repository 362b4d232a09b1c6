"""What a calibration is asked for: checked, and whether the data can show it."""

from __future__ import annotations

__all__ = ["Asked", "Target", "check_enough", "targets_from"]

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from dyncompile.errors import InputError
from dyncompile.methods.paired import needed_for

Asked = float | Iterable[float]
Kind = Literal["drop", "accuracy", "macs"]


@dataclass(frozen=True)
class Target:
    """One thing asked for.

    Attributes:
        kind: ``drop`` or ``accuracy`` to keep to with confidence, or ``macs`` to stay under.
        amount: A share, between 0 and 1.
    """

    kind: Kind
    amount: float

    def __str__(self) -> str:
        return f"{self.kind} {self.amount:g}"

    @property
    def where(self) -> str:
        """The argument, as it was given."""
        return f"{self.kind}={self.amount:g}"


def targets_from(drop: Asked, accuracy: Asked, macs: Asked) -> tuple[Target, ...]:
    """Return what was asked for, in this order.

    Raises:
        InputError: nothing was, or it is no share.
    """
    asked: tuple[tuple[Kind, Asked], ...] = (
        ("drop", drop),
        ("accuracy", accuracy),
        ("macs", macs),
    )
    targets = [Target(kind, amount) for kind, given in asked for amount in _amounts(kind, given)]
    if not targets:
        raise InputError(
            "nothing is asked for.",
            where="calibrate",
            remedy="Give drop=0.02, accuracy=0.9 or macs=0.5, or several of each.",
        )
    return tuple(dict.fromkeys(targets))


def check_enough(target: Target, confidence: float, measured: int, groups: int | None) -> None:
    """Refuse what no outcome on so many samples could show.

    Args:
        target: A drop, or a floor of accuracy.
        confidence: To show it with.
        measured: Samples that measure.
        groups: How many groups they are in; None if each is its own.

    Raises:
        InputError: even if no sample were lost, or wrong, they would be too few.
    """
    allowed = target.amount if target.kind == "drop" else 1 - target.amount
    needed = needed_for(allowed, confidence)
    if (measured if groups is None else groups) >= needed:
        return
    unit = "samples" if groups is None else "groups"
    raise InputError(
        f"{measured if groups is None else groups} {unit} that measure (half of the data) cannot"
        f" show it with {100 * confidence:g} % confidence, even without a mistake.",
        where=target.where,
        remedy=f"Give {2 * needed} {unit} or more, or ask for less.",
    )


def _amounts(kind: Kind, given: object) -> list[float]:
    is_one = isinstance(given, str) or not getattr(given, "ndim", 1)
    several: Iterable[Any] = given if isinstance(given, Iterable) and not is_one else [given]
    amounts = []
    for amount in several:
        try:
            number = math.nan if isinstance(amount, (bool, str)) else float(amount)
        except (TypeError, ValueError):
            number = math.nan
        if not (0 < number < 1 or (kind == "macs" and number == 1)):
            raise InputError(
                "it has to be a share of 1.",
                where=f"{kind}={amount!r}",
                remedy="Give a number above 0 and below 1: 0.02 is two points."
                if kind != "macs"
                else "Give a number above 0 and at most 1: 0.5 is half of the dense network's.",
            )
        amounts.append(number)
    return amounts
