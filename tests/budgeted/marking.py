"""Decisions, and the markers that act on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir
from torch import Tensor

from dyncompile import dialect, markers
from tests.budgeted.op import (
    BOOL,
    FLOAT,
    INT64,
    SCALAR,
    Attributes,
    Builder,
    Op,
    Shape,
    axis_of,
    inner,
)

BOUND = 1 / 3  # sums of exact values never are near it


@dataclass(frozen=True)
class Decision(Op):
    """What is computed from one value: of shape [1] per sample, else []."""

    per_sample: bool

    def shapes(self, *xs: Shape) -> tuple[Shape, ...]:
        del xs
        return ((),)

    def total(self, x: Tensor) -> Tensor:
        """Sum it up."""
        return x.flatten(1).sum(1) if self.per_sample else x.sum()

    def total_node(self, b: Builder, x: ir.Value) -> ir.Value:
        """Append the sum."""
        axes = range(1 if self.per_sample else 0, len(inner(x)) + 1)
        return self.node(b, "ReduceSum", [x, b.ints(*axes)], FLOAT, keepdims=0)

    def node(
        self, b: Builder, op_type: str, xs: Sequence[ir.Value], dtype: ir.DataType, **w: int
    ) -> ir.Value:
        """Append a node whose result has the shape of the decision."""
        return b.node(op_type, xs, () if self.per_sample else SCALAR, dtype, **w)


@dataclass(frozen=True)
class Score(Decision):
    """The decision ``sum(x) > bound + 1/3``."""

    bound: int

    def compute(self, x: Tensor) -> Tensor:
        return self.total(x) > self.bound + BOUND

    def build(self, b: Builder, x: ir.Value) -> ir.Value:
        limit = b.constant(self.bound + BOUND)
        return self.node(b, "Greater", [self.total_node(b, x), limit], BOOL)


@dataclass(frozen=True)
class Index(Decision):
    """The level ``(sum(x) > 1/3) + (sum(x) > 4 + 1/3) + ...``, of ``levels``."""

    levels: int

    @property
    def bounds(self) -> list[float]:
        """Where the level changes."""
        return [4 * k + BOUND for k in range(self.levels - 1)]

    def compute(self, x: Tensor) -> Tensor:
        first, *rest = ((self.total(x) > bound).long() for bound in self.bounds)
        return sum(rest, first)

    def build(self, b: Builder, x: ir.Value) -> ir.Value:
        total, level = self.total_node(b, x), None
        for bound in self.bounds:
            above = self.node(b, "Greater", [total, b.constant(bound)], BOOL)
            one = self.node(b, "Cast", [above], INT64, to=7)
            level = one if level is None else self.node(b, "Add", [level, one], INT64)
        assert level is not None
        return level


@dataclass(frozen=True)
class Not(Decision):
    """The opposite decision."""

    def compute(self, decision: Tensor) -> Tensor:
        return ~decision

    def build(self, b: Builder, decision: ir.Value) -> ir.Value:
        return self.node(b, "Not", [decision], BOOL)


@dataclass(frozen=True)
class Marker(Op):
    """A marker: what decides, then the values it decides on."""

    name: str

    def shapes(self, *xs: Shape) -> tuple[Shape, ...]:
        return (xs[1],)


@dataclass(frozen=True)
class Gate(Marker):
    """Decision, on, off; without off, zeros."""

    def compute(self, take: Tensor, on: Tensor, off: Tensor | float = 0) -> Tensor:
        return markers.gate(take, on, off, name=self.name)

    def build(self, b: Builder, take: ir.Value, on: ir.Value, *off: ir.Value) -> ir.Value:
        sides = [on, *(off or [b.zeros(on)])]
        return b.node("dyncompile.Gate", [take, *sides], inner(on), name=self.name)


@dataclass(frozen=True)
class Switch(Marker):
    """Index, then the options."""

    def compute(self, index: Tensor, *options: Tensor) -> Tensor:
        return markers.switch(index, list(options), name=self.name)

    def build(self, b: Builder, index: ir.Value, *options: ir.Value) -> ir.Value:
        op_type = f"dyncompile.{dialect.switch_op_type(len(options))}"
        return b.node(op_type, [index, *options], inner(options[0]), name=self.name)


@dataclass(frozen=True)
class Budget(Marker):
    """Level, and what is budgeted."""

    counts: tuple[int, ...]

    def compute(self, level: Tensor, x: Tensor) -> Tensor:
        axis = -1 if x.ndim == 3 else 1
        return markers.channel_budget(x, level, self.counts, axis=axis, name=self.name)

    def build(self, b: Builder, level: ir.Value, x: ir.Value) -> ir.Value:
        ways: Attributes = {
            "counts": list(self.counts),
            "axis": axis_of(inner(x)),
            "name": self.name,
        }
        return b.node("dyncompile.ChannelBudget", [x, level], inner(x), **ways)
