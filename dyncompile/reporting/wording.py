"""Numbers, names and knobs as the report spells them."""

from __future__ import annotations

__all__ = [
    "amount",
    "clean",
    "count",
    "duration",
    "listed",
    "number",
    "percent",
    "shortened",
    "spell_path",
    "spell_point",
    "spell_setup",
    "times",
]

import math
import unicodedata
from collections.abc import Mapping, Sequence

from dyncompile.measuring.findings import Setup

SPACE = "\N{NO-BREAK SPACE}"
ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"
_TURNS = "\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


def clean(text: str) -> str:
    """Replace what a page or a picture cannot hold, and what would turn the text around it."""
    return "".join(
        "\N{REPLACEMENT CHARACTER}" if _is_unfit(one) else " " if one in "\t\r\n" else one
        for one in text
    )


def _is_unfit(one: str) -> bool:
    if one in _TURNS:
        return True
    return one not in "\t\r\n" and unicodedata.category(one) in {"Cc", "Cs", "Cn", "Zl", "Zp"}


def shortened(text: str, most: int) -> str:
    """Leave out the middle of a text longer than ``most`` characters."""
    if len(text) <= most:
        return text
    head = (most - 1) // 2
    return f"{text[:head]}{ELLIPSIS}{text[len(text) - (most - 1 - head) :]}"


def number(value: float) -> str:
    """Spell a number with three digits: ``0.412``, ``41.2``, ``412``, ``4 120``."""
    if not math.isfinite(value):
        return str(value)
    if value and abs(value) < 0.0005:
        return f"{value:.1e}"
    digits = next(
        (n for n, limit in ((3, 0.9995), (2, 9.995), (1, 99.95)) if abs(value) < limit), 0
    )
    return f"{value:,.{digits}f}".replace(",", SPACE)


def duration(us: float) -> str:
    """Spell a time, in milliseconds from one on."""
    return f"{number(us / 1e3)}{SPACE}ms" if us >= 999.5 else f"{number(us)}{SPACE}µs"


def percent(share: float) -> str:
    """Spell a share: ``96.1 %``; what is not a number is a dash."""
    return f"{share:.1%}".replace("%", f"{SPACE}%") if math.isfinite(share) else "-"


def times(ratio: float) -> str:
    """Spell a ratio: ``1.04``."""
    return f"{ratio:.2f}" if 0.1 <= ratio < 99.5 else number(ratio)


def amount(macs: float) -> str:
    """Spell multiply-accumulates: ``12.3 M``."""
    for unit in ("", "k", "M", "G"):
        if macs < 999.5:
            return f"{number(macs)}{SPACE}{unit}" if unit else f"{macs:.3g}"
        macs /= 1000
    return f"{number(macs)}{SPACE}T"


def count(size: int, noun: str) -> str:
    """Spell how many there are: ``1 path``, ``3 paths``."""
    plural = (
        noun[:-1] + "ies" if noun.endswith("y") else noun + "es" if noun[-1] == "s" else noun + "s"
    )
    return f"{size}{SPACE}{noun if size == 1 else plural}"


def listed(words: Sequence[str]) -> str:
    """Join words: ``a, b and c``."""
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def spell_path(path: Mapping[str, int]) -> str:
    """Spell a path: ``block=1 exit=0``."""
    return clean(" ".join(f"{name}={option}" for name, option in path.items())) or "no decision"


def spell_point(point: Mapping[str, float | Sequence[float]]) -> str:
    """Spell settings of knobs: ``threshold=0.5, level=1``."""
    return (
        clean(", ".join(f"{name}={_value(value)}" for name, value in point.items())) or "no knobs"
    )


def _value(value: float | Sequence[float]) -> str:
    if isinstance(value, Sequence):
        if len(value) and all(one == value[0] for one in value):
            return f"{value[0]:g}"  # as one may set it
        return f"({', '.join(f'{one:g}' for one in value)})"
    return f"{value:g}"


def spell_setup(setup: Setup) -> str:
    """Spell how ONNX Runtime ran: ``1 thread, CPU``."""
    threads = "threads as it likes" if setup.threads is None else count(setup.threads, "thread")
    providers = (name.removesuffix("ExecutionProvider") for name in setup.providers)
    return clean(f"{threads}, {' then '.join(providers)}")
