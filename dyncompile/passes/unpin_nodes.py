"""Drop the notes that kept nodes in their places."""

from __future__ import annotations

__all__ = ["UnpinNodes"]

from dataclasses import dataclass

import onnx_ir as ir

from dyncompile.dialect import PINNED


@dataclass(frozen=True)
class UnpinNodes(ir.passes.InPlacePass):
    """Remove what ``PinForeignNodes`` noted, so that the file does not carry it."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Clean the nodes of all graphs."""
        modified = False
        for node in model.graph.all_nodes():
            modified |= node.metadata_props.pop(PINNED, None) is not None
        return ir.passes.PassResult(model, modified=modified)
