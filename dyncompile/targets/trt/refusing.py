"""Where and how checks refuse."""

from __future__ import annotations

__all__ = ["origins", "place", "refusal", "scoped_nodes", "static_shape"]

from collections.abc import Iterator

import onnx_ir as ir

from dyncompile.dialect import DECISION
from dyncompile.errors import TargetError
from dyncompile.passes.scopes import graphs_of

_SHAPES = {"Shape", "Size"}


def refusal(where: ir.Node | str, problem: str, remedy: str) -> TargetError:
    """Return the error that names a node, or whatever else is concerned."""
    return TargetError(
        problem, where=place(where) if isinstance(where, ir.Node) else where, remedy=remedy
    )


def place(node: ir.Node) -> str:
    """Say which node is meant, by its decision if it has one."""
    decision = node.metadata_props.get(DECISION)
    if node.op_type == "If" and decision is not None:
        return f"decision {decision!r}"
    name = node.name or (node.outputs[0].name if node.outputs else "")
    return f"{node.op_type} {name!r}"


def scoped_nodes(graph: ir.Graph) -> Iterator[tuple[ir.Node, tuple[ir.Node, ...]]]:
    """Yield every node of a graph and of those inside, with the nodes it is nested in."""
    waiting: list[tuple[ir.Node, tuple[ir.Node, ...]]] = [(node, ()) for node in reversed(graph)]
    while waiting:
        node, around = waiting.pop()
        yield node, around
        for inner in graphs_of(node):
            waiting.extend((below, (*around, node)) for below in reversed(inner))


def origins(value: ir.Value) -> Iterator[ir.Value]:
    """Yield what the elements of a value come from, other than constants and shapes.

    These are inputs of the model, of loop bodies, and results of nodes with graphs inside. The
    shape of a value is none of its elements: the walk ends there.
    """
    waiting, seen = [value], {value}
    while waiting:
        value = waiting.pop()
        node = value.producer()
        if value.is_graph_input() or (node is not None and any(graphs_of(node))):
            yield value
        if node is None or node.op_type in _SHAPES or any(graphs_of(node)):
            continue
        for before in node.inputs:
            if before is not None and before not in seen:
                seen.add(before)
                waiting.append(before)


def static_shape(value: ir.Value | None) -> tuple[int, ...] | None:
    """Return the shape of a value whose sizes are all known."""
    if value is None or value.shape is None:
        return None
    sizes = tuple(size for size in value.shape if isinstance(size, int))
    return sizes if len(sizes) == len(value.shape) else None
