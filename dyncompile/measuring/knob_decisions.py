"""How decisions fall that follow from knobs alone."""

from __future__ import annotations

__all__ = ["options_from_knobs"]

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack

import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from dyncompile.knobs import Knob
from dyncompile.manifest import Decision, OperatingPoint
from dyncompile.measuring.findings import Setup
from dyncompile.measuring.sessions import content_of, open_network
from dyncompile.passes.decision_values import values_of
from dyncompile.passes.scopes import inputs_of, nested_nodes
from dyncompile.paths import Path

_LABEL = "the decisions that follow from knobs"
_CPU = Setup(1, ("CPUExecutionProvider",))


def options_from_knobs(
    model: ir.Model, decisions: Sequence[Decision], knobs: Mapping[str, Knob]
) -> Callable[[OperatingPoint], Path]:
    """Return what says which options the knobs lead to.

    Args:
        model: A lowered graph; left as it is.
        decisions: Those that follow from knobs.
        knobs: By name.
    """
    if not decisions:
        return lambda _: {}
    copy = model.clone()
    names = _cut_out(copy, decisions, knobs)
    with ExitStack() as stack:
        content = content_of(copy, _LABEL, stack)
        session = open_network(content, _CPU, _LABEL)

    def options(point: OperatingPoint) -> Path:
        given = {name: knob.array(name, point.get(name)) for name, knob in knobs.items()}
        found = session.run(given)
        return {
            d.name: min(max(int(found[names[d.name]].item()), 0), len(d.sides) - 1)
            for d in decisions
        }

    return options


def _cut_out(
    model: ir.Model, decisions: Iterable[Decision], knobs: Collection[str]
) -> dict[str, str]:
    """Leave of a graph what makes the decisions, as outputs; return their names."""
    graph = model.graph
    found = {name: values[0] for name, values in values_of(model, decisions).items()}
    needed = _sorted_before(found.values())
    _move(needed, graph)
    graph.outputs.clear()
    _remove([node for node in graph if node not in needed], graph)
    outputs = {}
    for name, value in found.items():
        copy = ir.node("Identity", [value])
        graph.append(copy)
        copy.outputs[0].name = outputs[name] = f"{name}.followed"
        copy.outputs[0].type = value.type
        graph.outputs.append(copy.outputs[0])
    for value in [value for value in graph.inputs if value.name not in knobs]:
        graph.inputs.remove(value)
    RemoveUnusedNodesPass()(model)
    return outputs


def _sorted_before(values: Iterable[ir.Value]) -> list[ir.Node]:
    """Return the nodes that values are computed by, each after those that it reads."""
    done: dict[ir.Node, None] = {}
    pending = [node for value in values if (node := value.producer()) is not None]
    while pending:
        node = pending[-1]
        before = [p for value in inputs_of(node) if (p := value.producer()) is not None]
        waiting = [p for p in before if p not in done]
        pending += waiting
        if not waiting:
            done.setdefault(pending.pop())
    return list(done)


def _move(nodes: Iterable[ir.Node], graph: ir.Graph) -> None:
    """Put nodes at the end of the main graph, with the constants that they read."""
    for node in nodes:
        assert isinstance(node.graph, ir.Graph), "the node stands in a graph"
        node.graph.remove(node)
        graph.append(node)
        for value in node.inputs:
            if value is not None and value.is_initializer() and value.graph is not graph:
                assert isinstance(value.graph, ir.Graph), "initializers belong to a graph"
                del value.graph.initializers[value.name or ""]
                graph.register_initializer(value)


def _remove(nodes: Iterable[ir.Node], graph: ir.Graph) -> None:
    for node in nodes:
        for reader in (node, *nested_nodes(node)):
            for index in range(len(reader.inputs)):
                reader.replace_input_with(index, None)
        graph.remove(node)
