"""What the rows of the study count, so that tables find them, and rows that come in threes."""

from __future__ import annotations

__all__ = [
    "ABOVE",
    "AGREE",
    "DENSE",
    "FREE",
    "KEPT",
    "LABELS",
    "LEAVE",
    "LOST",
    "MACS",
    "PREFIX",
    "RIGHT",
    "SAVED",
    "SHARE",
    "SPAN",
    "TIME",
    "difference_rows",
]

from collections.abc import Iterator

from benchmarks.rows import Row
from dyncompile.methods.paired import Difference

# Against what.
LABELS, DENSE, PREFIX = "labels", "dense", "best static prefix of at most its MACs"

# Units.
RIGHT = "% right"
LOST, ABOVE = "points lost", "points above"
SPAN = ("", ", low", ", high")  # behind these two: the difference, the ends of its interval
SAVED, SHARE, MACS = "% of MACs saved", "% of MACs", "million MACs"
LEAVE = "% leave here"
KEPT = "of the saving of static prefixes"
TIME, FREE = "of its time saved", "of its time saved, free"
AGREE = "% agree in class and exit"


def difference_rows(
    network: str, against: str, path: str, found: Difference, unit: str, limit: float | None = None
) -> Iterator[Row]:
    """Return a difference in points, and both ends of its interval.

    Args:
        network: Of the rows.
        against: Of the rows.
        path: Of the rows.
        found: As a share.
        unit: ``LOST`` or ``ABOVE``.
        limit: Of the bad end: the high one of what is lost, the low one of what is above.
    """
    mean, low, high = (f"{unit}{end}" for end in SPAN)
    above = unit == ABOVE
    yield Row(network, against, path, None, 100 * found.mean, mean)
    yield Row(
        network, against, path, None, 100 * found.low, low, limit if above else None, at_least=above
    )
    yield Row(network, against, path, None, 100 * found.high, high, None if above else limit)
