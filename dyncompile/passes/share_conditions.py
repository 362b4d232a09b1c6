"""Let equal decisions be one value."""

from __future__ import annotations

__all__ = ["ShareConditions"]

from collections import ChainMap
from collections.abc import Hashable
from dataclasses import dataclass, field

import onnx_ir as ir

from dyncompile.passes.pin_foreign_nodes import is_foreign
from dyncompile.passes.scopes import graphs_of

_SMALL_BYTES = 1024


@dataclass(frozen=True)
class ShareConditions(ir.passes.InPlacePass):
    """Replace a bool by an earlier one that is computed the same way.

    Before: ``a = Greater(s, t); y = If(a) ...; b = Greater(s, t); z = If(b) ...``
    After: ``a = Greater(s, t); y = If(a) ...; z = If(a) ...``

    Only values that are in scope at the place count: those of the graph itself and of the
    graphs around it. What stands in another branch does not, because it may not have run.
    What has no use any more is left to the removal of unused nodes.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Share the bools of all graphs."""
        sharer = _Sharer()
        sharer.visit(model.graph, ChainMap())
        return ir.passes.PassResult(model, modified=sharer.modified)


_Known = ChainMap[Hashable, ir.Value]


@dataclass
class _Sharer:
    modified: bool = False
    _keys: dict[ir.Value, int] = field(default_factory=dict)
    _numbers: dict[Hashable, int] = field(default_factory=dict)

    def visit(self, graph: ir.Graph, known: _Known) -> None:
        for node in graph:
            for index, value in enumerate(node.inputs):
                if value is not None and _is_bool(node, index, value):
                    shared = known.setdefault(self._key(value), value)
                    if shared is not value:
                        node.replace_input_with(index, shared)
                        self.modified = True
            self._number(node)
            for inner in graphs_of(node):
                self.visit(inner, known.new_child())

    def _key(self, value: ir.Value) -> int:
        if value not in self._keys:
            self._keys[value] = self._numbered(_content(value) or ("value", id(value)))
        return self._keys[value]

    def _number(self, node: ir.Node) -> None:
        """Give outputs the numbers that those of every node computing the same have."""
        source = _copied(node)
        if source is not None:
            self._keys[node.outputs[0]] = self._key(source)
            return
        attributes = [_attribute(attribute) for attribute in node.attributes.values()]
        if None in attributes or is_foreign(node):
            return
        computed = (
            node.op_identifier(),
            tuple(sorted(filter(None, attributes), key=repr)),
            tuple(None if value is None else self._key(value) for value in node.inputs),
        )
        for place, output in enumerate(node.outputs):
            self._keys[output] = self._numbered((computed, place))

    def _numbered(self, key: Hashable) -> int:
        return self._numbers.setdefault(key, len(self._numbers))


def _copied(node: ir.Node) -> ir.Value | None:
    """Return what the node passes on as it is."""
    if node.domain or not node.inputs or node.inputs[0] is None:
        return None
    is_bool = node.inputs[0].dtype == ir.DataType.BOOL
    to_bool = node.op_type == "Cast" and node.attributes["to"].as_int() == ir.DataType.BOOL
    return node.inputs[0] if node.op_type == "Identity" or (to_bool and is_bool) else None


def _is_bool(node: ir.Node, index: int, value: ir.Value) -> bool:
    is_condition = node.op_type == "If" and not node.domain and index == 0
    return is_condition or value.dtype == ir.DataType.BOOL


def _content(value: ir.Value) -> Hashable:
    """Return what a small constant holds; None for every other value."""
    tensor = value.const_value
    if not value.is_initializer() or value.is_graph_input() or tensor is None:
        return None
    return _tensor(tensor)


def _tensor(tensor: ir.TensorProtocol) -> Hashable:
    if tensor.nbytes > _SMALL_BYTES or tensor.dtype == ir.DataType.STRING:
        return None
    return "constant", tensor.dtype, tuple(tensor.shape.numpy()), tensor.tobytes()


def _attribute(attribute: ir.Attr) -> Hashable:
    """Return name and value; None where two of them are not to be compared."""
    if attribute.is_ref() or attribute.type in {ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS}:
        return None
    if attribute.type == ir.AttributeType.TENSOR:
        content = _tensor(attribute.as_tensor())
        return None if content is None else (attribute.name, content)
    value = attribute.value
    if isinstance(value, list | tuple):
        value = tuple(map(_exact, value))
    return (attribute.name, _exact(value)) if isinstance(value, Hashable) else None


def _exact(value: object) -> object:
    """Return what is equal only for equal bits: 0.0 and -0.0 are not the same constant."""
    return value.hex() if isinstance(value, float) else value
