"""Let gates that decide on the opposite of something decide on the thing itself."""

from __future__ import annotations

__all__ = ["OrientGates"]

from dataclasses import dataclass

import onnx_ir as ir

from dyncompile.dialect import TURNED, Selector
from dyncompile.passes.gates import is_single

_FLATTENING = {"Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity"}


@dataclass(frozen=True)
class OrientGates(ir.passes.InPlacePass):
    """Bring gates that share a decision to one value, so that they are seen to share it.

    Before: ``n = Not(take); y = Gate(take, a, b); z = Gate(n, c, d)``
    After: ``y = Gate(take, a, b); z = Gate(take, d, c)``

    Changes of shape are looked through as well where the decision has one element, because
    [] and [1] decide the same. Gates are turned only where another decides on the thing itself.
    A gate that is turned keeps its name; the manifest lists it as an alias of the decision
    whose value it now uses.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Turn the gates of the main graph."""
        groups: dict[ir.Value, list[tuple[Selector, bool]]] = {}
        for node in model.graph:
            selector = Selector.from_node(node)
            if selector is not None:
                root, turned = _root(selector)
                groups.setdefault(root, []).append((selector, turned))
        modified = False
        for root, members in groups.items():
            direct = not all(turned for _, turned in members)
            value = root if direct else members[0][0].decision
            for selector, turned in members:
                if selector.decision is not value:
                    _decide_on(selector, value, turned=turned and direct)
                    modified = True
        return ir.passes.PassResult(model, modified=modified)


def _root(selector: Selector) -> tuple[ir.Value, bool]:
    """Return the value that a decision is made from, and whether it is the opposite of it."""
    value, turned = selector.decision, False
    while (source := _behind(value, is_gate=selector.node.op_type == "Gate")) is not None:
        producer = value.producer()
        assert producer is not None
        turned ^= producer.op_type == "Not"
        value = source
    return value, turned


def _decide_on(selector: Selector, value: ir.Value, *, turned: bool) -> None:
    node = selector.node
    node.replace_input_with(0, value)
    if turned:
        off, on = selector.options
        node.replace_input_with(1, off)
        node.replace_input_with(2, on)
        node.metadata_props[TURNED] = "1"


def _behind(value: ir.Value, *, is_gate: bool) -> ir.Value | None:
    """Return what the value is made from, if that decides the same or the opposite."""
    node = value.producer()
    if node is None or node.domain or not node.inputs or node.inputs[0] is None:
        return None
    source = node.inputs[0]
    if source.is_initializer():
        return None
    if node.op_type == "Not" and is_gate:
        return source
    if node.op_type in _FLATTENING and is_single(value) and is_single(source):
        return source
    return None
