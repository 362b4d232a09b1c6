"""Constants that are stacks of weights, taken apart."""

from __future__ import annotations

__all__ = ["Stack", "is_constant", "remove_if_unused", "weight_readers"]

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from dyncompile.passes.constants import shared_constant

# The inputs that runtime kernels prepare once, at load, if they are constant.
_WEIGHT_INPUTS = {
    "Conv": {1},
    "ConvInteger": {1},
    "ConvTranspose": {1},
    "GRU": {1, 2},
    "Gemm": {1},
    "LSTM": {1, 2},
    "MatMul": {1},
    "RNN": {1, 2},
}
_FORMS = {"Cast", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"}


def is_constant(value: ir.Value | None) -> bool:
    """Whether a value is an initializer that nobody can feed."""
    return (
        value is not None
        and value.is_initializer()
        and not value.is_graph_input()
        and value.const_value is not None
    )


def weight_readers(value: ir.Value) -> set[ir.Node]:
    """Return the nodes, in any graph, that read a value as a weight.

    Nodes that show it to them in another form are among them.
    """
    readers: set[ir.Node] = set()
    for user, index in value.uses():
        if user.domain:
            continue
        if index in _WEIGHT_INPUTS.get(user.op_type, ()):
            readers.add(user)
        elif index == 0 and user.op_type in _FORMS:
            behind = weight_readers(user.outputs[0])
            readers |= behind | ({user} if behind else set())
    return readers


def remove_if_unused(constant: ir.Value) -> None:
    """Drop a constant that nothing reads any more."""
    if constant.is_initializer() and not constant.uses() and not constant.is_graph_output():
        assert isinstance(constant.graph, ir.Graph)
        assert constant.name is not None
        del constant.graph.initializers[constant.name]


@dataclass(frozen=True)
class Stack:
    """A constant seen as a row of constants.

    Attributes:
        constant: An initializer.
        axis: Along which it is taken apart.
        stays: Whether it is used otherwise, too. Then its elements are views of it, which
            ONNX Runtime folds when it loads the file; otherwise each is stored by itself.
    """

    constant: ir.Value
    axis: int
    stays: bool

    def element(self, number: int, dims: Sequence[int]) -> tuple[ir.Value, list[ir.Node]]:
        """Return an element in the shape ``dims``, and the nodes that make it, if it is a view."""
        graph, tensor = self.constant.graph, self.constant.const_value
        assert isinstance(graph, ir.Graph)
        assert tensor is not None
        name = f"{self.constant.name}.{number}"
        if self.stays:
            return self._view(graph, name, number, dims)
        array = np.take(tensor.numpy(), number, self.axis).reshape(dims)
        value = ir.Value(
            name=_unused(graph, name),
            type=self.constant.type,
            shape=ir.Shape(dims),
            const_value=ir.Tensor(np.array(array, order="C"), dtype=tensor.dtype),
        )
        graph.register_initializer(value)
        return value, []

    def _view(
        self, graph: ir.Graph, name: str, number: int, dims: Sequence[int]
    ) -> tuple[ir.Value, list[ir.Node]]:
        bounds = [_numbers(graph, [bound]) for bound in (number, number + 1, self.axis)]
        part = ir.Node("", "Slice", [self.constant, *bounds])
        view = ir.Node("", "Reshape", [part.outputs[0], _numbers(graph, list(dims))])
        part.outputs[0].name, view.outputs[0].name = f"{name}.part", name
        for node in (part, view):
            node.outputs[0].type = self.constant.type
        view.outputs[0].shape = ir.Shape(dims)
        return view.outputs[0], [part, view]


def _unused(graph: ir.Graph, name: str) -> str:
    free, count = name, 1
    while free in graph.initializers:
        count += 1
        free = f"{name}.{count}"
    return free


def _numbers(graph: ir.Graph, numbers: list[int]) -> ir.Value:
    """Return a constant int64 vector beside the stack, the same for the same numbers."""
    name = "numbers." + "x".join(map(str, numbers))
    return shared_constant(graph, name, np.asarray(numbers, np.int64))
