"""Which nodes are worth a branch of their own."""

from __future__ import annotations

__all__ = ["is_heavy"]

import onnx_ir as ir

from dyncompile.passes.scopes import graphs_of

_WEIGHTY = {"Conv", "ConvTranspose", "Gemm", "MatMul", "LSTM", "GRU", "RNN", "Einsum"}
_SMALL_BYTES = 4096


def is_heavy(node: ir.Node) -> bool:
    """Whether a copy of the node in each branch would cost time or bytes that matter."""
    if node.op_type in _WEIGHTY or any(graphs_of(node)):
        return True
    constants = [v.const_value for v in node.inputs if v is not None and v.is_initializer()]
    return sum(constant.nbytes for constant in constants if constant) > _SMALL_BYTES
