"""Operators with a weight per pair of channels, and normalisation."""

from __future__ import annotations

__all__ = ["WEIGHTED"]

from collections.abc import Callable
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from dyncompile.passes.channels.rule import WHOLE, Alive, At, Cut, Rule, sizes_of
from dyncompile.passes.channels.sets import Channels, Live
from dyncompile.passes.constants import is_fixed
from dyncompile.passes.gates import has_one_element


class _Convolution(Rule):
    """Every output channel reads every input channel of its group; channels are along axis 1.

    A dead input channel adds nothing: it is left out of the weight, not filled with zeros. Of
    groups, whole ones are kept, so that depthwise convolutions stay depthwise.
    """

    weighted = True
    #: Axes of the weight along which output and input channels are, where there is one group.
    _axes: ClassVar[tuple[int, int]] = (0, 1)

    @property
    def _groups(self) -> int:
        given = self.node.attributes.get("group")
        return 1 if given is None else given.as_int()

    @property
    def _bias(self) -> ir.Value | None:
        return self.node.inputs[2] if len(self.node.inputs) > 2 else None

    def _channels(self) -> tuple[int, int] | None:
        """Return how many channels there are in the output and in the input."""
        sizes = sizes_of(self.node.outputs[0]), sizes_of(self.node.inputs[0])
        if sizes[0] is None or sizes[1] is None:
            return None
        out, into = sizes[0][1], sizes[1][1]
        return (out, into) if isinstance(out, int) and isinstance(into, int) else None

    def alive(self, index: int, alive: Alive) -> Live | None:
        """Return that all are; of dead groups, those with a bias that is not zero."""
        del index
        live, channels = alive(self.node.inputs[0]), self._channels()
        if self._groups == 1 or live is None or live.axis != 1 or channels is None:
            return None
        bias = _not_zero(self._bias)
        if bias is None or not self.at.alone:
            return None
        out, into = channels
        each = out // self._groups
        groups = live.channels.gathered(into // self._groups)
        return Live(1, (groups | Channels.of(out, bias).gathered(each)).spread(each))

    def rounded(self, index: int, need: Live) -> Live | None:
        """Return whole groups; all where several levels share the node."""
        del index
        channels = self._channels()
        if need.axis != 1 or channels is None:
            return None
        if self._groups == 1:
            return need
        each = channels[0] // self._groups
        return Live(1, need.channels.gathered(each).spread(each)) if self.at.alone else None

    def wanted(self, index: int, out: Live | None, alive: Alive) -> list[Cut]:
        """Return the rows of the weight and bias, and the input channels that are not zero."""
        del index
        live, (outputs, inputs) = alive(self.node.inputs[0]), self._axes
        rows: Cut = {} if out is None else {0: out.channels}
        if self._groups > 1:
            kept = self._kept_groups(out)
            data: Cut = {} if kept is None else {1: kept.spread(self._per_group(1))}
            axis = {0: out.channels} if out is not None and outputs == 0 else {}
            if kept is not None and outputs != 0:
                axis = {0: kept.spread(self._per_group(1))}
            return [data, axis, rows][: len(self.node.inputs)]
        data = {1: live.channels} if live is not None and live.axis == 1 else {}
        weight = {} if out is None else {outputs: out.channels}
        if data:
            weight = {**weight, inputs: data[1]}
        return [data, weight, rows][: len(self.node.inputs)]

    def attributes(self, out: Live | None, alive: Alive) -> dict[str, ir.Attr]:
        """Return the number of groups that are left."""
        del alive
        kept = self._kept_groups(out) if self._groups > 1 else None
        return {} if kept is None else {"group": ir.AttrInt64("group", kept.count)}

    def _per_group(self, side: int) -> int:
        channels = self._channels()
        assert channels is not None, "channels were found along this axis"
        return channels[side] // self._groups

    def _kept_groups(self, out: Live | None) -> Channels | None:
        return None if out is None else out.channels.gathered(self._per_group(0))

    @property
    def why(self) -> str:
        """Why all are wanted."""
        if self._groups == 1:
            return "the channels are not along its axis 1"
        if not self.at.alone:
            return "the number of its groups cannot change at run time"
        if _not_zero(self._bias) == []:
            return "its groups have dead channels beside others, or what follows reads all"
        return "its bias gives dead channels a value, and what follows reads it"


class _TransposedConvolution(_Convolution):
    _axes = (1, 0)


class _Linear(Rule):
    """A matrix product: along the last axis every output reads every input."""

    weighted = True

    def alive(self, index: int, alive: Alive) -> Live | None:
        """Return that all are, but of dead rows."""
        del index
        live = alive(self.node.inputs[0])
        return live if live is not None and live.axis in self._rows() else None

    def rounded(self, index: int, need: Live) -> Live | None:
        """Return the same along the last axis, and along rows."""
        del index
        return need if self._is_last(need.axis, 0, out=True) or need.axis in self._rows() else None

    def wanted(self, index: int, out: Live | None, alive: Alive) -> list[Cut]:
        """Return the columns needed, and the inputs that are not zero."""
        del index
        live = alive(self.node.inputs[0])
        if out is not None and not self._is_last(out.axis, 0, out=True):
            return [{out.axis: out.channels}, *[WHOLE] * (len(self.node.inputs) - 1)]
        inner, columns = self._matrix_axes()
        data: Cut = {}
        weight: dict[int, Channels] = {} if out is None else {columns: out.channels}
        if live is not None and self._is_last(live.axis, 0) and self._is_matrix():
            data = {live.axis: live.channels}
            weight[inner] = live.channels
        return [data, weight, *self._bias(out)]

    def _bias(self, out: Live | None) -> list[Cut]:
        return [
            {} if out is None or value is None or has_one_element(value) else _last(value, out)
            for value in self.node.inputs[2:]
        ]

    def _matrix_axes(self) -> tuple[int, int]:
        """Return the axes of the weight along which inputs and outputs are."""
        return 0, 1

    def _is_matrix(self) -> bool:
        left, right = (sizes_of(value) for value in self.node.inputs[:2])
        return left is not None and right is not None and len(left) > 1 and len(right) == 2

    def _is_last(self, axis: int, index: int, *, out: bool = False) -> bool:
        value = self.node.outputs[index] if out else self.node.inputs[index]
        sizes = sizes_of(value)
        return sizes is not None and axis == len(sizes) - 1 and self._is_matrix()

    def _rows(self) -> range:
        """Return the axes of the output that are those of the first input."""
        sizes = sizes_of(self.node.inputs[0])
        return range(len(sizes) - 1) if sizes is not None and self._is_matrix() else range(0)

    @property
    def why(self) -> str:
        """Why all are wanted."""
        return "the channels are not along the axis of its weight"


class _Gemm(_Linear):
    def alive(self, index: int, alive: Alive) -> Live | None:
        """Return that all are: rows have a bias."""
        del index, alive
        return None

    def _rows(self) -> range:
        return range(0)

    def _is_matrix(self) -> bool:
        given = self.node.attributes.get("transA")
        return given is None or not given.as_int()

    def _matrix_axes(self) -> tuple[int, int]:
        given = self.node.attributes.get("transB")
        return (1, 0) if given is not None and given.as_int() else (0, 1)


class Normalization(Rule):
    """Scale and bias per channel, along axis 1: a dead channel gets the value of its bias."""

    def alive(self, index: int, alive: Alive) -> Live | None:
        """Return that all are."""
        del index, alive
        return None

    def rounded(self, index: int, need: Live) -> Live | None:
        """Return the same along axis 1."""
        del index
        return need if need.axis == 1 else None

    def wanted(self, index: int, out: Live | None, alive: Alive) -> list[Cut]:
        """Return the same channels, and their parameters."""
        del index, alive
        count = len(self.node.inputs) - 1
        if out is None:
            return [WHOLE] * (count + 1)
        return [{1: out.channels}, *[{0: out.channels}] * count]

    @property
    def why(self) -> str:
        """Why all are wanted."""
        return "its bias gives dead channels a value"


class _GroupNormalization(Normalization):
    """The same with statistics over groups of channels, of which whole ones are kept."""

    def rounded(self, index: int, need: Live) -> Live | None:
        """Return whole groups; all where several levels share the node."""
        del index
        per_channel = sizes_of(self.node.inputs[1]) == [need.channels.size]  # before opset 21: no
        if need.axis != 1 or not per_channel or not self.at.alone:
            return None
        each = self._per_group(need)
        return Live(1, need.channels.gathered(each).spread(each))

    def attributes(self, out: Live | None, alive: Alive) -> dict[str, ir.Attr]:
        """Return the number of groups that are left."""
        del alive
        if out is None:
            return {}
        count = out.channels.count // self._per_group(out)
        return {"num_groups": ir.AttrInt64("num_groups", count)}

    def _per_group(self, out: Live) -> int:
        return out.channels.size // self.node.attributes["num_groups"].as_int()


def _last(value: ir.Value, out: Live) -> Cut:
    sizes = sizes_of(value) or []
    return {len(sizes) - 1: out.channels} if sizes and sizes[-1] == out.channels.size else WHOLE


def _not_zero(bias: ir.Value | None) -> list[tuple[int, int]] | None:
    """Return where a bias is not zero, as spans; None if it is not known."""
    if bias is None:
        return []
    tensor = ir.convenience.get_const_tensor(bias) if is_fixed(bias) else None
    if tensor is None:
        return None
    return [(int(place), int(place) + 1) for place in np.flatnonzero(tensor.numpy())]


WEIGHTED: dict[str, Callable[[ir.Node, At], Rule]] = {
    "BatchNormalization": Normalization,
    "Conv": _Convolution,
    "ConvTranspose": _TransposedConvolution,
    "Gemm": _Gemm,
    "GroupNormalization": _GroupNormalization,
    "InstanceNormalization": Normalization,
    "MatMul": _Linear,
}
