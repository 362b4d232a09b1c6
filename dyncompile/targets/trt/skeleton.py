"""A graph without its data, notes and types, for tools that would lose them."""

from __future__ import annotations

__all__ = ["Skeleton"]

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import onnx_ir as ir
from onnx_ir.passes.common import LiftConstantsToInitializersPass

from dyncompile.passes.name_uniquely import NameUniquely

_GRAPHS = {ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS}


@dataclass(frozen=True)
class Skeleton:
    """A model, and the same without anything but structure.

    Attributes:
        whole: The model, every value, node and graph with a name of its own.
        bare: Its nodes with their graphs. Every constant is an input; there are no attributes,
            notes or shapes, and every input and output is float.
        constants: Constants by name.
    """

    whole: ir.Model
    bare: ir.Model
    constants: dict[str, ir.Value]

    @classmethod
    def from_model(cls, model: ir.Model) -> Skeleton:
        """Copy a model and undress the copy."""
        whole = model.clone()
        NameUniquely()(whole)
        LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(whole)
        bare = whole.clone()
        inputs = set(whole.graph.inputs)
        constants = {
            _name(value): value
            for graph in whole.graphs()
            for value in graph.initializers.values()
            if value not in inputs
        }
        for graph in list(bare.graphs()):
            for value in list(graph.initializers.values()):
                del graph.initializers[_name(value)]
                value.const_value = None
                if not value.is_graph_input():
                    bare.graph.inputs.append(value)
        for node in bare.graph.all_nodes():
            for name in [a for a, it in node.attributes.items() if it.type not in _GRAPHS]:
                del node.attributes[name]
        for value in _values(bare).values():
            value.shape, value.type = None, None
            value.metadata_props.clear()
        for value in (*bare.graph.inputs, *bare.graph.outputs):
            value.type = ir.TensorType(ir.DataType.FLOAT)
        return cls(whole, bare, constants)

    def names(self) -> set[str]:
        """Return every name of a value or node."""
        nodes = {_name(node) for node in self.whole.graph.all_nodes()}
        return nodes | set(_values(self.whole))

    def restored(
        self, graph: ir.Graph, copies: Mapping[str, str], homes: Mapping[str, str]
    ) -> ir.Model:
        """Return the whole model with another graph, dressed as the original by name.

        Args:
            graph: What was made of ``bare``.
            copies: New names of nodes, values and constants, and of what they are copies.
            homes: New names of constants, and of the graphs they belong to.
        """
        whole = self.whole
        model = ir.Model(
            graph,
            ir_version=whole.ir_version,
            producer_name=whole.producer_name,
            producer_version=whole.producer_version,
            domain=whole.domain,
            model_version=whole.model_version,
            doc_string=whole.doc_string,
            functions=list(whole.functions.values()),
            metadata_props=dict(whole.metadata_props),
        )
        graph.opset_imports.clear()
        graph.opset_imports.update(whole.graph.opset_imports)
        self._place_constants(model, copies, homes)
        values, nodes = _values(whole), {_name(node): node for node in whole.graph.all_nodes()}
        for name, value in _values(model).items():
            like = values[copies.get(name, name)]
            value.type, value.shape = like.type, like.shape
            if name not in copies:
                value.metadata_props.update(like.metadata_props)
                value.doc_string = like.doc_string
        for node in graph.all_nodes():
            name = _name(node)
            _dress(node, nodes[copies.get(name, name)], is_copy=name in copies)
        originals = {inner.name: inner for inner in whole.graphs()}
        for inner in model.graphs():
            original = originals[inner.name]
            inner.doc_string = original.doc_string
            inner.metadata_props.update(original.metadata_props)
        return model

    def _place_constants(
        self, model: ir.Model, copies: Mapping[str, str], homes: Mapping[str, str]
    ) -> None:
        graphs = {graph.name: graph for graph in model.graphs()}
        for value in list(model.graph.inputs):
            name = _name(value)
            constant = self.constants.get(copies.get(name, name))
            if constant is None:
                continue
            model.graph.inputs.remove(value)
            if value.uses() or value.is_graph_output():
                assert constant.graph is not None
                value.const_value = constant.const_value
                graphs[homes.get(name, constant.graph.name)].register_initializer(value)
        for value in model.graph.inputs:
            original = self.whole.graph.initializers.get(_name(value))
            if original is not None:
                value.const_value = original.const_value
                model.graph.register_initializer(value)


def _values(model: ir.Model) -> dict[str, ir.Value]:
    return {value.name: value for graph in model.graphs() for value in _of(graph) if value.name}


def _of(graph: ir.Graph) -> Iterator[ir.Value]:
    yield from graph.inputs
    yield from graph.initializers.values()
    for node in graph:
        yield from node.outputs


def _dress(node: ir.Node, like: ir.Node, *, is_copy: bool) -> None:
    graphs = dict(node.attributes)
    node.attributes.clear()
    for name, attribute in like.attributes.items():
        node.attributes[name] = graphs.get(name, attribute)
    if not is_copy:
        node.metadata_props.update(like.metadata_props)
        node.doc_string, node.overload, node.version = like.doc_string, like.overload, like.version


def _name(item: ir.Value | ir.Node) -> str:
    assert item.name, "names are given by NameUniquely"
    return item.name
