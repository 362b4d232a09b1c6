"""Refuse files whose nodes are not what their operators say."""

from __future__ import annotations

__all__ = ["fault_in"]

import onnx
import onnx_ir as ir

from dyncompile.passes.scopes import graphs_of

_SINGLE = onnx.defs.OpSchema.FormalParameterOption.Single


def fault_in(model: ir.Model) -> str | None:
    """Return what is wrong with a file, in words; None where passes can rely on it.

    Looked at are the inputs, outputs and attributes of standard operators, what branches and
    bodies return, and the sizes of weights. Operators that ONNX does not know at this opset
    are left to the runtime.
    """
    version = model.opset_imports.get("", model.opset_imports.get("ai.onnx", 0))
    for graph in model.graphs():
        for value in graph.outputs:
            known = value.is_graph_input() or value.is_initializer()
            if value.producer() is None and not known:
                return f"the graph returns {value.name!r}, which nothing computes"
        for name, value in graph.initializers.items():
            if _is_cut(value.const_value):
                return f"the weight {name!r} has another number of elements than its shape says"
        for node in graph:
            if not node.domain and (fault := _fault_of(node, version)) is not None:
                return f"the node {node.name or node.outputs[0].name!r} ({node.op_type}) {fault}"
    return None


def _is_cut(tensor: ir.TensorProtocol | None) -> bool:
    proto = getattr(tensor, "raw", None)
    if tensor is None or not isinstance(proto, onnx.TensorProto):
        return False
    if proto.HasField("raw_data"):
        return len(proto.raw_data) != tensor.nbytes
    fields = {ir.DataType.FLOAT: proto.float_data, ir.DataType.INT64: proto.int64_data}
    field = fields.get(tensor.dtype)
    return field is not None and len(field) != tensor.size


def _fault_of(node: ir.Node, version: int) -> str | None:
    try:
        schema = onnx.defs.get_schema(node.op_type, version, "")
    except onnx.defs.SchemaError:
        return None
    return _fault_of_values(node, schema) or _fault_of_attributes(node, schema)


def _fault_of_values(node: ir.Node, schema: onnx.defs.OpSchema) -> str | None:
    if not schema.min_input <= len(node.inputs) <= schema.max_input:
        return f"has {len(node.inputs)} inputs"
    for value, formal in zip(node.inputs, schema.inputs, strict=False):
        if value is None and formal.option == _SINGLE:
            return f"lacks the input {formal.name!r}"
    if len(node.outputs) > schema.max_output:
        return f"has {len(node.outputs)} outputs"
    return None


def _fault_of_attributes(node: ir.Node, schema: onnx.defs.OpSchema) -> str | None:
    for name, wanted in schema.attributes.items():
        attribute = node.attributes.get(name)
        if attribute is None and wanted.required:
            return f"lacks the attribute {name!r}"
        if attribute is not None and not str(wanted.type).endswith(f".{attribute.type.name}"):
            return f"has the attribute {name!r} of another type"
    return _fault_of_inner(node)


def _fault_of_inner(node: ir.Node) -> str | None:
    if node.op_type == "If":
        counts = {len(branch.outputs) for branch in graphs_of(node)}
        return None if counts == {len(node.outputs)} else "has branches with other outputs"
    if node.op_type == "Scan":
        scanned = node.attributes["num_scan_inputs"].as_int()
        return None if 1 <= scanned <= len(node.inputs) else f"scans {scanned} inputs"
    return None
