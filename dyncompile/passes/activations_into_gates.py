"""Take an activation behind a gate into its sides."""

from __future__ import annotations

__all__ = ["ActivationsIntoGates"]

from collections.abc import Iterator
from dataclasses import dataclass

import onnx_ir as ir

from dyncompile.dialect import DOMAIN, Selector

_ACTIVATIONS = {
    "Celu",
    "Clip",
    "Elu",
    "Gelu",
    "HardSigmoid",
    "HardSwish",
    "LeakyRelu",
    "Mish",
    "Relu",
    "Selu",
    "Sigmoid",
    "Softplus",
    "Tanh",
}


@dataclass(frozen=True)
class ActivationsIntoGates(ir.passes.InPlacePass):
    """Apply an element-wise function on either side of a gate instead of behind it.

    Before: ``g = dyncompile.Gate(take, s, x); y = Relu(g)``
    After: ``a = Relu(s); b = Relu(x); y = dyncompile.Gate(take, a, b)``

    Still one function per path, but on the busy side the runtime can fuse it with what
    computes ``s``, and on the other it takes the place of the copy that an If makes. Only
    where the gate has no other use. The numbers do not change.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite the main graph, chains of activations included."""
        modified = False
        for node in list(model.graph):
            gate = _gate_before(node)
            if gate is not None:
                _swap(gate, node, model.graph)
                modified = True
        return ir.passes.PassResult(model, modified=modified)


def _gate_before(node: ir.Node) -> ir.Node | None:
    """Return the gate an activation follows, if nothing else reads that gate."""
    if node.op_type not in _ACTIVATIONS or node.domain:
        return None
    gated, *rest = node.inputs
    if gated is None:
        return None
    gate = gated.producer()
    if gate is None or gate.domain != DOMAIN or gate.op_type != "Gate":
        return None
    if len(gated.uses()) != 1 or gated.is_graph_output():
        return None
    return gate if all(v is None or v.is_initializer() for v in rest) else None


def _swap(gate: ir.Node, activation: ir.Node, graph: ir.Graph) -> None:
    selector = Selector.from_node(gate)
    assert selector is not None
    output = activation.outputs[0]
    copies = dict(_copies(selector, activation))
    sides = [copies[side].outputs[0] for side in gate.inputs[1:] if side is not None]
    chosen = ir.Node(
        DOMAIN,
        "Gate",
        [gate.inputs[0], *sides],
        list(gate.attributes.values()),
        name=gate.name,
        metadata_props=dict(gate.metadata_props),
    )
    ir.convenience.replace_nodes_and_values(
        graph, activation, [activation], [*copies.values(), chosen], [output], chosen.outputs
    )
    graph.remove(gate, safe=True)


def _copies(selector: Selector, activation: ir.Node) -> Iterator[tuple[ir.Value, ir.Node]]:
    """Yield each distinct side with the activation applied to it."""
    output = activation.outputs[0]
    for side, label in dict(zip(selector.options, ("off", "on"), strict=True)).items():
        node = ir.Node(
            "",
            activation.op_type,
            [side, *activation.inputs[1:]],
            list(activation.attributes.values()),
            name=f"{activation.name}.{label}",
            metadata_props=dict(activation.metadata_props),
        )
        value = node.outputs[0]
        value.name = f"{output.name}.{label}"
        value.type, value.shape = output.type, output.shape
        yield side, node
