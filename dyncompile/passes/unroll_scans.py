"""Unroll scans over constant weights."""

from __future__ import annotations

__all__ = ["UnrollScans"]

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from dyncompile.passes.build_branches import like
from dyncompile.passes.constants import shared_constant
from dyncompile.passes.copying import numbered_copy
from dyncompile.passes.name_uniquely import NameUniquely
from dyncompile.passes.scans import Scan
from dyncompile.passes.scopes import nested_nodes
from dyncompile.passes.stacks import Stack, is_constant, remove_if_unused

_OPSET = 13  # axes of Unsqueeze are an input


@dataclass(frozen=True)
class UnrollScans(ir.passes.InPlacePass):
    """Write the rounds of a Scan one after the other, where it runs over constant weights.

    Before: ``y = Scan(x, weights) (s, w) {t = Conv(s, w); -> t}``, ``weights`` of 2 elements
    After: ``t = Conv(x, w0); y = Conv(t, w1)``

    A runtime prepares constant weights once, at load; elements of a scan it prepares never. Every
    weight is stored once: a constant that is used otherwise stays, and the rounds have foldable
    views of it. What a round gives besides its state is put together by a Concat. Scans that
    do not read an element of a constant as a weight are left alone, and so are files of an
    opset before 13.

    Attributes:
        most_rounds: Longer scans are left alone.
    """

    most_rounds: int = 32

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Unroll in every graph, inner scans first."""
        modified = False
        if model.opset_imports.get("", 0) < _OPSET:
            return ir.passes.PassResult(model, modified=False)
        for graph in [*reversed([*model.graph.subgraphs()]), model.graph]:
            for node in list(graph):
                scan = Scan.from_node(node)
                if scan is not None and scan.length <= self.most_rounds and scan.is_worth_it():
                    _Unroller(scan, graph, model.graph).unroll()
                    modified = True
        if modified:
            NameUniquely()(model)
        return ir.passes.PassResult(model, modified=modified)


class _Unroller:
    """Puts the rounds of one Scan in its place.

    Args:
        scan: What is unrolled.
        graph: Where it stands.
        main: The main graph, for small constants.
    """

    def __init__(self, scan: Scan, graph: ir.Graph, main: ir.Graph) -> None:
        self._scan = scan
        self._graph = graph
        self._main = main
        self._new: list[ir.Node] = []

    def unroll(self) -> None:
        """Replace the Scan."""
        scan, node, body = self._scan, self._scan.rounds.node, self._scan.rounds.body
        self._move_constants(body)
        stacks = self._stacks()
        states: list[ir.Value] = [v for v in node.inputs[: len(scan.rounds.states)] if v]
        given: list[list[ir.Value]] = [[] for _ in scan.results]
        for number in range(scan.length):
            values = {
                before: state for (before, _), state in zip(scan.rounds.states, states, strict=True)
            }
            for value, axis, is_backwards, element in scan.elements:
                at = scan.length - 1 - number if is_backwards else number
                values[element] = self._element(value, axis, at, element, stacks)
            for old in body:
                self._new.append(numbered_copy(old, values, number))
            states = [values.get(after, after) for _, after in scan.rounds.states]
            for row, (value, _, _, _) in zip(given, scan.results, strict=True):
                row.append(values.get(value, value))
        joined = [
            self._joined(row[::-1] if is_backwards else row, output, axis)
            for row, (_, output, axis, is_backwards) in zip(given, scan.results, strict=True)
        ]
        self._put_in_place([*states, *joined])
        for stack in stacks.values():
            remove_if_unused(stack.constant)

    def _move_constants(self, body: ir.Graph) -> None:
        """Take the constants of the body along: the rounds share them."""
        for name, value in list(body.initializers.items()):
            del body.initializers[name]
            value.name = _unused(name, self._graph)
            self._graph.register_initializer(value)
        for node in list(body):
            tensor = ir.convenience.get_const_tensor(node.outputs[0]) if node.outputs else None
            if node.op_type == "Constant" and tensor is not None:
                constant = like(node.outputs[0])
                constant.name = _unused(constant.name or "constant", self._graph)
                constant.const_value, constant.dtype = tensor, tensor.dtype
                constant.shape = ir.Shape(tensor.shape.numpy())
                self._graph.register_initializer(constant)
                if not node.outputs[0].is_graph_output():
                    node.outputs[0].replace_all_uses_with(constant)
                    body.remove(node, safe=True)

    def _stacks(self) -> dict[tuple[ir.Value, int], Stack]:
        node = self._scan.rounds.node
        constants = [(v, axis) for v, axis, _, _ in self._scan.elements if is_constant(v)]
        return {
            (value, axis): Stack(
                value,
                axis,
                stays=value.is_graph_output()
                or any(user is not node for user, _ in value.uses())
                or sum(value is other for other, _ in constants) > 1,
            )
            for value, axis in constants
        }

    def _element(
        self,
        value: ir.Value,
        axis: int,
        at: int,
        element: ir.Value,
        stacks: dict[tuple[ir.Value, int], Stack],
    ) -> ir.Value:
        stack = stacks.get((value, axis))
        if stack is not None and value.const_value is not None:
            dims = list(value.const_value.shape.numpy())
            del dims[axis]
            found, view = stack.element(at, dims)
            self._new += view
            return found
        index = shared_constant(self._main, f"number.{at}", np.asarray(at, np.int64))
        gather = ir.Node("", "Gather", [value, index], [ir.AttrInt64("axis", axis)])
        return self._add(gather, f"{element.name}.{at}", element)

    def _joined(self, row: list[ir.Value], output: ir.Value, axis: int) -> ir.Value:
        axes = shared_constant(self._main, f"axis.{axis}", np.asarray([axis], np.int64))
        parts = []
        for number, value in enumerate(row):
            part = ir.Node("", "Unsqueeze", [value, axes])
            parts.append(self._add(part, f"{output.name}.part.{number}"))
            part.outputs[0].type = value.type
        return self._add(
            ir.Node("", "Concat", parts, [ir.AttrInt64("axis", axis)]), output.name or "", output
        )

    def _add(self, node: ir.Node, name: str, alike: ir.Value | None = None) -> ir.Value:
        value = node.outputs[0]
        value.name = name
        if alike is not None:
            value.type, value.shape = alike.type, alike.shape
        self._new.append(node)
        return value

    def _put_in_place(self, results: list[ir.Value]) -> None:
        """Insert the new nodes, and let what read the Scan read them."""
        node = self._scan.rounds.node
        for output, result in zip(node.outputs, results, strict=True):
            final = self._own(result, output) if output.is_graph_output() else result
            output.replace_all_uses_with(final, replace_graph_outputs=True)
        self._graph.insert_before(node, self._new)
        _detach(node)
        self._graph.remove(node, safe=True)

    def _own(self, result: ir.Value, output: ir.Value) -> ir.Value:
        """Return the result as a value that the graph can return: computed here, returned once."""
        if result.producer() in self._new and not result.is_graph_output():
            result.name = output.name
            return result
        copy = ir.Node("", "Identity", [result], outputs=[like(output)])
        self._new.append(copy)
        return copy.outputs[0]


def _detach(node: ir.Node) -> None:
    """Let what is inside of a node read nothing, so that it is no user of outer values."""
    for inner in nested_nodes(node):
        for index in range(len(inner.inputs)):
            inner.replace_input_with(index, None)


def _unused(name: str, graph: ir.Graph) -> str:
    free, count = name, 1
    while free in graph.initializers:
        count += 1
        free = f"{name}.{count}"
    return free
