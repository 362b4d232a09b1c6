"""Recognise multiplication by a yes-or-no as a gate."""

from __future__ import annotations

__all__ = ["GatesFromMasks"]

from dataclasses import dataclass

import onnx_ir as ir

from dyncompile.dialect import DOMAIN, Selector
from dyncompile.passes.masks import masked, zeros_like


@dataclass(frozen=True)
class GatesFromMasks(ir.passes.InPlacePass):
    """Turn ``f * mask`` into a gate where the mask is one bool cast to a number.

    Before: ``m = Cast(take); y = Mul(f, m)`` with ``take`` a bool of one element
    After: ``y = dyncompile.Gate(take, f, zeros)``

    Only masks of one element are touched, and only products that something computed goes into.
    Where ``f`` holds infinities or NaN the two forms differ when the
    mask is 0: the product is NaN, the gate gives 0.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite the products of the main graph."""
        modified = False
        names = {s.name for node in model.graph if (s := Selector.from_node(node)) is not None}
        for node in list(model.graph):
            found = masked(node)
            if found is not None:
                _rewrite(node, *found, model.graph, names)
                modified = True
        return ir.passes.PassResult(model, modified=modified)


def _rewrite(
    node: ir.Node, decision: ir.Value, factor: ir.Value, graph: ir.Graph, names: set[str]
) -> None:
    zeros = zeros_like(node.outputs[0], graph)
    gate = ir.Node(
        DOMAIN,
        "Gate",
        [decision, factor, zeros.outputs[0]],
        [ir.AttrString("name", _name(node, names))],
        name=node.name,
        metadata_props=dict(node.metadata_props),
    )
    ir.convenience.replace_nodes_and_values(
        graph, node, [node], [zeros, gate], node.outputs, gate.outputs
    )


def _name(node: ir.Node, taken: set[str]) -> str:
    """A mask has a name of its own: only gates can be forced in the model."""
    name, number = f"mask.{node.name}", 1
    while name in taken:
        number += 1
        name = f"mask.{node.name}#{number}"
    taken.add(name)
    return name
