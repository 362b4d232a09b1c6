"""Operators on maps and rows: pools, resizing, padding, softmax and layer normalisation."""

from __future__ import annotations

__all__ = ["MAPS"]

from collections.abc import Callable

import onnx_ir as ir

from dyncompile.passes.channels.elementwise import First, NeverZero
from dyncompile.passes.channels.rule import (
    NOTHING,
    WHOLE,
    Alive,
    At,
    Cut,
    Rule,
    sizes_of,
)
from dyncompile.passes.channels.sets import Channels, Live
from dyncompile.passes.constants import constant_ints, is_fixed


class Pool(First):
    """Pools and resizes: channels are along axis 1."""

    def alive(self, index: int, alive: Alive) -> Live | None:
        """Return what is alive of the input."""
        live = super().alive(index, alive)
        return live if live is not None and live.axis == 1 else None

    def rounded(self, index: int, need: Live) -> Live | None:
        """Return all of what is needed along other axes."""
        del index
        return need if need.axis == 1 else None

    def wanted(self, index: int, out: Live | None, alive: Alive) -> list[Cut]:
        """Return the same channels of the input."""
        del index, alive
        cuts: list[Cut] = [WHOLE] * len(self.node.inputs)
        cuts[0] = WHOLE if out is None else {out.axis: out.channels}
        return cuts

    @property
    def why(self) -> str:
        """Why all are wanted."""
        return f"{self.node.op_type} is along this axis, or what follows reads all channels"


class Resize(Pool):
    """Resizes images; where it is given sizes, one of them may be that of the channels."""

    def alive(self, index: int, alive: Alive) -> Live | None:
        """Return what is alive of the input."""
        return super().alive(index, alive) if self._keeps_channels() else None

    def rounded(self, index: int, need: Live) -> Live | None:
        """Return all where the axis of the channels is resized itself."""
        return super().rounded(index, need) if self._keeps_channels() else None

    def sizes(self, out: Live) -> tuple[int, int, int] | None:
        """Return the entry of the channels among the sizes."""
        if len(self.node.inputs) < 4 or 1 not in self._axes():
            return None
        return 3, self._axes().index(1), out.channels.count

    def _axes(self) -> list[int]:
        given, rank = self.node.attributes.get("axes"), self._rank()
        return list(range(rank)) if given is None else [n % rank for n in given.as_ints()]

    def _keeps_channels(self) -> bool:
        """Whether it leaves axis 1 as it is, and sizes are constant that say so."""
        if 1 not in self._axes():
            return True
        before, after = sizes_of(self.node.inputs[0]), sizes_of(self.node.outputs[0])
        if before is None or after is None or before[1] != after[1]:
            return False
        if len(self.node.inputs) > 3 and self.node.inputs[3] is not None:
            return constant_ints(self.node.inputs[3]) is not None
        scales = self.node.inputs[2]
        tensor = ir.convenience.get_const_tensor(scales) if scales and is_fixed(scales) else None
        return tensor is not None and bool(tensor.numpy()[self._axes().index(1)] == 1)


class Pad(Pool):
    """Pads other axes than that of the channels, or adds channels of zeros."""

    def takes(self, out: Live | None) -> bool:
        """Return whether it adds channels: those that are not zero are the input's."""
        return out is not None and out.axis == 1 and self._added() is not None

    def alive(self, index: int, alive: Alive) -> Live | None:
        """Return what is alive of the input, if what is padded with is zero."""
        del index
        before = self.node.inputs[0]
        live, added = alive(before), self._added()
        if added is not None and (live is None or live.axis == 1):
            size = (sizes_of(before) or [])[1]
            assert isinstance(size, int), "what channels are added to has a known size"
            known = Channels.first(size, size) if live is None else live.channels
            return Live(1, known.placed(added[0], self._size(1)))
        return live if live and self._fills_zeros() and self._is_free(live.axis) else None

    def rounded(self, index: int, need: Live) -> Live | None:
        """Return all where the axis of the channels is padded with something else."""
        del index
        return need if self.takes(need) or self._is_free(need.axis) else None

    def wanted(self, index: int, out: Live | None, alive: Alive) -> list[Cut]:
        """Return the same channels of the input, or those of its place among the added."""
        added = self._added()
        if out is None or added is None or not self.takes(out):
            return super().wanted(index, out, alive)
        size = self._size(1) - sum(added)
        rest: list[Cut] = [NOTHING] * (len(self.node.inputs) - 1)
        return [{1: out.channels.part(added[0], size)}, *rest]

    def _added(self) -> tuple[int, int] | None:
        """Return how many channels are added before and behind, if nothing else is done."""
        pads, sizes = self._by_axis(), sizes_of(self.node.inputs[0])
        if pads is None or sizes is None or not all(isinstance(s, int) for s in sizes[1:2]):
            return None
        padded = {axis: pad for axis, pad in pads.items() if pad != (0, 0)}
        if list(padded) != [1] or min(padded[1]) < 0 or not self._fills_zeros():
            return None
        mode = self.node.attributes.get("mode")
        return padded[1] if mode is None or mode.as_string() == "constant" else None

    def _fills_zeros(self) -> bool:
        """Whether what is added is zero where the input is."""
        mode = self.node.attributes.get("mode")
        filler = self.node.inputs[2] if len(self.node.inputs) > 2 else None
        if filler is None or (mode is not None and mode.as_string() != "constant"):
            return True
        tensor = ir.convenience.get_const_tensor(filler)
        return is_fixed(filler) and tensor is not None and tensor.numpy().item() == 0

    def _is_free(self, axis: int) -> bool:
        pads = self._by_axis()
        return pads is not None and pads.get(axis, (0, 0)) == (0, 0)

    def _by_axis(self) -> dict[int, tuple[int, int]] | None:
        """Return what is added before and behind, for each axis; None if it is not constant."""
        pads = constant_ints(self.node.inputs[1])
        given = self.node.inputs[3] if len(self.node.inputs) > 3 else None
        if pads is None or not self._rank():
            return None
        half = len(pads) // 2
        axes = list(range(half)) if given is None else constant_ints(given)
        if axes is None:
            return None
        return {
            axis % self._rank(): pad
            for axis, pad in zip(axes, zip(pads[:half], pads[half:], strict=True), strict=True)
        }


class Across(NeverZero):
    """Works across some axes; channels along others stay apart."""

    def rounded(self, index: int, need: Live) -> Live | None:
        """Return all where it works across the channels."""
        del index
        axis = self.node.attributes["axis"].as_int() if "axis" in self.node.attributes else -1
        if not self._rank():
            return None
        first = axis % self._rank()
        across = (
            range(first, self._rank()) if self.node.op_type == "LayerNormalization" else (first,)
        )
        return None if need.axis in across else need

    @property
    def why(self) -> str:
        """Why all are wanted."""
        return f"{self.node.op_type} works across the channels, or gives dead ones a value"


_POOLS = """AveragePool GlobalAveragePool GlobalLpPool GlobalMaxPool LpPool MaxPool"""

MAPS: dict[str, Callable[[ir.Node, At], Rule]] = {
    **dict.fromkeys(_POOLS.split(), Pool),
    **dict.fromkeys(("LayerNormalization", "LogSoftmax", "Softmax"), Across),
    "Pad": Pad,
    "Resize": Resize,
}
