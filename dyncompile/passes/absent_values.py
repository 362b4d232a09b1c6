"""Zeros of the shape of another value, for branches that return it for nobody."""

from __future__ import annotations

__all__ = ["has_known_sizes", "named_sizes", "return_zeros", "zeros_like"]

import ast
from collections.abc import Iterable

import numpy as np
import onnx_ir as ir

from dyncompile.passes.constants import shared_sizes

_OPERATORS = {ast.Add: "Add", ast.Sub: "Sub", ast.Mult: "Mul", ast.FloorDiv: "Div"}
_FUNCTIONS = {"Max": "Max", "Min": "Min", "max": "Max", "min": "Min"}


def has_known_sizes(value: ir.Value, home: ir.Graph) -> bool:
    """Whether the type and all sizes of a value are constants, or follow from those of inputs."""
    if value.dtype is None or value.shape is None:
        return False
    named = named_sizes(home)
    return all(isinstance(n, int) or _formula(n.value, named) is not None for n in value.shape)


def zeros_like(
    like: ir.Value, condition: ir.Value, home: ir.Graph, *, holds: bool = False
) -> list[ir.Node]:
    """Return the nodes that make zeros of the shape and type of a value; the last has them.

    More than one are made of a condition, so that no builder stores them as a constant of that
    size; and nobody must read them, since a condition may be forced.
    The sizes of the value have to be known.

    Args:
        like: The value.
        condition: One that is false where the nodes run, or true.
        home: The main graph, whose inputs have the sizes that others follow from.
        holds: Whether the condition is true there.
    """
    assert like.dtype is not None
    assert like.shape is not None
    if all(size == 1 for size in like.shape):
        tensor = ir.tensor(np.zeros(like.shape.numpy(), like.dtype.numpy()))
        new = [ir.Node("", "Constant", [], [ir.AttrTensor("value", tensor)])]
        _typed(new[-1], like.dtype, like.shape)
        new[-1].outputs[0].name = f"{like.name}.absent"
        return new
    new = list[ir.Node]()
    if holds:
        new.append(ir.Node("", "Not", [condition]))
        _typed(new[-1], ir.DataType.BOOL, condition.shape)
        condition = new[-1].outputs[0]
    new.append(ir.Node("", "Cast", [condition], [ir.AttrInt64("to", like.dtype.value)]))
    _typed(new[-1], like.dtype, condition.shape)
    number = new[-1].outputs[0]
    sizes = _Sizes(home, new).of(like.shape)
    new.append(ir.Node("", "Expand", [number, sizes]))
    _typed(new[-1], like.dtype, like.shape)
    for node in new:
        node.outputs[0].name = f"{like.name}.absent"
    return new


def return_zeros(
    graph: ir.Graph,
    values: Iterable[ir.Value],
    condition: ir.Value,
    home: ir.Graph,
    *,
    holds: bool = False,
) -> None:
    """Let a branch return zeros for values; the rest is as for ``zeros_like``."""
    for value in values:
        graph.extend(zeros_like(value, condition, home, holds=holds))
        graph.outputs.append(graph[-1].outputs[0])


def _typed(node: ir.Node, dtype: ir.DataType, shape: ir.Shape | None) -> None:
    value = node.outputs[0]
    value.dtype, value.shape = dtype, shape


def named_sizes(home: ir.Graph) -> dict[str, tuple[ir.Value, int]]:
    """Return where the sizes that have names can be read."""
    return {
        size.value: (given, axis)
        for given in home.inputs
        for axis, size in enumerate(given.shape or ())
        if isinstance(size, ir.SymbolicDim) and size.value is not None
    }


def _formula(text: str | None, named: dict[str, tuple[ir.Value, int]]) -> ast.expr | None:
    """Read a size such as ``(h - 1)//2 + 1``; None if it follows from no input."""
    if text is None:
        return None
    if text in named:
        return ast.Name(text)
    try:
        formula = ast.parse(text.strip(), mode="eval").body
    except SyntaxError:
        return None
    return formula if _is_known(formula, named) else None


def _is_known(formula: ast.expr, named: dict[str, tuple[ir.Value, int]]) -> bool:
    if isinstance(formula, ast.BinOp):
        sides = (formula.left, formula.right)
        return type(formula.op) in _OPERATORS and all(_is_known(side, named) for side in sides)
    if isinstance(formula, ast.Call):
        is_function = isinstance(formula.func, ast.Name) and formula.func.id in _FUNCTIONS
        return is_function and all(_is_known(side, named) for side in formula.args)
    if isinstance(formula, ast.Constant):
        return type(formula.value) is int
    return isinstance(formula, ast.Name) and formula.id in named


class _Sizes:
    """Adds the nodes that compute sizes, equal parts of them once."""

    def __init__(self, home: ir.Graph, new: list[ir.Node]) -> None:
        self._home = home
        self._named = named_sizes(home)
        self._new = new
        self._known: dict[str, ir.Value] = {}

    def of(self, shape: ir.Shape) -> ir.Value:
        """Return a shape as a value."""
        known = [size for size in shape if isinstance(size, int)]
        if len(known) == len(shape):
            return shared_sizes(self._home, known)
        parts = [self._size(size) for size in shape]
        return self._add("Concat", parts, [ir.AttrInt64("axis", 0)], entries=len(parts))

    def _size(self, size: int | ir.SymbolicDim) -> ir.Value:
        if isinstance(size, int):
            return shared_sizes(self._home, [size])
        formula = _formula(size.value, self._named)
        assert formula is not None, f"{size} follows from no input"
        return self._part(formula)

    def _part(self, formula: ast.expr) -> ir.Value:
        text = ast.unparse(formula)
        if text not in self._known:
            self._known[text] = self._made(formula)
        return self._known[text]

    def _made(self, formula: ast.expr) -> ir.Value:
        if isinstance(formula, ast.BinOp):
            sides = [self._part(formula.left), self._part(formula.right)]
            return self._add(_OPERATORS[type(formula.op)], sides)
        if isinstance(formula, ast.Call):
            assert isinstance(formula.func, ast.Name)
            return self._add(_FUNCTIONS[formula.func.id], [self._part(a) for a in formula.args])
        if isinstance(formula, ast.Name):
            given, axis = self._named[formula.id]
            bounds = [ir.AttrInt64("start", axis), ir.AttrInt64("end", axis + 1)]
            return self._add("Shape", [given], bounds)
        assert isinstance(formula, ast.Constant)
        assert isinstance(formula.value, int)
        return shared_sizes(self._home, [formula.value])

    def _add(
        self,
        op_type: str,
        inputs: list[ir.Value],
        attributes: list[ir.Attr] | None = None,
        entries: int = 1,
    ) -> ir.Value:
        node = ir.Node("", op_type, inputs, attributes or [])
        _typed(node, ir.DataType.INT64, ir.Shape([entries]))
        self._new.append(node)
        return node.outputs[0]
