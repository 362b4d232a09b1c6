"""Take out poolings of one pixel."""

from __future__ import annotations

__all__ = ["DropPixelPools"]

from dataclasses import dataclass

import onnx_ir as ir

_POOLS = {"AveragePool", "MaxPool"}
_IDLE = {"strides": 1, "dilations": 1, "pads": 0}  # what each does at these values: nothing


@dataclass(frozen=True)
class DropPixelPools(ir.passes.InPlacePass):
    """Let readers of a pooling of one pixel read what is pooled.

    Before: ``If(take) { blocked = AveragePool<1x1>(x); y = Add(Conv(blocked), blocked) }``
    After: ``If(take) { y = Add(Conv(x), x) }``

    What ``BlockCapturedMaps`` adds for ONNX Runtime; elsewhere it is one more copy. A pooling
    whose result leaves its graph stays.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Take them out of all graphs."""
        modified = False
        for node in list(model.graph.all_nodes()):
            source = node.inputs[0] if node.inputs else None
            if source is None or not _is_idle(node) or node.outputs[0].is_graph_output():
                continue
            assert isinstance(node.graph, ir.Graph)
            node.outputs[0].replace_all_uses_with(source)
            node.graph.remove(node, safe=True)
            modified = True
        return ir.passes.PassResult(model, modified=modified)


def _is_idle(node: ir.Node) -> bool:
    if node.domain or node.op_type not in _POOLS or len(node.outputs) > 1:
        return False
    kernel = node.attributes.get("kernel_shape")
    if kernel is None or any(size != 1 for size in kernel.as_ints()):
        return False
    return all(
        number == idle
        for name, idle in _IDLE.items()
        if name in node.attributes
        for number in node.attributes[name].as_ints()
    )
