"""Numbers beside the pictures."""

from __future__ import annotations

__all__ = ["Cell", "Table", "name_cell"]

from dataclasses import dataclass

from dyncompile.reporting.wording import clean, shortened

MOST_ROWS_SHOWN = 8
MOST_COLUMNS_SHOWN = 9
MOST_CHARACTERS = 72


@dataclass(frozen=True)
class Cell:
    """A text, and what it stands for where it was shortened."""

    text: str
    full: str = ""


@dataclass(frozen=True)
class Table:
    """Rows under headings.

    Attributes:
        title: What it shows.
        headings: One per column.
        rows: Cells, as many as headings.
        words: How many columns at the left are words, or 2 where a number stands before a name;
            the others are numbers.
        folded: Whether it is shown only when asked for, and on paper, where it is long.
    """

    title: str
    headings: tuple[Cell | str, ...]
    rows: tuple[tuple[Cell | str, ...], ...]
    words: int = 1
    folded: bool = True

    @property
    def name_column(self) -> int:
        """Which column holds names, counted from 1: the first, or one behind a number."""
        return 2 if self.words == 2 else 1

    @property
    def is_folded(self) -> bool:
        """Whether the reader has to unfold it."""
        many = len(self.rows) > MOST_ROWS_SHOWN or len(self.headings) > MOST_COLUMNS_SHOWN
        return self.folded and many


def name_cell(text: str, most: int = MOST_CHARACTERS) -> Cell:
    """Show a name, shortened where it is long."""
    text = clean(text)
    short = shortened(text, most)
    return Cell(short, "" if short == text else text)
