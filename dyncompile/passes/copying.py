"""Copies of nodes, and nodes that read other values than before."""

from __future__ import annotations

__all__ = ["copied", "numbered_copy", "rewire"]

from collections.abc import Callable

import onnx_ir as ir

from dyncompile.passes.scopes import nested_nodes


def copied(node: ir.Node) -> ir.Node:
    """Return a node like the given one, its graphs copied too, that reads the same values."""
    attributes = [
        ir.AttrGraph(attribute.name, attribute.as_graph().clone(allow_outer_scope_values=True))
        if attribute.type == ir.AttributeType.GRAPH
        else attribute
        for attribute in node.attributes.values()
    ]
    copy = ir.Node(
        node.domain,
        node.op_type,
        node.inputs,
        attributes,
        num_outputs=len(node.outputs),
        version=node.version,
        name=node.name,
        metadata_props=dict(node.metadata_props),
    )
    for old, new in zip(node.outputs, copy.outputs, strict=True):
        new.name, new.type, new.shape = old.name, old.type, old.shape
        new.metadata_props.update(old.metadata_props)
    return copy


def numbered_copy(node: ir.Node, values: dict[ir.Value, ir.Value], number: int) -> ir.Node:
    """Return one of several copies of a node, without its notes, in which ``values`` are replaced.

    What the copy computes is entered into ``values``. Nodes get names of their own, because
    decisions are named after nodes: what one copy decides is not what the original decides.
    """
    copy = copied(node)
    copy.metadata_props.clear()  # where an exporter found the node is said once, not n times
    for inner in (copy, *nested_nodes(copy)):
        inner.name = f"{inner.name}#{number}"
    rewire(copy, lambda value: values.get(value, value) if value is not None else None)
    for old, new in zip(node.outputs, copy.outputs, strict=True):
        new.name = f"{old.name}.{number}"
        values[old] = new
    return copy


def rewire(node: ir.Node, find: Callable[[ir.Value | None], ir.Value | None]) -> None:
    """Let a node, and all nodes of its graphs, read ``find(value)`` in place of each value."""
    for reader in (node, *nested_nodes(node)):
        for index, value in enumerate(reader.inputs):
            found = find(value)
            if found is not value:
                reader.replace_input_with(index, found)
