"""Blocks of Markdown that a command writes, between ``<!-- figures: NAME -->`` and its end."""

from __future__ import annotations

__all__ = ["BLOCK_END", "names_of", "replaced"]

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from dyncompile.errors import InputError

BLOCK_END = "<!-- end figures -->"

_START = re.compile(r"<!-- figures: ([\w-]+) -->")
_MARKER = re.compile(rf"{_START.pattern}|{re.escape(BLOCK_END)}")


@dataclass(frozen=True)
class _Block:
    name: str
    start: int
    stop: int


def names_of(text: str, where: str) -> list[str]:
    """Return the names of the blocks of a page, in order.

    Raises:
        InputError: a block does not end, or an end has no block.
    """
    return [block.name for block in _blocks(text, where)]


def replaced(text: str, where: str, content: Callable[[str], str]) -> tuple[str, list[str]]:
    """Fill the blocks of a page.

    Args:
        text: The page.
        where: Its file, for messages.
        content: The lines of a block, by its name.

    Returns:
        The page, and the names of the blocks that have changed.

    Raises:
        InputError: a block does not end, or an end has no block.
    """
    parts, changed, position = [], [], 0
    for block in _blocks(text, where):
        new = f"\n{content(block.name).strip()}\n"
        if text[block.start : block.stop] != new:
            changed.append(block.name)
        parts += [text[position : block.start], new]
        position = block.stop
    return "".join([*parts, text[position:]]), changed


def _blocks(text: str, where: str) -> Iterator[_Block]:
    opened: re.Match[str] | None = None
    for marker in _MARKER.finditer(text):
        ends = marker.group() == BLOCK_END
        if ends and opened:
            yield _Block(opened[1], opened.end(), marker.start())
            opened = None
        elif ends:
            raise InputError(
                "a block of figures ends that did not start.",
                where=_place(text, where, marker),
                remedy="Put '<!-- figures: NAME -->' above it, or remove it.",
            )
        elif opened:
            raise _unfinished(text, where, opened)
        else:
            opened = marker
    if opened:
        raise _unfinished(text, where, opened)


def _unfinished(text: str, where: str, start: re.Match[str]) -> InputError:
    return InputError(
        f"the block of figures {start[1]!r} has no end.",
        where=_place(text, where, start),
        remedy=f"Put {BLOCK_END!r} on a line below it.",
    )


def _place(text: str, where: str, marker: re.Match[str]) -> str:
    return f"{where}, line {text.count(chr(10), 0, marker.start()) + 1}"
