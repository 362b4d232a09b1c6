"""Leave out attributes that say what holds anyway."""

from __future__ import annotations

__all__ = ["OmitDefaults"]

from dataclasses import dataclass

import onnx
import onnx_ir as ir

_WINDOWED = {"Conv": 1, "MaxPool": 1, "AveragePool": 1}


@dataclass(frozen=True)
class OmitDefaults(ir.passes.InPlacePass):
    """Remove attributes that say what the operator does anyway.

    Before: ``Conv <group = 1, dilations = [1, 1], strides = [2, 2], auto_pad = "NOTSET"> (x, w)``
    After: ``Conv <strides = [2, 2]> (x, w)``

    Exporters write every attribute. Copies in branches repeat them: half of what a copied
    convolution adds to a file.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Remove default attributes in all graphs."""
        version = model.opset_imports.get("", 1)
        modified = False
        for node in model.graph.all_nodes():
            if not node.domain and onnx.defs.has(node.op_type, version):
                for name in [a for a in node.attributes if _is_default(node, a, version)]:
                    del node.attributes[name]
                    modified = True
        return ir.passes.PassResult(model, modified=modified)


def _is_default(node: ir.Node, name: str, version: int) -> bool:
    value = node.attributes[name].value
    schema = onnx.defs.get_schema(node.op_type, version)
    if name in schema.attributes:
        default = schema.attributes[name].default_value
        if default.type != onnx.AttributeProto.UNDEFINED:
            given = ir.from_proto(default)
            return isinstance(given, ir.Attr) and bool(given.value == value)
    if node.op_type not in _WINDOWED:
        return False
    if name in {"dilations", "strides"}:
        return all(size == 1 for size in value)
    return name == "pads" and not any(value)
