"""JSON that is read back: strictly, field by field, and what is wrong if it is not as it should be.

The C++ library reads the same texts by the same rules, and refuses them in the same words.
"""

from __future__ import annotations

__all__ = ["Text", "count", "digest", "number", "one_of", "parse", "quoted", "reason", "want"]

import json
import math
import re
from typing import Any, TypeVar, cast

T = TypeVar("T")

Text = str | bytes  # UTF-8

_DEEPEST = 64
_DIGITS_OF_64_BITS = 20  # and sign
_ESCAPES = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    r"|(?P<lone>\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
    r"|\\.",
    re.DOTALL,
)
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")
_SHA256 = re.compile("[0-9a-f]{64}")
_BRACKETS = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?|[\[{]|[\]}]', re.DOTALL)


def parse(text: Text) -> object:
    """Read JSON, as RFC 8259 has it.

    Refused besides: two fields of one name, numbers that 64 bits do not hold, half of a surrogate
    pair, more than 64 objects and lists inside of each other.

    Raises:
        ValueError: it is something else; ``reason`` says what.
    """
    if isinstance(text, bytes):
        text = text.decode()
    text.encode()
    if any(escape["lone"] for escape in _ESCAPES.finditer(text)):
        raise ValueError("its text is not Unicode")
    if _depth(text) > _DEEPEST:
        raise ValueError("it is nested too deeply")
    return json.loads(
        text,
        parse_int=_whole,
        parse_float=_finite,
        parse_constant=_constant,
        object_pairs_hook=_object,
    )


def want(kind: type[T], value: object, what: str) -> T:
    """Return a value of the wanted type; bools are no numbers.

    Raises:
        ValueError: it has another type.
    """
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ValueError(f"{what} is {type(value).__name__}, not {kind.__name__}")  # noqa: TRY004
    return value


def count(value: object, what: str) -> int:
    """Return a whole number that is not negative.

    Raises:
        ValueError: it is something else.
    """
    found = want(int, value, what)
    if found < 0:
        raise ValueError(f"{what} is {found}")
    return found


def digest(value: object) -> str:
    """Return a sha256.

    Raises:
        ValueError: it is something else.
    """
    found = want(str, value, "sha256")
    if not _SHA256.fullmatch(found):
        raise ValueError(f"sha256 is {quoted(found)}")
    return found


def number(value: object, what: str) -> float:
    """Return a number; infinities are strings.

    Raises:
        ValueError: it is something else.
    """
    if isinstance(value, str):
        if value not in {"inf", "-inf"}:
            raise ValueError(f"{what} is {quoted(value)}, not a number")
        return float(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"{what} is {type(value).__name__}, not a number")  # noqa: TRY004
    return float(value)


def one_of(options: tuple[str, ...], value: object, what: str) -> Any:  # noqa: ANN401
    """Return one of several strings.

    Raises:
        ValueError: it is something else.
    """
    found = want(str, value, what)
    if found not in options:
        raise ValueError(f"{what} is {quoted(found)}, not {' or '.join(options)}")
    return cast("Any", found)


def quoted(name: str) -> str:
    """Return a name in quotes, on one line."""
    return f"'{_CONTROLS.sub(_escaped, name)}'"


def reason(error: Exception) -> str:
    """Return what is wrong with a text, by the error that reading it raised."""
    if isinstance(error, KeyError):
        return f"{error.args[0]} is missing"
    if isinstance(error, (json.JSONDecodeError, UnicodeError)):
        return "it is not JSON"
    return str(error)


def _depth(text: str) -> int:
    depth = deepest = 0
    for token in _BRACKETS.finditer(text):
        first = token[0][0]
        depth += (first in "[{") - (first in "]}")
        deepest = max(deepest, depth)
    return deepest


def _whole(text: str) -> int:
    if len(text) > _DIGITS_OF_64_BITS or not -(2**63) <= int(text) < 2**63:
        raise ValueError("a number is beyond 64 bits")
    return int(text)


def _finite(text: str) -> float:
    if math.isinf(float(text)):
        raise ValueError("a number is beyond 64 bits")
    return float(text)


def _constant(text: str) -> object:
    raise json.JSONDecodeError("not a number of JSON", text, 0)


def _object(fields: list[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in fields:
        if name in found:
            raise ValueError(f"{quoted(name)} is there twice")
        found[name] = value
    return found


def _escaped(control: re.Match[str]) -> str:
    return f"\\x{ord(control[0]):02x}"
