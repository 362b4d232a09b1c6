"""Fold a selector where its use already implies the decision."""

from __future__ import annotations

__all__ = ["FoldImpliedSelectors"]

from collections.abc import Iterable
from dataclasses import dataclass

import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from dyncompile.dialect import FOLDED, Selector, option_count
from dyncompile.passes.decision_names import add_names, selector_options
from dyncompile.passes.exclusive_work import exclusive_work, numbers_needed
from dyncompile.passes.scopes import Scopes
from dyncompile.passes.sequence import Sequence


@dataclass(frozen=True)
class FoldImpliedSelectors(ir.passes.InPlacePass):
    """Replace a use of a selector that only one option of its decision needs by that option.

    Before: ``g = Gate(take, a, b); f = Relu(g); y = Gate(take, f, x)``
    After: ``f = Relu(a); y = Gate(take, f, x)``

    The other side then has no use there and may go away; without this it would look needed to
    every other decision. The names of selectors that vanish are noted at the decision.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Fold the selectors of the main graph until no use is implied."""
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
    implied = [use for group in shared for use in _implied_uses(group, sequence, scopes)]
    for user, index, selector, number in implied:
        user.replace_input_with(index, selector.option(number))
        _note(selector)
    return bool(implied)


def _implied_uses(
    group: list[Selector], sequence: Sequence, scopes: Scopes
) -> Iterable[tuple[ir.Node, int, Selector, int]]:
    """Yield user, input, selector and the option it must be, last users first."""
    masks = exclusive_work(sequence, scopes, group[0].decision)
    count = option_count(group[0].decision)
    for selector in reversed(group):
        for user, index in selector.output.uses():
            mask = numbers_needed(user, index, selector.decision, count)
            mask &= masks.get(scopes.within(user, sequence.graph), (1 << count) - 1)
            numbers = [number for number in range(count) if mask >> number & 1]
            if len({selector.option(number) for number in numbers}) == 1:
                yield user, index, selector, numbers[0]


def _note(selector: Selector) -> None:
    """Keep the name of a selector that may vanish, so that the manifest can list it."""
    add_names(selector.decision, FOLDED, {selector.name: selector_options(selector)})
