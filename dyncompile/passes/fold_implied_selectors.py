"""Fold a selector inside of work that already implies its decision."""

from __future__ import annotations

__all__ = ["FoldImpliedSelectors"]

from dataclasses import dataclass

import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from dyncompile.dialect import Selector
from dyncompile.passes.exclusive_work import exclusive_work
from dyncompile.passes.scopes import Scopes
from dyncompile.passes.sequence import Sequence


@dataclass(frozen=True)
class FoldImpliedSelectors(ir.passes.InPlacePass):
    """Replace a selector that is only needed under one option of its decision by that option.

    Before: ``g = Gate(take, a, b); f = Relu(g); y = Gate(take, f, x)``
    After: ``f = Relu(a); y = Gate(take, f, x)``

    The other side then has no use and goes away; without this it would look needed to
    every other decision.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Fold the selectors of the main graph, last first, until none is implied."""
        modified = False
        while _fold_all(model.graph):
            RemoveUnusedNodesPass()(model)
            modified = True
        return ir.passes.PassResult(model, modified=modified)


def _fold_all(graph: ir.Graph) -> bool:
    groups: dict[ir.Value, list[Selector]] = {}
    for node in graph:
        selector = Selector.from_node(node)
        if selector is not None:
            groups.setdefault(selector.decision, []).append(selector)
    shared = [group for group in groups.values() if len(group) > 1]
    if not shared:
        return False
    sequence, scopes = Sequence(graph), Scopes(graph)
    implied: list[tuple[ir.Node, int]] = []
    for group in shared:
        count = max(len(selector.options) for selector in group)
        masks = exclusive_work(sequence, scopes, group)
        for selector in group:
            mask = masks.get(selector.node, (1 << count) - 1)
            known = {selector.option(i) for i in range(count) if mask >> i & 1}
            if mask and len(known) == 1:
                implied.append((selector.node, mask.bit_length() - 1))
    for node, number in implied:
        selector = Selector.from_node(node)
        assert selector is not None
        selector.output.replace_all_uses_with(selector.option(number))
    return bool(implied)
