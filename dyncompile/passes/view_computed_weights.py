"""Let branches see weights that are computed when the file is loaded."""

from __future__ import annotations

__all__ = ["ViewComputedWeights"]

from collections.abc import Iterator
from dataclasses import dataclass

import onnx_ir as ir

from dyncompile.passes.constants import is_fixed
from dyncompile.passes.place_weights import PREPARED, add_view
from dyncompile.passes.scopes import graphs_of


@dataclass(frozen=True)
class ViewComputedWeights(ir.passes.InPlacePass):
    """Read a weight that an outer graph computes from constants through a view in the branch.

    Before: ``w = Transpose(v); If(take) {MatMul(x, w)}``
    After: ``w = Transpose(v); If(take) {u = Reshape(w, [64, 64]); MatMul(x, u)}``

    Standardised or transposed weights, and halves of a Split, that several branches share are
    folded by ONNX Runtime where they are computed, which is outside; a view then brings each
    into its branch, as ``PlaceWeights`` does with stored ones. What is of unknown shape stays.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Add views to every nested graph."""
        modified = False
        for graph in list(_nested(model.graph, computed := set[ir.Value]())):
            for value, uses in _captured_weights(graph, computed).items():
                sizes = _sizes(value)
                home = value.graph
                if sizes is None or not isinstance(home, ir.Graph):
                    continue
                view = add_view(graph, value, sizes, home)
                for node, index in uses:
                    node.replace_input_with(index, view)
                modified = True
        return ir.passes.PassResult(model, modified=modified)


def _nested(graph: ir.Graph, computed: set[ir.Value]) -> Iterator[ir.Graph]:
    """Yield the graphs nested in a graph, and collect what is computed from constants."""
    for node in graph:
        if _is_computed(node, computed):
            computed.update(node.outputs)
        for inner in graphs_of(node):
            yield inner
            yield from _nested(inner, computed)


def _is_computed(node: ir.Node, computed: set[ir.Value]) -> bool:
    """Whether a runtime computes the node once, when it loads the file."""
    inputs = [value for value in node.inputs if value is not None]
    known = bool(inputs) and all(value in computed or is_fixed(value) for value in inputs)
    return known and not node.domain and not any(graphs_of(node))


def _captured_weights(
    graph: ir.Graph, computed: set[ir.Value]
) -> dict[ir.Value, list[tuple[ir.Node, int]]]:
    """Return the computed weights of outer graphs that a graph reads, and who reads them."""
    read: dict[ir.Value, list[tuple[ir.Node, int]]] = {}
    for node in graph:
        for index, value in enumerate(node.inputs):
            if value in computed and value.graph is not graph:
                read.setdefault(value, []).append((node, index))
    return {
        value: uses
        for value, uses in read.items()
        if any(node.op_type in PREPARED and index for node, index in uses)
    }


def _sizes(value: ir.Value) -> list[int] | None:
    sizes = [size for size in value.shape or () if isinstance(size, int)]
    return sizes if value.shape is not None and len(sizes) == len(value.shape) else None
