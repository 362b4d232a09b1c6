"""Feed decisions to a copy of an artifact, as ``markers.follow`` forces them in the model."""

from __future__ import annotations

__all__ = ["force_decisions", "split_tests"]

import dataclasses
from collections.abc import Collection, Iterable, Mapping

import onnx_ir as ir

from dyncompile.dialect import CUTS, DECISION, REPORT, Budget, Selector
from dyncompile.errors import GraphError
from dyncompile.manifest import Decision
from dyncompile.passes.branch_notes import TESTS, around
from dyncompile.passes.decision_values import require_value, unused_name, values_by_name
from dyncompile.passes.expose_decisions import expose_decisions
from dyncompile.passes.scopes import graphs_of


def force_decisions(
    model: ir.Model, decisions: Iterable[Decision], *, keep_scores: bool = False
) -> dict[str, list[str]]:
    """Make decisions inputs of the main graph, for what they decide and nothing else.

    ``markers.follow`` replaces a decision inside of the marker; a model that also computes
    with it (a count of the blocks that ran) still sees what it decided itself. So does this:
    only the conditions of Ifs, markers, cuts by a level, and reports of the decision read the
    input. That an If tests the decision rightly is part of what a forced path shows, and so is
    that it is reported rightly.

    Before: ``take = Greater(score, bound); n = Cast(take); y = If(take)``
    After: ``take = Greater(score, bound); n = Cast(take); y = If(skip.decision)``

    Args:
        model: A lowered or marked graph, changed in place.
        decisions: Those to force, as in its manifest.
        keep_scores: Whether the decisions are still computed, though nothing reads them: then
            a forced path costs what a free one does.

    Returns:
        For each decision that an If or a marker tests, the inputs that hold it.

    Raises:
        GraphError: an If does not test the decision it says it was made from.
    """
    splitter = _Splitter(values_by_name(model), {d.name: d for d in decisions})
    for node in list(model.graph.all_nodes()):
        splitter.split(node)
    inputs = expose_decisions(model, splitter.controls(), keep_scores=keep_scores)
    if keep_scores:
        splitter.remove_unread_tests(model)
    return inputs


def split_tests(model: ir.Model, decisions: Iterable[Decision]) -> dict[str, list[ir.Value]]:
    """Give the Ifs, markers and cuts that act on a decision a copy that nothing else reads.

    Before: ``take = Greater(score, bound); n = Cast(take); y = If(take)``
    After: ``take = Greater(score, bound); n = Cast(take); copy = Identity(take); y = If(copy)``

    Returns:
        For each decision that is tested, the copies.

    Raises:
        GraphError: an If does not test the decision it says it was made from.
    """
    values = values_by_name(model)
    splitter = _Splitter(values, {d.name: d for d in decisions})
    for node in list(model.graph.all_nodes()):
        splitter.split(node)
    return {d.name: [values[name] for name in d.values] for d in splitter.controls()}


def _reads_decision(node: ir.Node) -> int | None:
    """Return at which input a node acts on a decision, for every node but an If."""
    if Budget.from_node(node) is not None:
        return 1
    is_report = REPORT in node.metadata_props and len(node.inputs) > 0  # constants read nothing
    is_noted = CUTS in node.metadata_props or is_report
    return 0 if is_noted or Selector.from_node(node) is not None else None


class _Splitter:
    """Gives the tests of a decision a value of their own."""

    def __init__(self, values: dict[str, ir.Value], decisions: Mapping[str, Decision]) -> None:
        self._values = values
        self._decisions = decisions
        self._holders = {
            require_value(values, value, name): name
            for name, decision in decisions.items()
            for value in decision.values
        }
        self._split: dict[ir.Value, ir.Value] = {}
        self._left: set[ir.Value] = set()

    def controls(self) -> list[Decision]:
        """Return the decisions with the values that their tests now read."""
        names: dict[str, list[str]] = {}
        for value, control in self._split.items():
            names.setdefault(self._holders[value], []).append(control.name or "")
        return [
            dataclasses.replace(decision, values=tuple(names[name]))
            for name, decision in self._decisions.items()
            if name in names
        ]

    def split(self, node: ir.Node) -> None:
        """Let the node read the decision from a value that nothing but tests reads."""
        reads = _reads_decision(node)
        if reads is not None:
            decision = node.inputs[reads]
            if decision is not None and decision in self._holders:
                node.replace_input_with(reads, self._control(decision))
            return
        name = node.metadata_props.get(DECISION, "")
        if node.op_type != "If" or name not in self._decisions:
            return
        condition = node.inputs[0]
        assert condition is not None, "an If has a condition"
        names = {name, *(one.decision for one in around(node))}
        test = self._copied(condition, names, node)
        if test is condition and not self._follows(condition):
            raise GraphError(
                f"this If does not test its decision {name!r}.",
                where=f"node {node.name!r}",
                remedy="Use the manifest that was made for this graph.",
            )
        node.replace_input_with(0, test)

    def remove_unread_tests(self, model: ir.Model) -> None:
        """Remove the tests that copies have replaced, and what splits a decision from them."""
        for node in reversed(list(model.graph.all_nodes())):
            is_test = node.op_type in TESTS and not node.domain
            if is_test and not any(
                value.uses() or value.is_graph_output() or value in self._holders
                for value in node.outputs
            ):
                assert isinstance(node.graph, ir.Graph), "the node stands in a graph"
                node.graph.remove(node, safe=True)

    def _follows(self, condition: ir.Value) -> bool:
        """Whether a condition is computed from tests that leave a branch."""
        node = condition.producer()
        if condition in self._left or node is None or node.op_type not in TESTS or node.domain:
            return condition in self._left
        return any(value is not None and self._follows(value) for value in node.inputs)

    def _split_inside(self, value: ir.Value, names: Collection[str]) -> None:
        """Split a test that is made in a branch and leaves it for other tests, and nothing else."""
        node = value.producer()
        if node is None or node.op_type != "If" or node.domain or value in self._left:
            return
        index = node.outputs.index(value)
        for branch in graphs_of(node):
            tested = branch.outputs[index]
            maker = tested.producer()
            if maker is not None and tested not in self._holders:
                test = self._copied(tested, names, maker)
                if test is not tested:
                    branch.outputs[index] = test
                    self._left.add(value)

    def _copied(self, value: ir.Value, names: Collection[str], before: ir.Node) -> ir.Value:
        """Return the value computed from the decision's own one; itself if it is not."""
        if self._holders.get(value) in names:
            return self._control(value)
        node = value.producer()
        if node is None or node.domain or node.op_type not in TESTS:
            self._split_inside(value, names)
            return value
        inputs = [None if v is None else self._copied(v, names, before) for v in node.inputs]
        if inputs == list(node.inputs):
            return value
        copy = ir.Node("", node.op_type, inputs, list(node.attributes.values()))
        assert isinstance(before.graph, ir.Graph)
        before.graph.insert_before(before, copy)
        return self._named(copy.outputs[0], value)

    def _control(self, value: ir.Value) -> ir.Value:
        if value not in self._split:
            identity = ir.Node("", "Identity", [value])
            self._split[value] = self._named(identity.outputs[0], value)
            producer, graph = value.producer(), value.graph
            assert isinstance(graph, ir.Graph), "named values of a graph know their graph"
            if producer is not None:
                graph.insert_after(producer, identity)
            elif len(graph):
                graph.insert_before(graph[0], identity)
            else:
                graph.append(identity)
        return self._split[value]

    def _named(self, new: ir.Value, like: ir.Value) -> ir.Value:
        new.name = unused_name(f"{like.name}.test", self._values)
        new.type, new.shape = like.type, like.shape
        self._values[new.name] = new
        return new
