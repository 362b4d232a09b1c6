"""Put what is quantised where it is read."""

from __future__ import annotations

__all__ = ["localise"]

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from dyncompile.passes.decision_values import unused_name
from dyncompile.passes.scopes import graphs_of
from dyncompile.targets.trt.skeleton import Skeleton

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

_DEQUANTISE = "DequantizeLinear"
_FLOAT = np.dtype(np.float32)


def localise(model: ir.Model) -> ir.Model:
    """Return a model whose branches dequantise for themselves, from constants of their own.

    Before: ``w = DequantizeLinear(q); If(take) { Conv(x, w) } else { Conv(Relu(x), w) }``
    After: ``If(take) { w1 = DequantizeLinear(q1); Conv(x, w1) } else { w2 = ...(q2); ... }``

    TensorRT fuses a DequantizeLinear only with what reads it on the same side of a border, and
    refuses a quantised constant that two branches read. Copies cost nothing: a builder stores
    equal constants once. What stays in float, and what is quantised outside, is captured as
    before.

    onnx-graphsurgeon does the surgery. It drops notes, default values of inputs and types, and
    copies every constant into each branch that reads it; so it gets the graph without any
    constants, as place-holders, and names, notes and data are put back afterwards. A model in
    which no branch reads across a border what is quantised is returned as it is.

    Args:
        model: It is not changed.
    """
    if not any(_is_crossed(owner, graph) for owner, graph in _nested(model.graph)):
        return model
    import onnx_graphsurgeon

    skeleton = Skeleton.from_model(model)
    with _quiet():
        graph = onnx_graphsurgeon.import_onnx(ir.to_proto(skeleton.bare))
        surgeon = _Surgeon(graph, skeleton)
        surgeon.localise(graph, "")
        graph.cleanup(remove_unused_graph_inputs=False, recurse_subgraphs=True)
        result = ir.from_proto(onnx_graphsurgeon.export_onnx(graph))
    assert isinstance(result, ir.Model)
    restored = skeleton.restored(result.graph, surgeon.copies, surgeon.homes)
    assert _signature(restored) == _signature(model), "inputs and outputs are those of before"
    return restored


class _Surgeon:
    """Copies what dequantises, and its constants, into graphs that read them.

    Attributes:
        copies: New names, and of what they are copies.
        homes: New names of constants, and the names of the graphs they belong to.
    """

    def __init__(self, main: gs.Graph, skeleton: Skeleton) -> None:
        self._main = main
        self._graph_of = {name: _graph_name(c) for name, c in skeleton.constants.items()}
        self._taken = skeleton.names()
        self.copies: dict[str, str] = {}
        self.homes: dict[str, str] = {}

    def localise(self, graph: gs.Graph, owner: str) -> None:
        """Give a graph, and those inside, copies of their own.

        Args:
            graph: Of graphsurgeon.
            owner: The operator that it is a branch or body of; empty for the main graph.
        """
        if owner == "If":
            self._copy_dequantisers(graph)
        if owner:
            self._copy_constants(graph)
        for node in list(graph.nodes):
            for inner in node.subgraphs():
                self.localise(inner, node.op)

    def _copy_dequantisers(self, graph: gs.Graph) -> None:
        own = {id(node) for node in graph.nodes}
        copied: dict[str, gs.Variable] = {}
        for node in list(graph.nodes):
            for index, tensor in enumerate(node.inputs):
                source = tensor.inputs[0] if tensor.inputs else None
                if source is None or source.op != _DEQUANTISE or id(source) in own:
                    continue
                if tensor.name not in copied:
                    copied[tensor.name] = self._copy(source, graph)
                node.inputs[index] = copied[tensor.name]

    def _copy(self, source: gs.Node, graph: gs.Graph) -> gs.Variable:
        import onnx_graphsurgeon

        (output,) = source.outputs
        tensor = onnx_graphsurgeon.Variable(self._new_name(output.name, graph))
        name = self._new_name(source.name, graph)
        inputs = list(source.inputs)
        graph.nodes.insert(
            0,
            onnx_graphsurgeon.Node(
                source.op, name, inputs=inputs, outputs=[tensor], domain=source.domain
            ),
        )
        return tensor

    def _copy_constants(self, graph: gs.Graph) -> None:
        import onnx_graphsurgeon

        copied: dict[str, gs.Variable] = {}
        for node in graph.nodes:
            if node.op != _DEQUANTISE:
                continue
            for index, tensor in enumerate(node.inputs):
                home = self._graph_of.get(tensor.name)
                if home is None or home == graph.name:
                    continue
                if tensor.name not in copied:
                    local = onnx_graphsurgeon.Variable(self._new_name(tensor.name, graph), _FLOAT)
                    self.homes[local.name] = graph.name
                    self._main.inputs.append(local)
                    copied[tensor.name] = local
                node.inputs[index] = copied[tensor.name]

    def _new_name(self, name: str, graph: gs.Graph) -> str:
        new = unused_name(f"{name}.in.{graph.name}", self._taken)
        self._taken.add(new)
        self.copies[new] = self.copies.get(name, name)
        return new


def _nested(graph: ir.Graph) -> Iterator[tuple[ir.Node, ir.Graph]]:
    for node in graph:
        for inner in graphs_of(node):
            yield node, inner
            yield from _nested(inner)


def _is_crossed(owner: ir.Node, graph: ir.Graph) -> bool:
    """Whether a graph reads across its border what is quantised, or a constant that is."""
    read = [(node, value) for node in graph for value in node.inputs if value is not None]
    if any(_is_dequantiser(n) and v.is_initializer() and v.graph is not graph for n, v in read):
        return True
    return owner.op_type == "If" and any(
        value.graph is not graph and _is_dequantiser(value.producer()) for _, value in read
    )


def _is_dequantiser(node: ir.Node | None) -> bool:
    return node is not None and node.op_type == _DEQUANTISE and not node.domain


def _graph_name(value: ir.Value) -> str:
    assert value.graph is not None
    assert value.graph.name, "graphs are named by NameUniquely"
    return value.graph.name


def _signature(model: ir.Model) -> list[tuple[str | None, ir.DataType | None, str]]:
    values = (*model.graph.inputs, *model.graph.outputs)
    return [(value.name, value.dtype, str(value.shape)) for value in values]


@contextmanager
def _quiet() -> Iterator[None]:
    """Let graphsurgeon say nothing: what it misses is put back."""
    from onnx_graphsurgeon.logger import G_LOGGER

    severity = G_LOGGER.severity
    G_LOGGER.severity = G_LOGGER.CRITICAL
    try:
        yield
    finally:
        G_LOGGER.severity = severity
