"""Knobs, and values of them, as they stand in a manifest."""

from __future__ import annotations

__all__ = ["knob_from_entry", "value_from_entry"]

from collections.abc import Sequence
from typing import Any

from dyncompile.errors import KnobError
from dyncompile.json_fields import count, number, one_of, quoted, want
from dyncompile.knobs import Knob, Levels, Threshold

_WHOLE = 2**53  # up to it, every whole number is a float


def knob_from_entry(name: str, entry: object) -> Knob:
    """Read a knob.

    Raises:
        KeyError: something is missing.
        ValueError: something is not what it has to be.
    """
    what = f"the knob {quoted(name)}"
    found = want(dict, entry, what)
    kind = one_of(("levels", "threshold"), found["kind"], f"the kind of {what}")
    return _levels(found, what) if kind == "levels" else _threshold(found, what)


def value_from_entry(name: str, knob: Knob, entry: object) -> int | float | Sequence[float]:
    """Read the value that a knob has at an operating point.

    Raises:
        ValueError: the knob cannot have it.
    """
    what = f"the value of {quoted(name)} at an operating point"
    if isinstance(knob, Levels):
        level = count(entry, what)
        if level >= len(knob.values):
            raise ValueError(f"{what} is {level}; the knob has {len(knob.values)} levels")
        return level
    value = _numbers(entry, what)
    try:
        knob.array(name, value)
    except KnobError as error:
        raise ValueError(f"{what} is out of range") from error
    return list(value) if isinstance(value, tuple) else value


def _levels(found: dict[str, Any], what: str) -> Levels:
    values = want(list, found["values"], f"the levels of {what}")
    levels = tuple(_level(value, f"a level of {what}") for value in values)
    default = count(found["default"], f"the default of {what}")
    if default >= len(levels):
        raise ValueError(f"the default of {what} is {default}; it has {len(levels)} levels")
    return Levels(levels, default)


def _level(value: object, what: str) -> float | str:
    if isinstance(value, str):
        return value
    rounded = number(value, what)
    return int(rounded) if isinstance(value, int) and abs(rounded) <= _WHOLE else rounded


def _threshold(found: dict[str, Any], what: str) -> Threshold:
    default = _numbers(found["default"], f"the default of {what}")
    low, high = number(found["low"], f"low of {what}"), number(found["high"], f"high of {what}")
    if low > high:
        raise ValueError(f"the range of {what} is empty")
    try:
        return Threshold(default, low, high)
    except KnobError as error:
        raise ValueError(f"the default of {what} is out of range") from error


def _numbers(entry: object, what: str) -> float | tuple[float, ...]:
    if not isinstance(entry, list):
        return number(entry, what)
    if not entry:
        raise ValueError(f"{what} is empty")
    return tuple(number(one, what) for one in entry)
