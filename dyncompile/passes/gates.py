"""What passes that rewrite around gates share."""

from __future__ import annotations

__all__ = ["gate_like", "has_one_element", "is_single", "lone_gate"]

import onnx_ir as ir

from dyncompile.dialect import DOMAIN, Selector


def lone_gate(value: ir.Value | None) -> Selector | None:
    """Return the gate that makes a value, if one does and the value has one use."""
    node = value.producer() if value is not None else None
    if value is None or node is None or len(value.uses()) != 1 or value.is_graph_output():
        return None
    return Selector.from_node(node) if node.op_type == "Gate" else None


def is_single(value: ir.Value) -> bool:
    """Whether the shape is known to be [] or [1]."""
    return value.shape is not None and len(value.shape) <= 1 and all(n == 1 for n in value.shape)


def has_one_element(value: ir.Value) -> bool:
    """Whether the shape is known and every size in it is 1."""
    return value.shape is not None and all(size == 1 for size in value.shape)


def gate_like(gate: Selector, off: ir.Value, on: ir.Value) -> ir.Node:
    """Return a gate on the same decision between other sides."""
    return ir.Node(
        DOMAIN,
        "Gate",
        [gate.decision, on, off],
        list(gate.node.attributes.values()),
        name=gate.node.name,
        metadata_props=dict(gate.node.metadata_props),
    )
