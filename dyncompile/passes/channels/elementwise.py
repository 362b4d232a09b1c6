"""Operators that treat every element by itself: of channels that are zero, many make zeros."""

from __future__ import annotations

__all__ = ["ELEMENTWISE", "Elementwise", "First", "NeverZero", "Selecting"]

from collections.abc import Callable, Sequence

import numpy as np
import onnx_ir as ir

from dyncompile.passes.channels.rule import WHOLE, Alive, At, Cut, Rule, sizes_of
from dyncompile.passes.channels.sets import Channels, Live
from dyncompile.passes.constants import is_fixed


class Elementwise(Rule):
    """A channel of the output needs this channel of the inputs, which are aligned at the right.

    ``zero_of`` lists the inputs that make the output zero: together, unless a subclass says
    that one is enough.
    """

    def zero_of(self) -> Sequence[int]:
        """Return the inputs that are zero where the output is."""
        return range(len(self.node.inputs))

    def alive(self, index: int, alive: Alive) -> Live | None:
        """Return the union of what is alive."""
        del index
        sets = self._sets(alive)
        if sets is None or not sets[1] or None in sets[1]:
            return None
        axis, known = sets
        joined = Channels(self._size(axis), ())
        for one in known:
            assert one is not None
            joined |= one
        return Live(axis, joined)

    def wanted(self, index: int, out: Live | None, alive: Alive) -> list[Cut]:
        """Return the same channels of every input that has them."""
        del index, alive
        if out is None:
            return [WHOLE] * len(self.node.inputs)
        return [
            WHOLE if (axis := self._axis_in(value, out.axis)) is None else {axis: out.channels}
            for value in self.node.inputs
        ]

    @property
    def why(self) -> str:
        """Why all are wanted."""
        if len(self.zero_of()) > 1:
            return "all channels of its other operand are needed"
        return f"{self.node.op_type} of 0 is not 0, or what follows reads all channels"

    def _sets(self, alive: Alive) -> tuple[int, list[Channels | None]] | None:
        """Return the axis of the channels in the output, and which are alive in the inputs."""
        rank = self._rank()
        values = [self.node.inputs[i] for i in self.zero_of() if self.node.inputs[i] is not None]
        lives = [(value, alive(value)) for value in values]
        if any(live is not None for _, live in lives):
            lives = [(value, live) for value, live in lives if live or not _is_zero(value)]
        axes = {
            live.axis + rank - len(sizes_of(value) or ())
            for value, live in lives
            if live is not None
        }
        if rank == 0 or len(axes) != 1:
            return None
        (axis,) = axes
        return axis, [
            live.channels if live is not None and self._axis_in(value, axis) == live.axis else None
            for value, live in lives
        ]

    def _rank(self) -> int:
        return len(sizes_of(self.node.outputs[0]) or ())

    def _size(self, axis: int) -> int:
        size = (sizes_of(self.node.outputs[0]) or ())[axis]
        assert isinstance(size, int), "an axis of channels has a known size"
        return size

    def _axis_in(self, value: ir.Value | None, axis: int) -> int | None:
        """Return where an axis of the output is in an input; None if it is repeated along it."""
        sizes = sizes_of(value)
        if sizes is None:
            return None
        own = axis - (self._rank() - len(sizes))
        return own if own >= 0 and sizes[own] == self._size(axis) else None


def _is_zero(value: ir.Value | None) -> bool:
    """Whether a value is a constant of zeros."""
    if value is None or not is_fixed(value):
        return False
    tensor = ir.convenience.get_const_tensor(value)
    return tensor is not None and not tensor.numpy().any()


class Product(Elementwise):
    """One factor that is zero is enough, and nothing else is needed of the others there."""

    def alive(self, index: int, alive: Alive) -> Live | None:
        """Return the intersection of what is alive."""
        del index
        sets = self._sets(alive)
        if sets is None:
            return None
        axis, known = sets
        both = Channels.first(self._size(axis), self._size(axis))
        for one in known:
            both = both if one is None else both & one
        return Live(axis, both)


class First(Elementwise):
    """Zero where the first input is."""

    def zero_of(self) -> Sequence[int]:
        """Return the first input."""
        return (0,)


class NeverZero(First):
    """Not zero where its inputs are."""

    def alive(self, index: int, alive: Alive) -> Live | None:
        """Return that all are."""
        del index, alive
        return None


class Quotient(First):
    """Zero where the dividend is, unless the divisor is zero too."""

    def alive(self, index: int, alive: Alive) -> Live | None:
        """Return what is alive of the dividend."""
        divisor = self.node.inputs[1]
        assert divisor is not None
        return None if alive(divisor) is not None else super().alive(index, alive)


class Clip(First):
    """Zero stays zero if it lies between the bounds."""

    def alive(self, index: int, alive: Alive) -> Live | None:
        """Return what is alive of the input."""
        bounds = [*self.node.inputs[1:], None, None][:2]
        for bound, side in zip(bounds, (1, -1), strict=True):
            if bound is None:
                continue
            tensor = ir.convenience.get_const_tensor(bound) if is_fixed(bound) else None
            if tensor is None or not tensor.numpy().item() * side <= 0:
                return None
        return super().alive(index, alive)


class Power(First):
    """Zero to a positive constant is zero."""

    def alive(self, index: int, alive: Alive) -> Live | None:
        """Return what is alive of the base."""
        exponent = self.node.inputs[1]
        tensor = ir.convenience.get_const_tensor(exponent) if exponent is not None else None
        if exponent is None or not is_fixed(exponent) or tensor is None:
            return None
        return super().alive(index, alive) if np.all(tensor.numpy() > 0) else None


class Selecting(Elementwise):
    """A gate, a switch or Where: the value of a side; what decides is no side."""

    def zero_of(self) -> Sequence[int]:
        """Return the sides."""
        return range(1, len(self.node.inputs))

    def wanted(self, index: int, out: Live | None, alive: Alive) -> list[Cut]:
        """Return the same channels of every side; of what a marker decides by, all."""
        cuts = super().wanted(index, out, alive)
        return [WHOLE, *cuts[1:]] if self.node.domain else cuts

    @property
    def why(self) -> str:
        """Why all are wanted."""
        return "all channels of another side are needed"


_ZERO = """Abs Asin Asinh Atan Atanh Cast Ceil Celu Dropout Elu Erf Floor Gelu HardSwish Identity
LeakyRelu Mish Neg Relu Round Selu Sign Sin Sinh Softsign Sqrt Swish Tan Tanh ThresholdedRelu"""
_NOT_ZERO = """Acos Acosh And Cos Cosh Equal Exp Greater GreaterOrEqual HardSigmoid Less LessOrEqual
Log Not Or Reciprocal Sigmoid Softplus Xor"""

ELEMENTWISE: dict[str, Callable[[ir.Node, At], Rule]] = {
    **dict.fromkeys(_ZERO.split(), First),
    **dict.fromkeys(("Add", "Max", "Mean", "Min", "Sub", "Sum"), Elementwise),
    **dict.fromkeys(_NOT_ZERO.split(), NeverZero),
    "Clip": Clip,
    "Div": Quotient,
    "Mul": Product,
    "PRelu": First,
    "Pow": Power,
    "Where": Selecting,
}
