"""Which nodes of a graph must run only if their branch is taken."""

from __future__ import annotations

__all__ = ["lazy_nodes"]

from collections.abc import Iterator

import onnx_ir as ir

from dyncompile.engines.request import LazyNode
from dyncompile.macs import is_counted
from dyncompile.passes.scopes import graphs_of

_LOOPS = {"LSTM", "GRU", "RNN"}


def lazy_nodes(model: ir.Model) -> tuple[LazyNode, ...]:
    """Return the nodes that multiply and stand in a branch of an ``If``.

    The names of nodes have to be unique: they are what a builder's layers are found by.
    """
    return tuple(_nodes_in(model.graph, (), in_loop=False))


def _nodes_in(graph: ir.Graph, ifs: tuple[str, ...], *, in_loop: bool) -> Iterator[LazyNode]:
    for node in graph:
        if ifs and node.name and (is_counted(node) or node.op_type == "Einsum"):
            yield LazyNode(node.name, ifs, in_loop or node.op_type in _LOOPS)
        is_if = node.op_type == "If" and node.domain == ""
        within = (*ifs, node.name or "") if is_if else ifs
        for inner in graphs_of(node):
            yield from _nodes_in(inner, within, in_loop=in_loop or (bool(ifs) and not is_if))
