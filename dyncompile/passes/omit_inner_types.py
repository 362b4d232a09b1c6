"""Leave out types that a runtime infers."""

from __future__ import annotations

__all__ = ["OmitInnerTypes"]

from dataclasses import dataclass

import onnx_ir as ir

from dyncompile.dialect import CUTS, DOMAIN, LEVEL_MACS, PINNED
from dyncompile.passes.constants import is_fixed

_NOTES = f"{DOMAIN}."
_CUTTING = {"Gather", "Pad", "Reshape", "Slice"}


@dataclass(frozen=True)
class OmitInnerTypes(ir.passes.InPlacePass):
    """Forget the types and shapes of values inside of graphs.

    Runtimes infer them when they load the file. Inputs, outputs, values with notes of the
    compiler and what pinned nodes compute keep theirs; so do values that are cut by a level,
    whose other sizes nobody would infer.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Forget them in all graphs."""
        modified = False
        is_cut_by_level = any(CUTS in node.metadata_props for node in model.graph.all_nodes())
        for node in model.graph.all_nodes():
            if PINNED in node.metadata_props or (is_cut_by_level and _is_cut(node)):
                continue
            for value in node.outputs:
                kept = value.is_graph_output() or _has_notes(value)
                if not kept and (value.type is not None or value.shape is not None):
                    value.type, value.shape = None, None
                    modified = True
        return ir.passes.PassResult(model, modified=modified)


def _has_notes(value: ir.Value) -> bool:
    """Whether the compiler noted something; what exporters note is not written."""
    return any(note.startswith(_NOTES) for note in value.metadata_props)


def _is_cut(node: ir.Node) -> bool:
    """Whether the sizes of what a node computes depend on numbers computed at run time."""
    bounds = node.inputs[1:] if node.op_type in _CUTTING else ()
    return LEVEL_MACS in node.metadata_props or any(
        value is not None and not is_fixed(value) for value in bounds
    )
