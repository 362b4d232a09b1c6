"""A layer of which each range of levels has its own."""

from __future__ import annotations

__all__ = ["PerRange"]

from collections.abc import Sequence
from copy import deepcopy

from torch import Tensor, nn

from dyncompile.markers import per_level


class PerRange(nn.Module):
    """A copy of a layer for each range of levels.

    Args:
        layer: What each begins as.
        ranges: The levels of each range, together all levels.

    Attributes:
        copies: One per range.
        range_of: The range of each level.
    """

    def __init__(self, layer: nn.Module, ranges: Sequence[Sequence[int]]) -> None:
        super().__init__()
        self.copies = nn.ModuleList(deepcopy(layer) for _ in ranges)
        self.range_of = tuple(n for n, levels in enumerate(ranges) for _ in levels)
        self.train(layer.training)

    def forward(self, x: Tensor, level: Tensor | int | None = -1) -> Tensor:
        """Run the copy of the level's range; that of the last level if there is none.

        Args:
            x: What the layer takes.
            level: ``int64[]``, or its number.
        """
        if isinstance(level, Tensor):
            return per_level(level, lambda k: self._at(k)(x), len(self.range_of), name="level")  # type: ignore[no-any-return]
        result: Tensor = self._at(-1 if level is None else level)(x)
        return result

    def _at(self, level: int) -> nn.Module:
        return self.copies[self.range_of[level]]
