"""Leave out types that a runtime infers."""

from __future__ import annotations

__all__ = ["OmitInnerTypes"]

from dataclasses import dataclass

import onnx_ir as ir

from dyncompile.dialect import PINNED


@dataclass(frozen=True)
class OmitInnerTypes(ir.passes.InPlacePass):
    """Forget the types and shapes of values inside of graphs.

    Runtimes infer them when they load the file. Inputs, outputs, values with notes of the
    compiler and what pinned nodes compute keep theirs.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Forget them in all graphs."""
        modified = False
        for node in model.graph.all_nodes():
            if PINNED in node.metadata_props:
                continue
            for value in node.outputs:
                kept = value.is_graph_output() or value.metadata_props
                if not kept and (value.type is not None or value.shape is not None):
                    value.type, value.shape = None, None
                    modified = True
        return ir.passes.PassResult(model, modified=modified)
