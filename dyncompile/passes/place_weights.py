"""Put weights where the runtime can prepack them."""

from __future__ import annotations

__all__ = ["PREPARED", "PlaceWeights", "add_view"]

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from dyncompile.passes.constants import shared_sizes
from dyncompile.passes.scopes import graphs_of

# Operators whose runtime kernels prepare constant inputs once, at load.
PREPARED = {"Conv", "ConvTranspose", "Gemm", "MatMul", "LSTM", "GRU", "RNN", "ConvInteger"}


@dataclass(frozen=True)
class PlaceWeights(ir.passes.InPlacePass):
    """Give every branch the constants that only it uses, and a foldable view of shared ones.

    Before: ``If(take) {Conv(x, w)}`` with ``w`` in the outer graph
    After: ``If(take) {Conv(x, w)}`` with ``w`` an initializer of the branch; if another graph
    uses ``w`` too: ``If(take) {v = Reshape(w, [64, 64, 3, 3]); Conv(x, v)}``

    ONNX Runtime blocks and prepacks a weight only if it is an initializer of the graph that
    uses it. A Reshape of an outer initializer is folded when the session loads, before that; an
    Identity or a Cast would be stripped first and not help. Inputs with a default value are
    knobs, not weights, and stay.

    Attributes:
        copy_bytes: Shared constants up to this size are copied instead of wrapped.
        views: Whether larger shared constants are wrapped at all.
    """

    copy_bytes: int = 128
    views: bool = True

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Place the initializers of the main graph and of every graph nested in it."""
        modified = False
        for graph in list(_graphs(model.graph)):
            inputs = set(graph.inputs)
            for value in list(graph.initializers.values()):
                if value not in inputs:
                    modified |= self._place(value, graph)
        return ir.passes.PassResult(model, modified=modified)

    def _place(self, value: ir.Value, home: ir.Graph) -> bool:
        users: dict[ir.Graph, list[tuple[ir.Node, int]]] = {}
        for node, index in value.uses():
            assert isinstance(node.graph, ir.Graph)
            users.setdefault(node.graph, []).append((node, index))
        placed = _is_placed(value.uses())
        if placed or home in users or value.is_graph_output() or len(users) != 1:
            return self._share(value, home, users)
        (graph,) = users
        assert value.name is not None
        del home.initializers[value.name]
        graph.register_initializer(value)
        return True

    def _share(
        self, value: ir.Value, home: ir.Graph, users: dict[ir.Graph, list[tuple[ir.Node, int]]]
    ) -> bool:
        modified = False
        constant = value.const_value
        for graph, uses in users.items():
            if graph is home or constant is None or _is_placed(uses):
                continue
            if constant.nbytes <= self.copy_bytes:
                local = _register(graph, value, constant)
            elif self.views and any(node.op_type in PREPARED for node, _ in uses):
                sizes = [int(n) for n in constant.shape.numpy()]
                local = add_view(graph, value, sizes, home)
            else:
                continue
            for node, index in uses:
                node.replace_input_with(index, local)
            modified = True
        return modified


def _graphs(graph: ir.Graph) -> Iterator[ir.Graph]:
    """Yield the graph and those nested in it; owners before owned."""
    yield graph
    for node in graph:
        for inner in graphs_of(node):
            yield from _graphs(inner)


def _is_placed(uses: Iterable[tuple[ir.Node, int]]) -> bool:
    """Whether a branch reads an outer constant only to make a foldable view of one."""
    return all(
        node.op_type in {"Reshape", "Slice"}
        and node.inputs[0] is not None
        and node.inputs[0].is_initializer()
        for node, _ in uses
    )


def _register(graph: ir.Graph, like: ir.Value, constant: ir.TensorProtocol) -> ir.Value:
    local = ir.Value(
        name=f"{like.name}.in.{graph.name}",
        type=like.type,
        shape=like.shape,
        const_value=constant,
    )
    graph.register_initializer(local)
    return local


def add_view(graph: ir.Graph, value: ir.Value, sizes: Sequence[int], home: ir.Graph) -> ir.Value:
    """Add a Reshape to the shape that a value of an outer graph has, to be folded at load.

    The sizes are stored beside the value, once for all of that shape.
    """
    view = ir.Node("", "Reshape", [value, shared_sizes(home, sizes)])
    output = view.outputs[0]
    output.name = f"{value.name}.in.{graph.name}"
    output.type, output.shape = value.type, value.shape
    if len(graph):
        graph.insert_before(graph[0], view)
    else:
        graph.append(view)
    return output
