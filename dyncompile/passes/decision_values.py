"""Find the tensors that a manifest names in a graph."""

from __future__ import annotations

__all__ = ["following", "require_value", "unused_name", "values_by_name", "values_of"]

from collections.abc import Collection, Container, Iterable, Mapping

import onnx_ir as ir

from dyncompile.errors import GraphError
from dyncompile.manifest import Decision
from dyncompile.passes.scopes import sources_of


def values_by_name(model: ir.Model) -> dict[str, ir.Value]:
    """Return every named value of the graph and of its subgraphs."""
    values: dict[str, ir.Value] = {}
    for graph in (model.graph, *model.graph.subgraphs()):
        for value in (*graph.inputs, *graph.initializers.values()):
            values[value.name or ""] = value
        for node in graph:
            values.update((value.name, value) for value in node.outputs if value.name)
    values.pop("", None)
    return values


def require_value(values: Mapping[str, ir.Value], name: str, decision: str) -> ir.Value:
    """Return the value that holds a decision.

    Raises:
        GraphError: the graph has none of that name.
    """
    if name not in values:
        raise GraphError(
            f"the graph has no value {name!r}.",
            where=f"decision {decision!r}",
            remedy="Use the manifest that was made for this graph.",
        )
    return values[name]


def values_of(model: ir.Model, decisions: Iterable[Decision]) -> dict[str, list[ir.Value]]:
    """Return, by name of the decision, the values that hold it.

    Raises:
        GraphError: the graph lacks one.
    """
    values = values_by_name(model)
    return {d.name: [require_value(values, name, d.name) for name in d.values] for d in decisions}


def following(
    model: ir.Model, decisions: Collection[Decision], knobs: Collection[str]
) -> list[Decision]:
    """Return the decisions that are computed from knobs and constants alone.

    Raises:
        GraphError: the graph lacks a value that a decision names.
    """
    values = values_of(model, decisions)
    return [
        decision
        for decision in decisions
        if all(
            source.is_initializer() or source.name in knobs
            for value in values[decision.name]
            for source in sources_of(value)
        )
    ]


def unused_name(wanted: str, taken: Container[str]) -> str:
    """Return the wanted name, or the first numbered one that is free."""
    name, count = wanted, 1
    while name in taken:
        count += 1
        name = f"{wanted}.{count}"
    return name
