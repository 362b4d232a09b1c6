"""An If in a branch of another: what it needs there, and what others need of that."""

from __future__ import annotations

__all__ = [
    "SIDES",
    "Place",
    "Use",
    "decides",
    "fits",
    "gives_only",
    "handed_on",
    "if_like",
    "is_test",
    "read_from",
    "returned",
]

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import onnx_ir as ir

from dyncompile.dialect import DECISION, ELSE, THEN
from dyncompile.passes.branch_notes import TESTS
from dyncompile.passes.build_branches import like
from dyncompile.passes.copying import rewire
from dyncompile.passes.scopes import graphs_of, inputs_of, nested_nodes

SIDES = {"then_branch": THEN, "else_branch": ELSE}

# What tests a decision, and what makes a value that nobody reads: no work to speak of.
_TESTS = TESTS | {"Constant"}
_GIVES = {"Constant", "ConstantOfShape", "Expand", "Identity"}

Use = tuple[ir.Node | None, int]  # a node and which of its inputs, or which output of a branch


@dataclass(frozen=True)
class Place:
    """Where an If stands.

    Attributes:
        outer: The If that it stands in.
        side: The attribute of that which is its branch.
        inner: The If itself.
    """

    outer: ir.Node
    side: str
    inner: ir.Node

    @property
    def branch(self) -> ir.Graph:
        """The branch it stands in."""
        return self.outer.attributes[self.side].as_graph()

    @property
    def other(self) -> ir.Graph:
        """The other branch."""
        (side,) = SIDES.keys() - {self.side}
        return self.outer.attributes[side].as_graph()

    @property
    def condition(self) -> ir.Value:
        """What the If around it tests."""
        return _condition(self.outer)

    @property
    def test(self) -> ir.Value:
        """What it tests itself."""
        return _condition(self.inner)

    def needed(self) -> list[ir.Node]:
        """Return the nodes of the branch that it needs, in order."""
        needed = _needed(inputs_of(self.inner), self.branch)
        return [node for node in self.branch if node in needed]

    def known_tests(self) -> list[ir.Node]:
        """Return the nodes of the branch that test for it a decision made outside."""
        tested, found = _needed([self.test], self.branch), set[ir.Node]()
        for node in self.branch:
            makers = {value.producer() for value in inputs_of(node)} - found
            is_inside = any(maker is not None and maker.graph is self.branch for maker in makers)
            is_decision = DECISION in node.outputs[0].metadata_props
            if node in tested and _is_small_test(node) and not is_inside and not is_decision:
                found.add(node)
        return [node for node in self.branch if node in found]

    def copy_constants(self) -> None:
        """Give each graph within that reads a constant of the branch one of its own."""
        for node in [one for one in self.branch if one.op_type == "Constant" and not one.domain]:
            copies: dict[ir.Graph, ir.Value] = {}
            for user, index in list(node.outputs[0].uses()):
                graph = user.graph
                if isinstance(graph, ir.Graph) and graph is not self.branch:
                    if graph not in copies:
                        copies[graph] = _copy(node, graph)
                    user.replace_input_with(index, copies[graph])

    def settle(self, side: str) -> None:
        """Let one of its branches stand in its place."""
        kept, branch = self.inner.attributes[side].as_graph(), self.branch
        nodes, results = list(kept), list(kept.outputs)
        kept.outputs.clear()
        kept.remove(nodes)
        branch.insert_before(self.inner, nodes)
        for old, result in zip(self.inner.outputs, results, strict=True):
            uses: list[Use] = list(old.uses())
            uses += [(None, k) for k, output in enumerate(branch.outputs) if output is old]
            for user, index in uses:
                read_from(user, index, result, branch)
        rewire(self.inner, lambda _: None)  # else its other branch counts as a user
        branch.remove(self.inner)

    def is_rung(self) -> bool:
        """Whether the If around it only chooses between it and values, by the same decision."""
        names = {node.metadata_props[DECISION] for node in (self.inner, self.outer)}
        is_alone = len(self.branch) == 1 and set(self.branch.outputs) == set(self.inner.outputs)
        works = not any(map(gives_only, graphs_of(self.inner)))
        return len(names) == 1 and is_alone and works and gives_only(self.other)


def decides(node: ir.Node) -> bool:
    """Whether a node is an If that was made from a decision."""
    return node.op_type == "If" and not node.domain and THEN in node.metadata_props


def handed_on(branch: ir.Graph, nodes: Iterable[ir.Node]) -> list[tuple[ir.Value, list[Use]]]:
    """Return the values of nodes of a branch that others read, and where."""
    inside = {inner for node in nodes for inner in (node, *nested_nodes(node))}
    found: list[tuple[ir.Value, list[Use]]] = []
    for value in (value for node in nodes for value in node.outputs):
        uses: list[Use] = [(user, k) for user, k in value.uses() if user not in inside]
        uses += [(None, k) for k, output in enumerate(branch.outputs) if output is value]
        if uses:
            found.append((value, uses))
    return found


def is_test(user: ir.Node | None, index: int) -> bool:
    """Whether a node reads a value only to choose branches by it."""
    if user is None or decides(user):
        return user is not None and index == 0
    if not _is_small_test(user) or user.outputs[0].is_graph_output():
        return False
    uses = list(user.outputs[0].uses())
    return bool(uses) and all(is_test(after, k) for after, k in uses)


def gives_only(graph: ir.Graph) -> bool:
    """Whether a branch hands values on, or makes some that need no work."""
    last = {value.producer() for value in graph.outputs}
    return all(
        (node.op_type in _GIVES if node in last else _is_small(node)) and not node.domain
        for node in graph
    )


def fits(known: ir.Value, other: ir.Value) -> bool:
    """Whether a value has the sizes of another, as far as those are known; a 1 may be absence."""
    if known.shape is None or other.shape is None or len(known.shape) != len(other.shape):
        return False
    pairs = zip(known.shape, other.shape, strict=True)
    return all(a == b or (a != 1 and not isinstance(b, int)) for a, b in pairs)


def if_like(
    old: ir.Node,
    condition: ir.Value,
    graphs: tuple[ir.Graph, ir.Graph],
    outputs: list[ir.Value],
) -> ir.Node:
    """Return an If with the notes of another."""
    return ir.Node(
        "",
        "If",
        [condition],
        [ir.AttrGraph(side, graph) for side, graph in zip(SIDES, graphs, strict=True)],
        outputs=outputs,
        name=old.name,
        metadata_props=dict(old.metadata_props),
    )


def returned(value: ir.Value, graph: ir.Graph) -> ir.Value:
    """Return a value as one that a branch makes."""
    graph.append(ir.Node("", "Identity", [value], outputs=[like(value)]))
    return graph[-1].outputs[0]


def read_from(user: ir.Node | None, index: int, value: ir.Value, branch: ir.Graph) -> None:
    """Let a node, or a branch that returns it, read a value of the main graph."""
    if user is None:
        branch.outputs[index] = returned(value, branch)
    else:
        user.replace_input_with(index, value)


def _condition(node: ir.Node) -> ir.Value:
    condition = node.inputs[0]
    assert condition is not None, "an If has a condition"
    return condition


def _needed(values: Iterable[ir.Value], graph: ir.Graph) -> AbstractSet[ir.Node]:
    needed: set[ir.Node] = set()
    waiting = list(values)
    while waiting:
        node = waiting.pop().producer()
        if node is not None and node.graph is graph and node not in needed:
            needed.add(node)
            waiting.extend(inputs_of(node))
    return needed


def _copy(constant: ir.Node, graph: ir.Graph) -> ir.Value:
    attributes, output = list(constant.attributes.values()), like(constant.outputs[0])
    graph.insert_before(graph[0], ir.Node("", "Constant", [], attributes, outputs=[output]))
    return output


def _is_small_test(node: ir.Node) -> bool:
    return node.op_type in _TESTS and not node.domain


def _is_small(node: ir.Node) -> bool:
    """Whether a node computes a size or a number."""
    shapes = [value.shape for value in node.outputs]
    return not any(graphs_of(node)) and all(s is not None and len(s) <= 1 for s in shapes)
