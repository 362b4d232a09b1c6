"""A picture of the report: drawn once per screen, and told in words and numbers."""

from __future__ import annotations

__all__ = ["LeftOut", "Picture", "draw"]

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from dyncompile.reporting.sheet import NARROW, WIDE, Screen, Sheet
from dyncompile.reporting.svg import markup_of, style
from dyncompile.reporting.tables import Table


@dataclass(frozen=True)
class Picture:
    """A picture.

    Attributes:
        key: Short name, unique in the page.
        title: What it shows.
        says: How to read it, one sentence each.
        drawings: Screen to its drawing, as markup; a long one in parts, one below the other.
        tables: The numbers in it.
    """

    key: str
    title: str
    says: tuple[str, ...]
    drawings: Mapping[str, tuple[str, ...]]
    tables: tuple[Table, ...]


@dataclass(frozen=True)
class LeftOut:
    """A picture that the findings do not give.

    Attributes:
        title: What it would show.
        why: What is missing; a sentence.
    """

    title: str
    why: str


def draw(
    key: str, seen: str, drawn: Callable[[Screen], Sheet | Sequence[Sheet]]
) -> dict[str, tuple[str, ...]]:
    """Draw a picture for each screen.

    Args:
        key: Of the picture.
        seen: What there is to see, for who cannot.
        drawn: Draws it for one screen, in one part or several.
    """
    drawings = {}
    for screen in (WIDE, NARROW):
        with style(screen):
            sheets = drawn(screen)
            parts = [sheets] if isinstance(sheets, Sheet) else sheets
            drawings[screen.name] = tuple(
                markup_of(part, f"{key}-{screen.name}-{number}", _part_of(seen, number, len(parts)))
                for number, part in enumerate(parts, 1)
            )
    return drawings


def _part_of(seen: str, number: int, parts: int) -> str:
    return seen if parts == 1 else f"{seen} Part {number} of {parts}."
