"""Leave no functions in a file."""

from __future__ import annotations

__all__ = ["DetachFunctions"]

from dataclasses import dataclass

import onnx_ir as ir
from onnx_ir.passes.common import InlinePass

from dyncompile.dialect import detach_functions


@dataclass(frozen=True)
class DetachFunctions(ir.passes.InPlacePass):
    """Remove the meaning of markers, write out other functions, forget domains nobody uses.

    Before: ``y = local.Block(x)`` with a function ``local.Block``
    After: what the function does, in its place

    Markers keep standing: a lowered graph has none.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Inline and forget."""
        before = len(model.functions), len(model.opset_imports)
        detach_functions(model)
        if model.functions:
            InlinePass()(model)
        used = {node.domain for node in model.graph.all_nodes()} | {"", "ai.onnx"}
        unused = [domain for domain in model.opset_imports if domain not in used]
        for domain in unused:
            del model.opset_imports[domain]
        modified = before != (len(model.functions), len(model.opset_imports))
        return ir.passes.PassResult(model, modified=modified)
