"""Note which nodes must stay where they stand."""

from __future__ import annotations

__all__ = ["PinForeignNodes", "is_foreign", "is_unknown"]

from dataclasses import dataclass

import onnx_ir as ir

from dyncompile.dialect import DOMAIN, PINNED
from dyncompile.passes.scopes import nested_nodes

_KNOWN_DOMAINS = {"", "ai.onnx.ml", "com.microsoft", DOMAIN}
_RANDOM = {
    "Bernoulli",
    "Multinomial",
    "RandomNormal",
    "RandomNormalLike",
    "RandomUniform",
    "RandomUniformLike",
}


@dataclass(frozen=True)
class PinForeignNodes(ir.passes.InPlacePass):
    """Pin operators whose effects are unknown, for files made elsewhere.

    Pinned are operators of foreign domains, random ones, and those of sequences and optional
    values, which have no place-holder that a branch could return in their stead; and whatever
    node has one of them inside. Passes neither move a pinned node into a branch nor copy it.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Note it in the metadata of the nodes of all graphs."""
        modified = False
        for node in model.graph.all_nodes():
            if PINNED not in node.metadata_props and is_foreign(node):
                node.metadata_props[PINNED] = "1"
                modified = True
        return ir.passes.PassResult(model, modified=modified)


def is_foreign(node: ir.Node) -> bool:
    """Whether a node, or one inside of it, must neither move nor be copied."""
    return any(_is_one(inner) for inner in (node, *nested_nodes(node)))


def is_unknown(node: ir.Node) -> bool:
    """Whether an operator is of a domain that nothing is known about."""
    return node.domain not in _KNOWN_DOMAINS


def _is_one(node: ir.Node) -> bool:
    if node.domain:
        return is_unknown(node)
    is_training = node.op_type == "Dropout" and len(node.inputs) > 2 and node.inputs[2] is not None
    return (
        node.op_type in _RANDOM
        or "Sequence" in node.op_type
        or node.op_type.startswith("Optional")
        or is_training
    )
