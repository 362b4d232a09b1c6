"""Refuse types that TensorRT does not have."""

from __future__ import annotations

__all__ = ["QUANTISED", "CheckTypes"]

from collections.abc import Iterator
from dataclasses import dataclass

import onnx_ir as ir

from dyncompile.targets.trt.refusing import place, refusal

_T = ir.DataType

QUANTISED = frozenset({_T.INT8, _T.INT4, _T.FLOAT8E4M3FN, _T.FLOAT4E2M1})
_COMPUTED = frozenset({_T.FLOAT, _T.FLOAT16, _T.BFLOAT16, _T.INT32, _T.INT64, _T.BOOL}) | QUANTISED
_INSTEAD = {
    _T.DOUBLE: "TensorRT would compute it in float32. Cast the network to float32.",
    _T.UINT8: "Read images as uint8 by a Cast only; quantise to int8.",
    _T.UINT4: "Quantise to int4.",
    _T.INT2: "Quantise to int4.",
}
_OTHERWISE = "Cast it to float32, float16, int32 or int64 when the network is exported."


@dataclass(frozen=True)
class CheckTypes(ir.passes.InPlacePass):
    """Check that inputs, constants and results have types that TensorRT has; changes nothing.

    Constants of float64 and inputs of uint8 may stand where a Cast reads them. Values whose type
    is not known pass.

    Raises:
        TargetError: one has not.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Look at the values of all graphs."""
        for value in model.graph.inputs:
            if value.dtype == _T.UINT8 and _is_only_cast(value):
                continue
            _check(value, f"input {value.name!r}")
        for graph in model.graphs():
            for value in graph.initializers.values():
                if value.dtype == _T.DOUBLE or (value.dtype == _T.UINT8 and _is_zero_point(value)):
                    continue  # what reads it has a type, and is looked at
                _check(value, f"constant {value.name!r}")
        for node, value in _results(model):
            if node.op_type != "Constant":
                _check(value, place(node))
        return ir.passes.PassResult(model, modified=False)


def _results(model: ir.Model) -> Iterator[tuple[ir.Node, ir.Value]]:
    for node in model.graph.all_nodes():
        for value in node.outputs:
            yield node, value


def _check(value: ir.Value, where: str) -> None:
    if value.type is not None and not isinstance(value.type, ir.TensorType):
        raise refusal(where, "it holds no tensor, and TensorRT knows nothing else.", _OTHERWISE)
    dtype = value.dtype
    if dtype is not None and dtype != _T.UNDEFINED and dtype not in _COMPUTED:
        name = "float64" if dtype == _T.DOUBLE else dtype.name.lower()
        problem = f"it is of type {name}, which TensorRT does not compute with."
        raise refusal(where, problem, _INSTEAD.get(dtype, _OTHERWISE))


def _is_only_cast(value: ir.Value) -> bool:
    users = [node for node, _ in value.uses()]
    return all(node.op_type == "Cast" for node in users) and not value.is_graph_output()


def _is_zero_point(value: ir.Value) -> bool:
    uses = value.uses()
    return all("Linear" in node.op_type and index == 2 for node, index in uses)
