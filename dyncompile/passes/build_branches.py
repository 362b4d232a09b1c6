"""Turn a plan over the options of a decision into nested If nodes."""

from __future__ import annotations

__all__ = ["BranchBuilder", "like"]

from collections import Counter
from collections.abc import Sequence

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from dyncompile.dialect import DECISION, ELSE, THEN, Selector
from dyncompile.passes.copying import copied, rewire
from dyncompile.passes.option_tree import Plan, Region
from dyncompile.passes.returned_values import forget_sizes
from dyncompile.passes.scopes import graphs_of
from dyncompile.passes.stand_ins import stand_in

Values = dict[ir.Value, ir.Value]


class BranchBuilder:
    """Builds the branches of one region; nodes move when they have one place, else are copied.

    Args:
        region: What is to be built.
        selector: One of its selectors: names the decision and says how it is tested.
    """

    def __init__(self, region: Region, selector: Selector) -> None:
        self._region = region
        self._selector = selector
        self._places: Counter[ir.Node] = Counter()
        self._clamped: ir.Value | None = None
        self._outermost: list[ir.Node] = []

    def build(self, plan: Plan) -> tuple[list[ir.Node], Values]:
        """Return the nodes that replace the region, and what each wanted value became."""
        self._count(plan)
        values: Values = {}
        nodes = self._fill(plan, values)
        return [*self._outermost, *nodes], {w: self._find(w, plan, values) for w in plan.wanted}

    def _name(self, *parts: str) -> str:
        return ".".join((self._selector.decision.metadata_props[DECISION], *parts))

    def _count(self, plan: Plan) -> None:
        self._places.update(plan.nodes)
        for half in plan.split or ():
            self._count(half)

    def _find(self, wanted: ir.Value, plan: Plan, values: Values) -> ir.Value:
        if wanted in values:
            return values[wanted]
        known = self._region.under(wanted, plan.options)
        assert known is not None, f"{wanted.name} is not decided under {plan.options}"
        return values.get(known, known)

    def _fill(self, plan: Plan, values: Values) -> list[ir.Node]:
        nodes = [self._place(node, plan, values) for node in plan.nodes]
        if plan.split is not None:
            nodes += self._branch(plan, values)
        return nodes

    def _place(self, node: ir.Node, plan: Plan, values: Values) -> ir.Node:
        def find(value: ir.Value | None) -> ir.Value | None:
            if value is None:
                return None
            known = self._region.under(value, plan.options)
            return value if known is None else values.get(known, known)

        if self._places[node] == 1:
            assert isinstance(node.graph, ir.Graph)
            node.graph.remove(node)
            placed = node
        else:
            placed = copied(node)
            values.update(zip(node.outputs, placed.outputs, strict=True))
        if len(plan.options) < self._region.count:
            for graph in graphs_of(placed):
                _decide_inside(graph, self._selector.decision, plan.options)
        rewire(placed, find)
        return placed

    def _branch(self, plan: Plan, values: Values) -> list[ir.Node]:
        assert plan.split is not None
        condition, then, else_ = self._condition(plan)
        wanted = then.wanted
        name = self._name()
        node = ir.Node(
            "",
            "If",
            [condition.outputs[0] if isinstance(condition, ir.Node) else condition],
            [
                ir.AttrGraph("then_branch", self._graph(then, values, f"{name}_then")),
                ir.AttrGraph("else_branch", self._graph(else_, values, f"{name}_else")),
            ],
            outputs=[like(value) for value in wanted],
            name=f"{name}.if",
            metadata_props={
                DECISION: name,
                THEN: ",".join(map(str, then.options)),
                ELSE: ",".join(map(str, else_.options)),
            },
        )
        for value, output in zip(wanted, node.outputs, strict=True):
            if _mask_of(value, self._region) is not None:  # absent where the option skips it
                forget_sizes(output)
        values.update(zip(wanted, node.outputs, strict=True))
        return [condition, node] if isinstance(condition, ir.Node) else [node]

    def _graph(self, plan: Plan, outer: Values, name: str) -> ir.Graph:
        values = dict(outer)
        for value in plan.wanted:
            values.pop(value, None)
        nodes = self._fill(plan, values)
        inside = {output for node in nodes for output in node.outputs}
        outputs: list[ir.Value] = []
        for wanted in plan.wanted:
            needed = _mask_of(wanted, self._region)
            if needed is not None and not any(needed >> option & 1 for option in plan.options):
                nodes.append(stand_in(wanted))
                outputs.append(nodes[-1].outputs[0])
                continue
            found = self._find(wanted, plan, values)
            if found not in inside or found in outputs:  # a branch returns its own values, once
                nodes.append(ir.Node("", "Identity", [found], outputs=[like(wanted)]))
                found = nodes[-1].outputs[0]
            outputs.append(found)
        return ir.Graph([], outputs, nodes=nodes, name=name)

    def _condition(self, plan: Plan) -> tuple[ir.Node | ir.Value, Plan, Plan]:
        """Return a test of the decision and the halves it leads to when it holds or not."""
        assert plan.split is not None
        first, second = plan.split
        decision = self._selector.decision
        if self._selector.node.op_type == "Gate":
            then, else_ = (first, second) if 1 in first.options else (second, first)
            return decision, then, else_
        if max(second.options) < min(first.options):
            first, second = second, first
        if max(first.options) < min(second.options):
            bound = _constant(np.asarray(min(second.options), np.int64), self._name("bound"))
            self._outermost.append(bound)
            return self._test("Less", [decision, bound.outputs[0]]), first, second
        table = np.zeros(self._region.count, np.bool_)
        table[list(first.options)] = True
        members = _constant(table, self._name("members"))
        self._outermost.append(members)
        return self._test("Gather", [members.outputs[0], self._clamp()]), first, second

    def _test(self, op_type: str, inputs: Sequence[ir.Value]) -> ir.Node:
        node = ir.Node("", op_type, inputs)
        node.outputs[0].name = self._name("test")
        node.outputs[0].dtype = ir.DataType.BOOL
        return node

    def _clamp(self) -> ir.Value:
        if self._clamped is None:
            low = _constant(np.asarray(0, np.int64), self._name("first"))
            high = _constant(np.asarray(self._region.count - 1, np.int64), self._name("last"))
            clip = ir.Node("", "Clip", [self._selector.decision, low.outputs[0], high.outputs[0]])
            clip.outputs[0].name = self._name("clamped")
            clip.outputs[0].dtype = ir.DataType.INT64
            self._outermost += [low, high, clip]
            self._clamped = clip.outputs[0]
        return self._clamped


def _mask_of(value: ir.Value, region: Region) -> int | None:
    """The options under which a carried value exists; None if it always does."""
    node = value.producer()
    assert node is not None
    needed = region.needed.get(node)
    return None if needed is None or needed == (1 << region.count) - 1 else needed


def like(value: ir.Value) -> ir.Value:
    """Return a new value with the name, type and shape of another."""
    return ir.Value(name=value.name, type=value.type, shape=value.shape)


def _constant(array: NDArray[np.generic], name: str) -> ir.Node:
    tensor = ir.tensor(array)
    node = ir.Node("", "Constant", [], [ir.AttrTensor("value", tensor)])
    value = node.outputs[0]
    value.name, value.dtype, value.shape = name, tensor.dtype, ir.Shape(array.shape)
    return node


def _decide_inside(graph: ir.Graph, decision: ir.Value, options: Sequence[int]) -> None:
    """Leave to the selectors of an inner graph what the options can be; drop what that idles."""
    for node in list(graph):
        selector = Selector.from_node(node)
        if selector is not None and selector.decision is decision:
            _narrow(selector, graph, [selector.option(option) for option in options])
        for inner in graphs_of(node):
            _decide_inside(inner, decision, options)
    for node in reversed(list(graph)):
        if not any(value.uses() or value.is_graph_output() for value in node.outputs):
            graph.remove(node)
            rewire(node, lambda _: None)


def _narrow(selector: Selector, graph: ir.Graph, possible: Sequence[ir.Value]) -> None:
    """Let a selector choose between some of its options; replace it where only one is left."""
    known = possible[0]
    if any(option is not known for option in possible):
        for index, value in enumerate(selector.node.inputs):
            if index > 0 and value not in possible:
                selector.node.replace_input_with(index, known)
        return
    for index, output in enumerate(graph.outputs):
        if output is selector.output:  # a branch returns a value of its own
            copy = ir.Node("", "Identity", [known], outputs=[like(output)])
            graph.append(copy)
            graph.outputs[index] = copy.outputs[0]
    selector.output.replace_all_uses_with(known)
