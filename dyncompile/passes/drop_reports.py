"""Take the reports of decisions out of a graph again."""

from __future__ import annotations

__all__ = ["drop_reports"]

from collections.abc import Collection

import onnx_ir as ir

from dyncompile.dialect import REPORT
from dyncompile.passes.scopes import graphs_of


def drop_reports(model: ir.Model, outputs: Collection[str]) -> None:
    """Remove what ``report_decisions`` added.

    Before: ``y, inner = If(outer) { ...; option = Cast(t) } else { ...; -1 }``
    After: ``y = If(outer) { ... } else { ... }``

    Args:
        model: A lowered graph, changed in place.
        outputs: The outputs that report decisions, as in its manifest.
    """
    graph = model.graph
    reports = [value for value in graph.outputs if value.name in outputs]
    kept = [value for value in graph.outputs if value not in reports]
    graph.outputs.clear()
    graph.outputs.extend(kept)
    for value in reversed(reports):  # an If hands on the last one last
        _drop(value)


def _drop(value: ir.Value) -> None:
    node = value.producer()
    if node is None or value.uses() or value.is_graph_output():
        return
    if node.op_type == "If" and not node.domain:
        _drop_last(node, value)
    elif REPORT in node.metadata_props:
        assert isinstance(node.graph, ir.Graph), "the node stands in a graph"
        sources = dict.fromkeys(source for source in node.inputs if source is not None)
        node.graph.remove(node, safe=True)
        for source in sources:
            _drop(source)


def _drop_last(node: ir.Node, value: ir.Value) -> None:
    """Remove an output of an If, and what its branches compute for it."""
    if value is not node.outputs[-1]:  # another tool has changed it: idle, and small
        return
    node.resize_outputs(len(node.outputs) - 1)
    for branch in graphs_of(node):
        _drop(branch.outputs.pop())
