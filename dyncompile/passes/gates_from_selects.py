"""Turn selections by a decision into gates, where that saves work."""

from __future__ import annotations

__all__ = ["GatesFromSelects", "selection"]

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from dyncompile.dialect import DOMAIN
from dyncompile.passes.constants import add_constant
from dyncompile.passes.decision_order import sharing
from dyncompile.passes.decision_runs import with_work
from dyncompile.passes.exclusive_work import exclusive_work
from dyncompile.passes.heavy_nodes import is_heavy
from dyncompile.passes.masks import decision_of, masked, zeros_like
from dyncompile.passes.scopes import Scopes
from dyncompile.passes.sequence import Sequence


@dataclass(frozen=True)
class GatesFromSelects(ir.passes.InPlacePass):
    """Turn ``Where`` by one decision, and ``f * mask``, into gates if work can be skipped then.

    Before: ``f = MatMul(x, w); y = Where(take, f, x)`` with ``take`` a bool of one element
    After: ``f = MatMul(x, w); y = dyncompile.Gate(take, f, x)``

    Only where a convolution, a matrix product, a recurrent layer, control flow or a large
    constant is needed by one side alone, all selections by the same decision together:
    otherwise nothing is saved that an If would not cost. Sides must have the shape of the
    result, or a static one that is repeated to it.

    ``Where`` and gate give the same numbers. A product with a mask differs where the factor
    holds infinities or NaN: times 0 they are NaN, the gate gives 0.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite the selections of all graphs."""
        modified = False
        for graph in (model.graph, *model.graph.subgraphs()):
            tried = [_Trial(node, found, graph) for node, found in _candidates(graph)]
            saving = _saving([trial.gate for trial in tried], graph) if tried else set()
            for trial in reversed(tried):  # what reads a selection before what it reads
                if trial.gate in saving:
                    trial.keep()
                    modified = True
                else:
                    trial.undo()
        return ir.passes.PassResult(model, modified=modified)


_Selection = tuple[ir.Value, ir.Value, ir.Value | None]


def selection(node: ir.Node) -> _Selection | None:
    """Return decision, what is taken if it holds, and what if not (None: zeros)."""
    if node.op_type == "Where" and not node.domain:
        condition, on, off = node.inputs
        assert condition is not None, "inputs of Where are not optional"
        assert on is not None
        assert off is not None
        decision = decision_of(condition)
        shape = node.outputs[0].shape
        if decision is None or shape is None:
            return None
        fits = all(_fits(side.shape, shape) for side in (on, off))
        return (decision, on, off) if fits else None
    product = masked(node)
    return None if product is None else (*product, None)


def _fits(side: ir.Shape | None, result: ir.Shape) -> bool:
    """Whether a side has the shape of the result, or can be repeated to it."""
    if side is None:
        return False
    if side.is_static() and result.is_static():
        return True
    return side == result and all(size is not None for size in _sizes(side))


def _sizes(shape: ir.Shape) -> list[int | str | None]:
    return [size if isinstance(size, int) else size.value for size in shape]


def _candidates(graph: ir.Graph) -> Iterator[tuple[ir.Node, _Selection]]:
    for node in list(graph):
        found = selection(node)
        if found is not None:
            yield node, found


def _saving(gates: list[ir.Node], graph: ir.Graph) -> set[ir.Node]:
    """Return the gates that heavy work hangs on."""
    sequence, scopes = Sequence(graph), Scopes(graph)
    saving: set[ir.Node] = set()
    groups = {gate.inputs[0]: gate for gate in gates}
    for gate in groups.values():
        selectors = sharing(gate, sequence)
        masks = exclusive_work(sequence, scopes, selectors[0].decision)
        for selector in selectors:
            work = with_work({selector.node}, masks) - {selector.node}
            if any(map(is_heavy, work)):
                saving.add(selector.node)
    return saving


class _Trial:
    """A selection seen as a gate, to find out what it would save."""

    def __init__(self, node: ir.Node, found: _Selection, graph: ir.Graph) -> None:
        self._graph = graph
        self._op_type, self._inputs = node.op_type, list(node.inputs)
        decision, on, off = found
        self._sides = on, off
        self.gate = ir.Node(
            DOMAIN,
            "Gate",
            [decision, on, ir.Value() if off is None else off],
            [ir.AttrString("name", node.name or "")],
            name=node.name,
            metadata_props=dict(node.metadata_props),
        )
        _replace(node, self.gate, graph)

    def keep(self) -> None:
        """Give both sides the shape of the result."""
        output = self.gate.outputs[0]
        for index, side in enumerate(self._sides, 1):
            if side is None:
                new = zeros_like(output, self._graph)
            elif side.shape != output.shape:
                new = _expanded(side, output, self._graph)
            else:
                continue
            self._graph.insert_before(self.gate, new)
            self.gate.replace_input_with(index, new.outputs[0])

    def undo(self) -> None:
        """Put the selection back."""
        gate = self.gate
        node = ir.Node(
            "", self._op_type, self._inputs, name=gate.name, metadata_props=gate.metadata_props
        )
        _replace(gate, node, self._graph)


def _replace(old: ir.Node, new: ir.Node, graph: ir.Graph) -> None:
    before, after = old.outputs[0], new.outputs[0]
    after.name, after.type, after.shape = before.name, before.type, before.shape
    after.metadata_props.update(before.metadata_props)
    graph.insert_before(old, new)
    before.replace_all_uses_with(after, replace_graph_outputs=True)
    graph.remove(old, safe=True)


def _expanded(side: ir.Value, like: ir.Value, graph: ir.Graph) -> ir.Node:
    assert like.shape is not None
    name = f"{like.name}.{side.name}"
    dims = add_constant(graph, f"{name}.dims", np.asarray(like.shape.numpy(), np.int64))
    node = ir.Node("", "Expand", [side, dims])
    node.outputs[0].name = name
    node.outputs[0].type, node.outputs[0].shape = like.type, like.shape
    return node
