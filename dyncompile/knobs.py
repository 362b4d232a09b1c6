"""Knobs: the run-time inputs that scale an artifact.

A knob is declared beside the model (its ``knobs`` attribute) and becomes an ordinary graph
input of every artifact; its range and default travel in the manifest.
"""

from __future__ import annotations

__all__ = ["Knob", "Levels", "Threshold", "knob_from_spec"]

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral

import numpy as np
from numpy.typing import NDArray

from dyncompile.errors import KnobError


@dataclass(frozen=True)
class Levels:
    """An index into an ordered list: budgets, effort, precision modes.

    The graph input is ``int64[]``, the index of the level.

    Args:
        values: What each level stands for, in order; at least one.
        default: Index of the level used when the caller names none; negative counts from the end.

    Raises:
        KnobError: no values, or the default is not one of their indices.
    """

    values: tuple[float | str, ...]
    default: int = -1

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", tuple(self.values))
        count = len(self.values)
        if not count:
            raise KnobError(
                "a Levels knob needs at least one value.",
                where="Levels([])",
                remedy="Name one value per level.",
            )
        is_index = isinstance(self.default, Integral) and not isinstance(self.default, bool)
        if not is_index or not -count <= self.default < count:
            raise KnobError(
                f"the default {self.default!r} is not an index of {count} values.",
                where=f"Levels({list(self.values)})",
                remedy=f"Give an index from 0 to {count - 1}.",
            )
        object.__setattr__(self, "default", int(self.default) % count)

    @property
    def dtype(self) -> np.dtype[np.int64]:
        """Element type of the graph input."""
        return np.dtype(np.int64)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the graph input."""
        return ()

    def array(self, name: str, value: object = None) -> NDArray[np.int64]:
        """Return the value as the graph input ``int64[]``; None is the default.

        Raises:
            KnobError: not a whole number, or not an index of ``values``.
        """
        if value is None:
            return np.asarray(self.default, np.int64)
        try:
            level = np.asarray(value)
        except ValueError:
            level = np.empty(0)
        last = len(self.values) - 1
        if level.size != 1 or level.dtype.kind not in "iu" or not 0 <= int(level.item()) <= last:
            raise KnobError(
                f"{value!r} is not a level.",
                where=f"knob {name!r}",
                remedy=f"Give a whole number from 0 to {last}.",
            )
        return level.astype(np.int64).reshape(())

    def to_json(self) -> dict[str, object]:
        """Return the entry of the manifest."""
        return {"kind": "levels", "values": list(self.values), "default": self.default}


@dataclass(frozen=True)
class Threshold:
    """A score to compare with, or one per decision.

    The graph input is ``float32[]``, or ``float32[K]`` when the default lists K values.
    Infinities are always legal: they mean always or never. NaN never is. The range is one of
    float32: a number is in range if it is as float32, between the ends as float32.

    Args:
        default: The value used when the caller names none.
        low: Smallest finite value accepted.
        high: Largest finite value accepted.

    Raises:
        KnobError: the range is empty, or the default lies outside it.
    """

    default: float | tuple[float, ...]
    low: float = -math.inf
    high: float = math.inf

    def __post_init__(self) -> None:
        default = np.asarray(self.default, np.float64)
        if default.ndim > 1 or default.size == 0:
            raise KnobError(
                f"the default has shape {list(default.shape)}.",
                where="Threshold",
                remedy="Give one number, or a flat list with one number per decision.",
            )
        value = float(default) if default.ndim == 0 else tuple(map(float, default))
        object.__setattr__(self, "default", value)
        object.__setattr__(self, "low", float(self.low))
        object.__setattr__(self, "high", float(self.high))
        if not self.low <= self.high:
            raise KnobError(
                f"the range from {self.low} to {self.high} is empty.",
                where="Threshold",
                remedy="Give low <= high.",
            )
        self.array("default", self.default)

    @property
    def dtype(self) -> np.dtype[np.float32]:
        """Element type of the graph input."""
        return np.dtype(np.float32)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the graph input."""
        return () if isinstance(self.default, float) else (len(self.default),)

    def array(self, name: str, value: object = None) -> NDArray[np.float32]:
        """Return the value as the graph input; None is the default.

        One number is accepted for a vector of thresholds and is used for every decision.

        Raises:
            KnobError: not a number, NaN, of another length, or out of range.
        """
        if value is None:
            return np.asarray(self.default, np.float32)
        try:
            given = np.asarray(value, np.float64)
        except (TypeError, ValueError):
            given = np.asarray(math.nan)
        if (given.size == 1 or given.shape == self.shape) and not np.isnan(given).any():
            numbers, low, high = (_as_float32(ends) for ends in (given, self.low, self.high))
            in_range = np.isfinite(numbers) & (numbers >= low) & (numbers <= high)
            if (np.isinf(given) | in_range).all():
                if given.size == 1:
                    numbers = np.broadcast_to(numbers.reshape(()), self.shape)
                return numbers.copy()
        count = f"{self.shape[0]} numbers" if self.shape else "one number"
        raise KnobError(
            f"{value!r} is not a threshold.",
            where=f"knob {name!r}",
            remedy=f"Give {count} from {self.low:g} to {self.high:g}, or an infinity.",
        )

    def to_json(self) -> dict[str, object]:
        """Return the entry of the manifest; infinities are written as strings."""
        default = self.default
        return {
            "kind": "threshold",
            "default": _number(default)
            if isinstance(default, float)
            else [_number(value) for value in default],
            "low": _number(self.low),
            "high": _number(self.high),
        }


Knob = Levels | Threshold


_SPEC = re.compile(r"(?P<name>\w+)=(?P<kind>levels|threshold)\((?P<args>[^()]*)\)")


def knob_from_spec(spec: str) -> tuple[str, Knob]:
    """Read a knob as written on the command line.

    ``level=levels(0.25,0.5,1;default=2)`` or ``t=threshold(0.8;low=0;high=1)``; several
    numbers in ``threshold(...)`` make a vector.

    Raises:
        KnobError: the text has another form.
    """
    found = _SPEC.fullmatch(spec.strip())
    if found:
        positional, *keywords = found["args"].split(";")
        options = dict(word.split("=", 1) for word in keywords if "=" in word)
        options = {key.strip(): value for key, value in options.items()}
        texts = [text.strip() for text in positional.split(",") if text.strip()]
        try:
            if len(options) == len(keywords) and texts:
                return found["name"], _knob_from_words(found["kind"], texts, options)
        except ValueError:
            pass
    raise KnobError(
        f"{spec!r} does not describe a knob.",
        where="--knob",
        remedy="Write NAME=levels(0.5,1;default=1) or NAME=threshold(0.8;low=0;high=1).",
    )


def _knob_from_words(kind: str, texts: list[str], options: Mapping[str, str]) -> Knob:
    known = {"levels": {"default"}, "threshold": {"low", "high"}}[kind]
    if set(options) - known:
        raise ValueError(kind)
    if kind == "levels":
        return Levels(tuple(map(_level, texts)), int(options.get("default", -1)))
    numbers = tuple(map(float, texts))
    low, high = options.get("low", "-inf"), options.get("high", "inf")
    return Threshold(numbers[0] if len(numbers) == 1 else numbers, float(low), float(high))


def _level(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _as_float32(numbers: object) -> NDArray[np.float32]:
    """Return numbers as the graph sees them; beyond what float32 holds, infinities."""
    given = np.asarray(numbers, np.float64)
    is_beyond = np.abs(given) > np.finfo(np.float32).max
    infinite = np.copysign(np.inf, given)
    return np.where(is_beyond, infinite, given).astype(np.float32)


def _number(value: float) -> float | str:
    return value if math.isfinite(value) else str(value)
