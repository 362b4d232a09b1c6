"""Give every value, node and branch a name of its own."""

from __future__ import annotations

__all__ = ["NameUniquely"]

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import onnx_ir as ir

from dyncompile.passes.scopes import graphs_of

_Named = ir.Value | ir.Node | ir.Graph


@dataclass(frozen=True)
class NameUniquely(ir.passes.InPlacePass):
    """Make the names of values unique over all scopes, and those of nodes and graphs too.

    Before: ``y = If(a) {y = Relu(x)} else {y = Neg(x)}``
    After: ``y = If(a) {y.1 = Relu(x)} else {y.2 = Neg(x)}``

    A branch must not reuse a name of the scope around it. Sibling branches may by the standard,
    but TensorRT does not want it, and the manifest refers to values by name. Inputs and outputs
    of the model keep theirs.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rename in the order of execution, so that the same graph gets the same names."""
        values, nodes, graphs = _Names(), _Names(), _Names()
        fixed = [*model.graph.inputs, *model.graph.outputs]
        kept = {id(value) for value in fixed}
        for value in fixed:
            values.take(value.name or "value")
        renamed: list[tuple[_Named, str]] = []
        for item in list(_items(model.graph)):
            if id(item) in kept:
                continue
            kept.add(id(item))
            if isinstance(item, ir.Node):
                name = nodes.take(item.name or item.op_type)
            elif isinstance(item, ir.Graph):
                name = graphs.take(item.name or "branch")
            else:
                name = values.take(item.name or "value")
            if item.name != name:
                renamed.append((item, name))
        _rename(renamed)
        return ir.passes.PassResult(model, modified=bool(renamed))


class _Names:
    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._next: dict[str, int] = {}

    def take(self, name: str) -> str:
        """Return the name, or the name with the first free number."""
        free = name
        while free in self._taken:
            number = self._next.get(name, 0) + 1
            self._next[name] = number
            free = f"{name}.{number}"
        self._taken.add(free)
        return free


def _items(graph: ir.Graph) -> Iterator[_Named]:
    yield graph
    yield from graph.inputs
    yield from graph.initializers.values()
    for node in graph:
        yield node
        yield from node.outputs
        for inner in graphs_of(node):
            yield from _items(inner)


def _rename(renamed: Iterable[tuple[_Named, str]]) -> None:
    """Give each its name, which another of them may have until then."""
    homes: dict[ir.Value, ir.Graph] = {}
    for item, _ in renamed:
        if isinstance(item, ir.Value) and item.is_initializer():
            assert isinstance(item.graph, ir.Graph)
            assert item.name is not None
            homes[item] = item.graph
            del item.graph.initializers[item.name]
    for item, name in renamed:
        item.name = name
        if isinstance(item, ir.Value) and item in homes:
            homes[item].register_initializer(item)
