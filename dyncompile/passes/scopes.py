"""Who uses a value, across the scopes of nested graphs."""

from __future__ import annotations

__all__ = ["Scopes", "graphs_of", "inputs_of", "nested_nodes", "sources_of"]

from collections.abc import Iterator

import onnx_ir as ir


def graphs_of(node: ir.Node) -> Iterator[ir.Graph]:
    """Yield the graphs that are attributes of the node: branches and loop bodies."""
    for attribute in node.attributes.values():
        if attribute.is_ref():
            continue
        if attribute.type == ir.AttributeType.GRAPH:
            yield attribute.as_graph()
        elif attribute.type == ir.AttributeType.GRAPHS:
            yield from attribute.as_graphs()


def nested_nodes(node: ir.Node) -> Iterator[ir.Node]:
    """Yield the nodes of the graphs of a node, at every depth, owners before owned."""
    for graph in graphs_of(node):
        for inner in graph:
            yield inner
            yield from nested_nodes(inner)


def inputs_of(node: ir.Node) -> Iterator[ir.Value]:
    """Yield every value the node reads from its own graph or from outside of it.

    Values that its branches or bodies capture count; values defined inside of them do not.
    """
    for value in node.inputs:
        if value is not None:
            yield value
    for graph in graphs_of(node):
        inside = set(graph.inputs) | set(graph.initializers.values())
        for inner in graph:
            inside.update(inner.outputs)
            yield from (value for value in inputs_of(inner) if value not in inside)
        yield from (value for value in graph.outputs if value not in inside)


def sources_of(value: ir.Value) -> Iterator[ir.Value]:
    """Yield what a value is computed from in the end: inputs and initializers."""
    pending, seen = [value], {value}
    while pending:
        value = pending.pop()
        node = value.producer()
        if node is None:
            yield value
            continue
        for before in inputs_of(node):
            if before not in seen:
                seen.add(before)
                pending.append(before)


class Scopes:
    """Which node owns which graph, for one model; kept up to date by whoever adds graphs."""

    def __init__(self, graph: ir.Graph) -> None:
        self._owner: dict[ir.Graph, ir.Node] = {}
        for node in graph:
            self.adopt(node)

    def adopt(self, node: ir.Node) -> None:
        """Record the graphs of a node, at every depth."""
        for graph in graphs_of(node):
            self._owner[graph] = node
            for inner in graph:
                self.adopt(inner)

    def owner(self, graph: ir.Graph) -> ir.Node | None:
        """Return the node that the graph is an attribute of; None for the main graph."""
        return self._owner.get(graph)

    def within(self, node: ir.Node, graph: ir.Graph) -> ir.Node:
        """Return the node of ``graph`` that is the given node or contains it."""
        found = self.find(node, graph)
        assert found is not None, f"{node.name} is not inside {graph.name}"
        return found

    def find(self, node: ir.Node | None, graph: ir.Graph) -> ir.Node | None:
        """Return the same, or None if the node stands elsewhere."""
        while node is not None and node.graph is not graph:
            assert isinstance(node.graph, ir.Graph), f"{node.name} is in no graph"
            node = self._owner.get(node.graph)
        return node
