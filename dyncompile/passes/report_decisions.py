"""Report the decisions a call took as outputs of the main graph."""

from __future__ import annotations

__all__ = ["NOT_REACHED", "always_reported", "report_decisions"]

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

import onnx_ir as ir

from dyncompile.dialect import ABSENT, DECISION, REPORT
from dyncompile.manifest import Decision
from dyncompile.passes.decision_values import require_value, unused_name, values_by_name

NOT_REACHED = -1

_IF_BRANCHES = ("then_branch", "else_branch")


def report_decisions(model: ir.Model, decisions: Iterable[Decision]) -> dict[str, str]:
    """Add one output ``int64[]`` per decision to the main graph.

    The output is the option taken (0 or 1 for a gate), or -1 where the call did not come to
    the point at which the decision is computed. Reports leave a branch as further outputs of
    its If; where clones of one decision sit in several branches, the one that ran reports. A
    decision computed inside the body of a Loop or Scan has no single option, and reports -1.
    ``drop_reports`` takes all of this back.

    Before: ``y = If(outer) { t = Greater(a, b); y1 = If(t) ... } else { ... }``
    After: ``y, inner = If(outer) { ...; option = Cast(t) } else { ...; -1 }``

    Args:
        model: A lowered or marked graph, changed in place.
        decisions: Those to report, as in its manifest.

    Returns:
        For each decision, its output: ``<decision>.option``, numbered if the name is taken.

    Raises:
        GraphError: the graph lacks a value that a decision names.
    """
    values = values_by_name(model)
    nodes = {node.name for node in model.graph.all_nodes() if node.name}
    branches = _branches(model.graph)
    outputs: dict[str, str] = {}
    for decision in decisions:
        write = _Writer(decision, values, nodes)
        options = defaultdict(list)
        for value in _computed([require_value(values, v, decision.name) for v in decision.values]):
            graph = value.graph
            if graph is model.graph or graph in branches:
                assert graph is not None, "named values of a graph know their graph"
                options[graph].append(write.option(graph, value))
        report = _lift(options, branches, model.graph, write)
        write.rename(report, f"{decision.name}.option")
        model.graph.outputs.append(report)
        outputs[decision.name] = report.name or ""
    return outputs


def always_reported(
    model: ir.Model, decisions: Iterable[Decision], known: Collection[str]
) -> set[str]:
    """Return the decisions that are reported by every call whose path has them.

    These are computed in the main graph, or in branches of known decisions alone: not inside of
    loops, nor of an If of which a path says nothing.

    Args:
        model: A lowered graph.
        decisions: Those asked for.
        known: Names of the decisions that paths speak of.

    Raises:
        GraphError: the graph lacks a value that a decision names.
    """
    values = values_by_name(model)
    branches = _branches(model.graph)
    within: dict[ir.Graph | None, bool] = {model.graph: True}
    for graph, place in branches.items():  # outer ones first
        name = place.node.metadata_props.get(DECISION)
        within[graph] = within[place.outer] and name in known
    return {
        decision.name
        for decision in decisions
        if all(
            within.get(require_value(values, name, decision.name).graph, False)
            for name in decision.values
        )
    }


def _computed(held: list[ir.Value]) -> Iterator[ir.Value]:
    """Yield the values that compute a decision, not those that hand it out of a branch.

    Where the call did not come to the branch, these hold a stand-in.
    """
    pending, found = list(held), set[ir.Value]()
    while pending:
        value = pending.pop(0)
        node = value.producer()
        handed = []
        if node is not None and node.op_type == "If" and not node.domain:
            index = node.outputs.index(value)
            handed = [node.attributes[name].as_graph().outputs[index] for name in _IF_BRANCHES]
        if any(inner in held or _is_stand_in(inner) for inner in handed):
            pending += [inner for inner in handed if not _is_stand_in(inner)]
        elif value not in found:
            found.add(value)
            yield value


def _is_stand_in(value: ir.Value) -> bool:
    node = value.producer()
    return node is not None and ABSENT in node.metadata_props


@dataclass(frozen=True)
class _Branch:
    """Where a branch hangs."""

    node: ir.Node
    outer: ir.Graph
    depth: int


def _branches(main: ir.Graph) -> dict[ir.Graph, _Branch]:
    """Return the branches that only Ifs lead to."""
    found: dict[ir.Graph, _Branch] = {}
    pending = [(main, 1)]
    while pending:
        outer, depth = pending.pop()
        for node in outer:
            if node.op_type == "If" and node.domain == "":
                for branch in _IF_BRANCHES:
                    inner = node.attributes[branch].as_graph()
                    found[inner] = _Branch(node, outer, depth)
                    pending.append((inner, depth + 1))
    return found


@dataclass(frozen=True)
class _Writer:
    """Adds the nodes that one decision needs, named apart from all others."""

    decision: Decision
    values: dict[str, ir.Value]
    nodes: set[str]

    def option(self, graph: ir.Graph, value: ir.Value) -> ir.Value:
        """Return the decision as the number of the option taken."""
        number = value
        if value.dtype != ir.DataType.INT64:
            number = self._add(graph, "Cast", [value], to=ir.DataType.INT64)
            number.shape = value.shape
        if self.decision.kind == "switch":  # an index beyond the last option means the last
            last = len(self.decision.sides) - 1
            bounds = [self._constant(graph, bound) for bound in (0, last)]
            number = self._add(graph, "Clip", [number, *bounds])
            number.shape = value.shape
        if value.shape is None:
            number = self._add(graph, "Reshape", [number, self._constant(graph, [])])
        elif len(value.shape):
            axes = self._constant(graph, list(range(len(value.shape))))
            number = self._add(graph, "Squeeze", [number, axes])
        number.shape = ir.Shape([])
        return number

    def merged(self, graph: ir.Graph, options: list[ir.Value]) -> ir.Value:
        """Return the one that was reached; at most one is."""
        if not options:
            return self._constant(graph, NOT_REACHED)
        if len(options) == 1:
            return options[0]
        merged = self._add(graph, "Max", options)
        merged.shape = ir.Shape([])
        return merged

    def output(self, node: ir.Node) -> ir.Value:
        """Give the If one more output."""
        node.resize_outputs(len(node.outputs) + 1)
        output = node.outputs[-1]
        output.dtype, output.shape = ir.DataType.INT64, ir.Shape([])
        self.rename(output, f"{self.decision.name}.reported")
        return output

    def rename(self, value: ir.Value, wanted: str) -> None:
        """Name a value, numbered if the name is taken."""
        self.values.pop(value.name or "", None)
        value.name = unused_name(wanted, self.values)
        self.values[value.name] = value

    def _constant(self, graph: ir.Graph, number: int | list[int]) -> ir.Value:
        tensor = ir.tensor(number, ir.DataType.INT64)
        constant = self._add(graph, "Constant", [], value=tensor)
        constant.shape = ir.Shape(tensor.shape.numpy())
        return constant

    def _add(
        self,
        graph: ir.Graph,
        op_type: str,
        inputs: list[ir.Value],
        **attributes: ir.TensorProtocol | int,
    ) -> ir.Value:
        notes = {REPORT: self.decision.name}
        node = ir.node(op_type, inputs, attributes, metadata_props=notes)
        output = node.outputs[0]
        output.dtype = ir.DataType.INT64
        self.rename(output, f"{self.decision.name}.{op_type.lower()}")
        node.name = unused_name(output.name or "", self.nodes)
        self.nodes.add(node.name)
        graph.append(node)
        return output


def _lift(
    options: dict[ir.Graph, list[ir.Value]],
    branches: dict[ir.Graph, _Branch],
    main: ir.Graph,
    write: _Writer,
) -> ir.Value:
    """Bring the options found in branches to the main graph, the deepest first."""
    while inner := [graph for graph in options if graph is not main]:
        place = branches[max(inner, key=lambda graph: branches[graph].depth)]
        for name in _IF_BRANCHES:
            branch = place.node.attributes[name].as_graph()
            branch.outputs.append(write.merged(branch, options.pop(branch, [])))
        options.setdefault(place.outer, []).append(write.output(place.node))
    return write.merged(main, options.pop(main, []))
