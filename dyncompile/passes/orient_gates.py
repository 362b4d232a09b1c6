"""Let gates that decide on the opposite of something decide on the thing itself."""

from __future__ import annotations

__all__ = ["OrientGates"]

from dataclasses import dataclass

import onnx_ir as ir

from dyncompile.dialect import Selector

_FLATTENING = {"Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity"}


@dataclass(frozen=True)
class OrientGates(ir.passes.InPlacePass):
    """Bring gates that share a decision to one value, so that they are seen to share it.

    Before: ``n = Not(take); y = Gate(take, a, b); z = Gate(n, c, d)``
    After: ``y = Gate(take, a, b); z = Gate(take, d, c)``

    Changes of shape are looked through as well where the decision has one element, because
    [] and [1] decide the same. A gate that is turned keeps its name; the manifest lists it as
    an alias of the decision whose value it now uses.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Turn the gates of all graphs."""
        modified = False
        for node in model.graph.all_nodes():
            selector = Selector.from_node(node)
            if selector is not None:
                modified |= _orient(selector)
        return ir.passes.PassResult(model, modified=modified)


def _orient(selector: Selector) -> bool:
    value, turned = selector.decision, False
    while (source := _behind(value, selector.node.op_type == "Gate")) is not None:
        turned ^= value.producer().op_type == "Not"  # type: ignore[union-attr]
        value = source
    if value is selector.decision:
        return False
    node = selector.node
    node.replace_input_with(0, value)
    if turned:
        off, on = selector.options
        node.replace_input_with(1, off)
        node.replace_input_with(2, on)
        node.metadata_props["dyncompile.turned"] = "1"
    return True


def _behind(value: ir.Value, is_gate: bool) -> ir.Value | None:  # noqa: FBT001
    """Return what the value is made from, if that decides the same or the opposite."""
    node = value.producer()
    if node is None or node.domain or not node.inputs or node.inputs[0] is None:
        return None
    source = node.inputs[0]
    if source.is_initializer():
        return None
    if node.op_type == "Not" and is_gate:
        return source
    if node.op_type in _FLATTENING and _is_single(value) and _is_single(source):
        return source
    return None


def _is_single(value: ir.Value) -> bool:
    """Whether the shape is known to be [] or [1]."""
    return value.shape is not None and len(value.shape) <= 1 and all(n == 1 for n in value.shape)
