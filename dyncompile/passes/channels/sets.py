"""Sets of channels: which indices along one axis of a value are meant."""

from __future__ import annotations

__all__ = ["Channels", "Live"]

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

Span = tuple[int, int]


@dataclass(frozen=True)
class Channels:
    """Some of the channels along an axis, as spans of indices.

    Attributes:
        size: How many channels the axis has.
        spans: Half-open ranges, ascending and neither empty nor adjacent.
    """

    size: int
    spans: tuple[Span, ...]

    @classmethod
    def of(cls, size: int, spans: Iterable[Span]) -> Channels:
        """Return the union of spans, cut off at the size."""
        merged: list[Span] = []
        for start, stop in sorted((max(a, 0), min(b, size)) for a, b in spans):
            if start >= stop:
                continue
            if merged and start <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(stop, merged[-1][1]))
            else:
                merged.append((start, stop))
        return cls(size, tuple(merged))

    @classmethod
    def first(cls, count: int, size: int) -> Channels:
        """Return the first channels, all if there are no more."""
        return cls.of(size, [(0, count)])

    @property
    def count(self) -> int:
        """How many channels are meant."""
        return sum(stop - start for start, stop in self.spans)

    @property
    def is_all(self) -> bool:
        """Whether none is left out."""
        return self.count == self.size

    def __iter__(self) -> Iterator[int]:
        """Yield the indices, ascending."""
        for start, stop in self.spans:
            yield from range(start, stop)

    def __or__(self, other: Channels) -> Channels:
        """Return the channels of either set."""
        return Channels.of(self.size, (*self.spans, *other.spans))

    def __and__(self, other: Channels) -> Channels:
        """Return the channels of both sets."""
        both = ((max(a, c), min(b, d)) for a, b in self.spans for c, d in other.spans)
        return Channels.of(self.size, both)

    def lowest(self) -> Channels:
        """Return the first channel alone; of none, the first of the axis."""
        start = self.spans[0][0] if self.spans else 0
        return Channels.of(self.size, [(start, start + 1)])

    def part(self, start: int, size: int) -> Channels:
        """Return what lies in a part of the axis, counted from its start."""
        return Channels.of(size, ((a - start, b - start) for a, b in self.spans))

    def placed(self, start: int, size: int) -> Channels:
        """Return the same channels as a part of a longer axis, which begins at ``start`` there."""
        return Channels.of(size, ((a + start, b + start) for a, b in self.spans))

    def spread(self, factor: int) -> Channels:
        """Return the entries of these channels where each of them is ``factor`` entries."""
        return Channels.of(self.size * factor, ((a * factor, b * factor) for a, b in self.spans))

    def gathered(self, factor: int) -> Channels:
        """Return the channels that any of these entries belongs to: the way back of ``spread``."""
        spans = ((a // factor, -(-b // factor)) for a, b in self.spans)
        return Channels.of(self.size // factor, spans)

    def positions(self, there: Channels) -> list[int]:
        """Return where these channels stand in a value that has only those ``there``; else -1."""
        at = {index: place for place, index in enumerate(there)}
        return [at.get(index, -1) for index in self]


@dataclass(frozen=True)
class Live:
    """Some channels of a value along one of its axes."""

    axis: int
    channels: Channels
