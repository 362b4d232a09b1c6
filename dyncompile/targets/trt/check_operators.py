"""Refuse operators that TensorRT's parser does not know."""

from __future__ import annotations

__all__ = ["UNSUPPORTED", "CheckOperators"]

from dataclasses import dataclass

import onnx_ir as ir

from dyncompile.dialect import DOMAIN
from dyncompile.targets.trt.refusing import refusal

# Those of ONNX for which OnnxParser.supports_operator says no.
UNSUPPORTED = frozenset(
    {
        "AffineGrid",
        "Bernoulli",
        "BitCast",
        "BitShift",
        "BitwiseAnd",
        "BitwiseNot",
        "BitwiseOr",
        "BitwiseXor",
        "CenterCropPad",
        "Col2Im",
        "Compress",
        "ConcatFromSequence",
        "ConvInteger",
        "CumProd",
        "DFT",
        "DeformConv",
        "Det",
        "DynamicQuantizeLinear",
        "ImageDecoder",
        "MatMulInteger",
        "MaxRoiPool",
        "MaxUnpool",
        "MelWeightMatrix",
        "Multinomial",
        "NegativeLogLikelihoodLoss",
        "Optional",
        "OptionalGetElement",
        "OptionalHasElement",
        "QLinearConv",
        "QLinearMatMul",
        "RegexFullMatch",
        "SequenceAt",
        "SequenceConstruct",
        "SequenceEmpty",
        "SequenceErase",
        "SequenceInsert",
        "SequenceLength",
        "SequenceMap",
        "SoftmaxCrossEntropyLoss",
        "SplitToSequence",
        "StringConcat",
        "StringNormalizer",
        "StringSplit",
        "SwiGLU",
        "TfIdfVectorizer",
        "Unique",
    }
)

# How many elements they return is in the data: TensorRT needs a plugin for them, or refuses.
_COUNTING = frozenset({"NonMaxSuppression", "NonZero"})

_INSTEAD = {
    "Compress": "Use Gather with indices of a fixed number, or TopK.",
    "ConvInteger": "Use QuantizeLinear and DequantizeLinear around a Conv.",
    "DynamicQuantizeLinear": "Use QuantizeLinear with a constant scale.",
    "MatMulInteger": "Use QuantizeLinear and DequantizeLinear around a MatMul.",
    "NonZero": "Use TopK with a fixed number, or a mask.",
    "QLinearConv": "Use QuantizeLinear and DequantizeLinear around a Conv.",
    "QLinearMatMul": "Use QuantizeLinear and DequantizeLinear around a MatMul.",
}
_OTHERWISE = "Write it with other operators, or leave it to what reads the output of the network."


@dataclass(frozen=True)
class CheckOperators(ir.passes.InPlacePass):
    """Check that the parser has an importer for every operator; changes nothing.

    The parser does not look at domains: it would take ``custom.Relu`` for ONNX's own.

    Raises:
        TargetError: an operator is of another domain, or unknown.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Look at the nodes of all graphs."""
        for node in model.graph.all_nodes():
            if node.domain == DOMAIN:
                raise refusal(
                    node,
                    "it is a marker, which no runtime has.",
                    "Compile the marked file: dyncompile export, or build, does.",
                )
            if node.domain not in {"", "ai.onnx"}:
                raise refusal(
                    node,
                    f"it is of the domain {node.domain!r}, which TensorRT does not know.",
                    "Export it with the operators of ONNX alone.",
                )
            if node.op_type in UNSUPPORTED:
                instead = _INSTEAD.get(node.op_type, _OTHERWISE)
                raise refusal(node, "TensorRT has no such operator.", instead)
            if node.op_type in _COUNTING:
                instead = _INSTEAD.get(node.op_type, _OTHERWISE)
                raise refusal(node, "how much it returns is known at run time only.", instead)
        return ir.passes.PassResult(model, modified=False)
