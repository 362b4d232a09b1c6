"""Take what is cut out of a weight in one step."""

from __future__ import annotations

__all__ = ["MergeSlices"]

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from dyncompile.passes.constants import constant_ints, is_fixed, shared_constant

_Cut = dict[int, tuple[int, int, int]]  # axis: start, end, step


@dataclass(frozen=True)
class MergeSlices(ir.passes.InPlacePass):
    """Replace a Slice of a Slice by one Slice.

    Before: ``a = Slice(w, axis 0, 0:16); b = Slice(a, axis 1, 0:16); y = Conv(x, b)``
    After: ``b = Slice(w, axes 0 and 1, 0:16 and 0:16); y = Conv(x, b)``

    So ``weight[:n, :n]`` is exported in two steps, and a runtime would fold both, for every
    level, when it loads the file. Slices along one axis stay apart, and so does a part of an
    activation that something else reads too. Acts on the marked graph, which is flat; nested
    graphs are left alone.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Merge in the main graph."""
        modified = False
        for node in list(model.graph):
            cut = _cut(node)
            while cut is not None and (before := _slice_before(node)) is not None:
                first = _cut(before)
                if first is None or first.keys() & cut.keys():
                    break
                cut = dict(sorted((first | cut).items()))
                _rewrite(node, before.inputs[0], cut, model.graph)
                if not before.outputs[0].uses() and not before.outputs[0].is_graph_output():
                    model.graph.remove(before, safe=True)
                modified = True
        return ir.passes.PassResult(model, modified=modified)


def _slice_before(node: ir.Node) -> ir.Node | None:
    """Return the node whose output a Slice cuts, if it may read past it."""
    part = node.inputs[0]
    before = part.producer() if part is not None else None
    if part is None or before is None or not before.inputs or before.inputs[0] is None:
        return None
    is_shared = len(part.uses()) > 1 or part.is_graph_output()
    return None if is_shared and not is_fixed(before.inputs[0]) else before


def _cut(node: ir.Node) -> _Cut | None:
    """Return what a Slice cuts out along each axis; None if that is not known."""
    if node.op_type != "Slice" or node.domain or node.inputs[0] is None:
        return None
    shape = node.inputs[0].shape
    lists = [constant_ints(value) for value in node.inputs[1:]]
    known = [numbers for numbers in lists if numbers is not None]
    if not shape or len(known) < len(lists):
        return None
    starts, ends, *rest = known
    axes = rest[0] if rest else range(len(starts))
    steps = rest[1] if len(rest) > 1 else [1] * len(starts)
    cuts = zip(axes, starts, ends, steps, strict=True)
    return {axis % len(shape): (start, end, step) for axis, start, end, step in cuts}


def _rewrite(node: ir.Node, data: ir.Value | None, cut: _Cut, graph: ir.Graph) -> None:
    starts, ends, steps = zip(*cut.values(), strict=True)
    node.replace_input_with(0, data)
    node.resize_inputs(5)
    for index, numbers in enumerate((starts, ends, tuple(cut), steps), 1):
        name = "ints." + ".".join(map(str, numbers))
        constant = shared_constant(graph, name, np.asarray(numbers, np.int64))
        node.replace_input_with(index, constant)
