"""Take an activation behind a gate into its sides."""

from __future__ import annotations

__all__ = ["ActivationsIntoGates"]

from collections.abc import Iterator
from dataclasses import dataclass

import onnx_ir as ir

from dyncompile.dialect import Selector
from dyncompile.passes.gates import gate_like, lone_gate

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


def _gate_before(node: ir.Node) -> Selector | None:
    """Return the gate an activation follows, if nothing else reads that gate."""
    if node.op_type not in _ACTIVATIONS or node.domain:
        return None
    gated, *rest = node.inputs
    return lone_gate(gated) if all(v is None or v.is_initializer() for v in rest) else None


def _swap(gate: Selector, activation: ir.Node, graph: ir.Graph) -> None:
    copies = dict(_copies(gate, activation))
    off, on = (copies[side].outputs[0] for side in gate.options)
    chosen = gate_like(gate, off, on)
    ir.convenience.replace_nodes_and_values(
        graph,
        activation,
        [activation],
        [*copies.values(), chosen],
        activation.outputs,
        chosen.outputs,
    )
    graph.remove(gate.node, safe=True)


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
