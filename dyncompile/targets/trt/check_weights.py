"""Refuse convolutions whose weights change their shape."""

from __future__ import annotations

__all__ = ["CheckWeights"]

from dataclasses import dataclass

import onnx_ir as ir

from dyncompile.passes.constants import is_fixed
from dyncompile.targets.trt.check_sizes import sizes_of
from dyncompile.targets.trt.refusing import origins, refusal

_CONVOLUTIONS = {"Conv", "ConvTranspose"}


@dataclass(frozen=True)
class CheckWeights(ir.passes.InPlacePass):
    """Check that the kernel of every convolution has one shape; changes nothing.

    It may be computed, gathered by an index, or an input; but how many channels it has is known
    when the engine is built. Products of matrices are free of this.

    Raises:
        TargetError: a kernel is cut at run time, or has no known shape.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Look at the convolutions of all graphs."""
        for node in model.graph.all_nodes():
            if node.domain or node.op_type not in _CONVOLUTIONS:
                continue
            kernel = node.inputs[1]
            if kernel is not None and not is_fixed(kernel) and _changes(kernel):
                raise refusal(
                    node,
                    "how many channels its weights have changes at run time.",
                    "Give the marked file, or export with --budgets switch.",
                )
        return ir.passes.PassResult(model, modified=False)


def _changes(kernel: ir.Value) -> bool:
    shape = kernel.shape
    if shape is not None and all(isinstance(size, int) for size in shape):
        return False
    return shape is not None or _is_cut(kernel)


def _is_cut(value: ir.Value) -> bool:
    """Whether a value of unknown shape is computed by something that is told a size."""
    waiting, seen = [value], {value}
    while waiting:
        node = waiting.pop().producer()
        if node is None:
            continue
        if any(any(True for _ in origins(size)) for size in sizes_of(node)):
            return True
        for before in node.inputs:
            if before is not None and before not in seen:
                seen.add(before)
                waiting.append(before)
    return False
