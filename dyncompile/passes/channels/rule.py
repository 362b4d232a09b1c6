"""What there is to know of how an operator treats channels."""

from __future__ import annotations

__all__ = [
    "NOTHING",
    "WHATEVER",
    "WHOLE",
    "Alive",
    "At",
    "Cut",
    "Rule",
    "sizes_of",
]

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from dyncompile.passes.channels.sets import Channels, Live

# What a node wants of an input: some channels along some of its axes. All of it, nothing of it,
# or whatever is there, because only its sizes along other axes are read.
Cut = Mapping[int, Channels]
WHOLE: Cut = {}
NOTHING: Cut = {-1: Channels(0, ())}
WHATEVER: Cut = {-2: Channels(0, ())}

# Which channels of a value may differ from zero; None is all.
Alive = Callable[[ir.Value | None], Live | None]


@dataclass(frozen=True)
class At:
    """The level that a graph is looked at for.

    Attributes:
        decision: The value that holds the level.
        level: Its number; None where no budget of it is kept to.
        alone: Whether the graph will serve this level only; else several, at run time.
        group: Whether it will only add what the level has beyond the one before.
    """

    decision: ir.Value
    level: int | None
    alone: bool
    group: bool = False


class Rule(ABC):
    """How one node treats channels at one level."""

    #: Whether the node multiplies by weights, so that fewer channels are less work.
    weighted: ClassVar[bool] = False

    def __init__(self, node: ir.Node, at: At) -> None:
        self.node = node
        self.at = at

    def takes(self, out: Live | None) -> bool:
        """Whether the output is channels of the only wanted input, so that the node may go."""
        del out
        return False

    @abstractmethod
    def alive(self, index: int, alive: Alive) -> Live | None:
        """Return which channels of an output may differ from zero; None is all."""

    def rounded(self, index: int, need: Live) -> Live | None:
        """Return the channels of an output computed together with those needed; None is all."""
        del index
        return need

    @abstractmethod
    def wanted(self, index: int, out: Live | None, alive: Alive) -> list[Cut]:
        """Return what each input has to hold for some channels of one output; None is all."""

    def attributes(self, out: Live | None, alive: Alive) -> dict[str, ir.Attr]:
        """Return the attributes that follow the number of channels."""
        del out, alive
        return {}

    def sizes(self, out: Live) -> tuple[int, int, int] | None:
        """Return the input that spells sizes, the entry there of the channels, and its new value.

        None if no input spells sizes, or the entry means all there are.
        """
        del out
        return None

    @property
    def why(self) -> str:
        """Why the node wants all channels where some are dead, to be said to people."""
        return "it reads all channels"


def sizes_of(value: ir.Value | None) -> list[int | str] | None:
    """Return the sizes of a value, symbolic ones by name; None if not all are known."""
    if value is None or value.shape is None:
        return None
    sizes = [s if isinstance(s, int) else s.value for s in value.shape]
    return None if any(size is None for size in sizes) else [s for s in sizes if s is not None]
