"""Refuse matrix products of float32, where a chip has none."""

from __future__ import annotations

__all__ = ["CheckProducts"]

from dataclasses import dataclass

import onnx_ir as ir

from dyncompile.targets.trt.refusing import origins, refusal

_PRODUCTS = {"Einsum", "GRU", "Gemm", "LSTM", "MatMul", "RNN"}


@dataclass(frozen=True)
class CheckProducts(ir.passes.InPlacePass):
    """Check that nothing multiplies matrices of float32; changes nothing.

    ``ConvolutionsFromProducts`` leaves those that have no weight, or are scaled. Products of
    constants, and of what is dequantised, pass.

    Attributes:
        chip: Which has no such products.

    Raises:
        TargetError: something does.
    """

    chip: str

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Look at the nodes of all graphs."""
        for node in model.graph.all_nodes():
            if node.op_type in _PRODUCTS and not node.domain and _is_of_floats(node):
                raise refusal(
                    node,
                    f"{self.chip} has no matrix products of float32, and it is no convolution.",
                    f"Build with fp16, or leave {self.chip} out.",
                )
        return ir.passes.PassResult(model, modified=False)


def _is_of_floats(node: ir.Node) -> bool:
    read = [value for value in node.inputs[:2] if value is not None]
    makers = [value.producer() for value in read]
    if all(maker is not None and maker.op_type == "DequantizeLinear" for maker in makers):
        return False
    is_computed = any(True for value in read for _ in origins(value))
    return is_computed and any(value.dtype == ir.DataType.FLOAT for value in read)
