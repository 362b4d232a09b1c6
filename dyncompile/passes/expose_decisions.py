"""Turn decisions into inputs, so that a caller can force every path."""

from __future__ import annotations

__all__ = ["expose_decisions"]

from collections.abc import Iterable

import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from dyncompile.manifest import Decision
from dyncompile.passes.decision_values import require_value, unused_name, values_by_name


def expose_decisions(
    model: ir.Model, decisions: Iterable[Decision], *, keep_scores: bool = False
) -> dict[str, list[str]]:
    """Make each decision an input of the main graph; for copies in memory, never shipped.

    Before: ``confident = Greater(score, threshold)``, ``y = If(confident)``.
    After: ``y = If(exit.decision)``, and ``exit.decision`` is an input of the same type.

    A decision that already is an input of the main graph (a knob) stays what it is. Values of
    one decision that differ in type or rank get an input each.

    Args:
        model: A lowered or marked graph, changed in place.
        decisions: Those to expose, as in its manifest.
        keep_scores: Whether work that only the decisions needed stays, dead: ONNX Runtime
            still does it, so that a forced path costs what a free one does.

    Returns:
        For each decision, the inputs that hold it now. Knobs stay inputs, used or not.

    Raises:
        GraphError: the graph lacks a value that a decision names.
    """
    values = values_by_name(model)
    exposed: dict[ir.Value, ir.Value] = {}
    inputs: dict[str, list[str]] = {}
    for decision in decisions:
        by_type: dict[tuple[object, int], ir.Value] = {}
        for name in decision.values:
            value = require_value(values, name, decision.name)
            if value not in exposed:
                if _is_main_input(model, value):
                    exposed[value] = value
                else:
                    fresh = _input_like(value, decision)
                    forced = by_type.setdefault((fresh.dtype, len(fresh.shape or ())), fresh)
                    if forced is fresh:
                        fresh.name = unused_name(f"{decision.name}.decision", values)
                        values[fresh.name] = fresh
                        model.graph.inputs.append(fresh)
                    _replace(value, forced, values)
                    exposed[value] = forced
            known = inputs.setdefault(decision.name, [])
            known += {exposed[value].name or ""} - set(known)
        inputs.setdefault(decision.name, [])
    if not keep_scores:
        RemoveUnusedNodesPass()(model)
        _remove_unused_initializers(model)
    return inputs


def _is_main_input(model: ir.Model, value: ir.Value) -> bool:
    return value.is_graph_input() and value.graph is model.graph


def _input_like(value: ir.Value, decision: Decision) -> ir.Value:
    usual = ir.DataType.BOOL if decision.kind == "gate" else ir.DataType.INT64
    rank = len(value.shape) if value.shape is not None else 0
    return ir.val(None, dtype=value.dtype or usual, shape=[1] * rank)


def _replace(value: ir.Value, forced: ir.Value, values: dict[str, ir.Value]) -> None:
    graph = value.graph
    if value.is_graph_output():
        assert graph is not None, "a graph output belongs to a graph"
        name = value.name
        value.name = unused_name(f"{name}.free", values)
        values[value.name] = value
        output = ir.val(name, dtype=forced.dtype, shape=forced.shape)
        copy = ir.node("Identity", [forced], outputs=[output])
        graph.append(copy)
        for position, old in enumerate(graph.outputs):
            if old is value:
                graph.outputs[position] = output
    value.replace_all_uses_with(forced)


def _remove_unused_initializers(model: ir.Model) -> None:
    """The main graph's are gone already."""
    for graph in model.graph.subgraphs():
        for name, value in list(graph.initializers.items()):
            if not value.uses() and not value.is_graph_output():
                del graph.initializers[name]
