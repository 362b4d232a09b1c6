"""Scans of known length."""

from __future__ import annotations

__all__ = ["Scan"]

from dataclasses import dataclass

import onnx_ir as ir

from dyncompile.passes.pin_foreign_nodes import is_foreign
from dyncompile.passes.rounds import Rounds
from dyncompile.passes.stacks import is_constant, weight_readers


@dataclass(frozen=True)
class Scan:
    """A Scan whose number of rounds is known.

    Attributes:
        rounds: The loop.
        length: How many rounds there are.
        elements: What is scanned, its axis, whether it runs backwards, and its element.
        results: Value of a round, output of the Scan, axis, and whether it runs backwards.
    """

    rounds: Rounds
    length: int
    elements: tuple[tuple[ir.Value, int, bool, ir.Value], ...]
    results: tuple[tuple[ir.Value, ir.Value, int, bool], ...]

    @classmethod
    def from_node(cls, node: ir.Node) -> Scan | None:
        """Read a Scan of known length that may be copied; None for every other node."""
        rounds = Rounds.from_node(node) if node.op_type == "Scan" else None
        if rounds is None or any(value is None for value in node.inputs) or is_foreign(node):
            return None
        states = len(rounds.states)
        axes, backwards = _each(node, "input", len(node.inputs) - states)
        scanned = [value for value in node.inputs[states:] if value is not None]
        if len(axes) != len(scanned) or len(backwards) != len(scanned):
            return None
        lengths = {
            shape[axis]
            for value, axis in zip(scanned, axes, strict=True)
            if (shape := _static_shape(value)) is not None and -len(shape) <= axis < len(shape)
        }
        if len(lengths) != 1:
            return None
        inside = rounds.body.inputs[states:]
        elements = tuple(zip(scanned, axes, backwards, inside, strict=True))
        axes, backwards = _each(node, "output", len(node.outputs) - states)
        given = rounds.body.outputs[states:]
        results = tuple(zip(given, node.outputs[states:], axes, backwards, strict=True))
        return cls(rounds, lengths.pop(), elements, results)

    def is_worth_it(self) -> bool:
        """Whether a round reads an element of a constant as a weight."""
        return self.length > 0 and any(
            is_constant(value) and weight_readers(element) for value, _, _, element in self.elements
        )


def _each(node: ir.Node, side: str, count: int) -> tuple[list[int], list[bool]]:
    """Return the axes of what is scanned or given, and whether each runs backwards."""
    axes = node.attributes.get(f"scan_{side}_axes")
    directions = node.attributes.get(f"scan_{side}_directions")
    return (
        [0] * count if axes is None else list(axes.as_ints()),
        [False] * count if directions is None else [bool(d) for d in directions.as_ints()],
    )


def _static_shape(value: ir.Value) -> list[int] | None:
    if is_constant(value) and value.const_value is not None:
        return list(value.const_value.shape.numpy())
    return None
