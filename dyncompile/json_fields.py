"""Fields of JSON that is read back: of the type they should have, and what is wrong if not."""

from __future__ import annotations

__all__ = ["reason", "want"]

import json
from typing import TypeVar

T = TypeVar("T")


def want(kind: type[T], value: object, what: str) -> T:
    """Return a value of the wanted type; bools are no numbers.

    Raises:
        ValueError: it has another type.
    """
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ValueError(f"{what} is {type(value).__name__}, not {kind.__name__}")  # noqa: TRY004
    return value


def reason(error: Exception) -> str:
    """Return what is wrong with a text, by the error that reading it raised."""
    if isinstance(error, KeyError):
        return f"{error.args[0]} is missing"
    if isinstance(error, (json.JSONDecodeError, UnicodeDecodeError)):
        return "it is not JSON"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    return str(error)
