"""What becomes of the values that a branch returns."""

from __future__ import annotations

__all__ = ["ReadersOutside", "forget_sizes", "forget_sizes_outside"]

from collections.abc import Iterator

import onnx_ir as ir

from dyncompile.dialect import ELSE, THEN
from dyncompile.passes.rounds import behind_identities
from dyncompile.passes.scopes import Scopes

_BRANCHES = ((THEN, "then_branch"), (ELSE, "else_branch"))


class ReadersOutside:
    """Under which options of a decision the outputs of a graph are read outside of it.

    Whoever hands a value on, a branch that returns it again or a copy, is no reader. Everything
    after the graph has its branches already, so who reads under one option only stands in a
    branch of an If that tests the decision.

    Args:
        graph: Any graph of the model.
        scopes: Owners of nested graphs.
        decision: A value that is known in the graph.
        count: The number of its options.
    """

    def __init__(self, graph: ir.Graph, scopes: Scopes, decision: ir.Value, count: int) -> None:
        self._scopes = scopes
        self._count = count
        self._full = (1 << count) - 1
        self._names = set(_names_of(decision, graph, scopes))
        self._known: dict[ir.Value, int] = {}

    def options(self, value: ir.Value) -> int:
        """Return the options, as bits, for one output of the graph: all if nothing reads it."""
        mask = 0
        for outer in _returned_as(value, self._scopes):
            mask |= self._reading(outer)
        return mask or self._full

    def _reading(self, value: ir.Value) -> int:
        if value in self._known:
            return self._known[value]
        mask = self.options(value) if value.is_graph_output() else 0
        for user, _ in value.uses():
            if mask == self._full:
                break
            reading = self._reading(user.outputs[0]) if _is_copy(user) else self._full
            mask |= reading & self._leading_to(user, value)
        self._known[value] = mask
        return mask

    def _leading_to(self, user: ir.Node, value: ir.Value) -> int:
        """Return the options under which a reader of the value runs, once the value is there."""
        mask, graph = self._full, user.graph
        while graph is not value.graph:
            assert isinstance(graph, ir.Graph), "a reader stands inside of the value's graph"
            owner = self._scopes.owner(graph)
            assert owner is not None, "a reader stands inside of the value's graph"
            mask &= self._branch(owner, graph)
            graph = owner.graph
        return mask

    def _branch(self, owner: ir.Node, graph: ir.Graph) -> int:
        notes = owner.metadata_props
        if owner.op_type != "If" or THEN not in notes or _tested(owner) not in self._names:
            return self._full
        options = {name: set(map(int, notes[note].split(","))) for note, name in _BRANCHES}
        last = max(map(max, options.values()))
        (taken,) = (options[n] for n in options if owner.attributes[n].as_graph() is graph)
        # The last option stands for all beyond it, whether this If or the decision has more.
        numbers = range(max(last + 1, self._count))
        return sum(
            {1 << min(number, self._count - 1) for number in numbers if min(number, last) in taken}
        )


def forget_sizes(value: ir.Value) -> None:
    """Leave the rank of a value only: a stand-in for it is small."""
    if value.shape:
        value.shape = ir.Shape([None] * len(value.shape))


def forget_sizes_outside(value: ir.Value, scopes: Scopes) -> None:
    """Do the same wherever the output of a branch is handed on."""
    pending, seen = [value], {value}
    while pending:
        value = pending.pop()
        copies = (user.outputs[0] for user, _ in value.uses() if _is_copy(user))
        for same in (*_returned_as(value, scopes), *copies):
            if same not in seen:
                seen.add(same)
                forget_sizes(same)
                pending.append(same)


def _returned_as(value: ir.Value, scopes: Scopes) -> Iterator[ir.Value]:
    """Yield the outputs of an If that are this value when its branch is taken."""
    graph = value.graph
    if graph is None or not value.is_graph_output():
        return
    owner = scopes.owner(graph)
    if owner is not None and owner.op_type == "If" and not owner.domain:
        yield from (o for o, r in zip(owner.outputs, graph.outputs, strict=True) if r is value)


def _names_of(decision: ir.Value, graph: ir.Graph, scopes: Scopes) -> Iterator[ir.Value]:
    """Yield the decision, and what it is called in the graphs around the given one."""
    found = {decision}
    yield decision
    while (owner := scopes.owner(graph)) is not None:
        for outer, returned in zip(owner.outputs, graph.outputs, strict=False):
            if owner.op_type == "If" and behind_identities(returned) in found:
                found.add(outer)
                yield outer
        assert isinstance(owner.graph, ir.Graph), "the owner stands in a graph"
        graph = owner.graph


def _tested(node: ir.Node) -> ir.Value | None:
    """Return the decision an If is made from: its condition, or the index that this compares."""
    condition = node.inputs[0]
    test = condition.producer() if condition is not None else None
    if test is not None and test.op_type == "Less" and not test.domain:
        return test.inputs[0]
    if test is not None and test.op_type == "Gather" and not test.domain:
        clamped = test.inputs[1].producer() if test.inputs[1] is not None else None
        return clamped.inputs[0] if clamped is not None and clamped.op_type == "Clip" else None
    return condition


def _is_copy(node: ir.Node) -> bool:
    return node.op_type == "Identity" and not node.domain
