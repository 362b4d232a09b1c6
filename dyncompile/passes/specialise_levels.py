"""Give every level of a channel budget a network of its own channels, on weights stored once."""

from __future__ import annotations

__all__ = ["Lowering", "SpecialiseLevels", "at_level"]

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from dyncompile.dialect import BUDGETS, FOLDED, Budget, Selector
from dyncompile.errors import GraphError
from dyncompile.passes.channels.copies import specialise_region
from dyncompile.passes.channels.groups import ChannelGroups
from dyncompile.passes.channels.region import BudgetRegion
from dyncompile.passes.channels.sums import sum_groups
from dyncompile.passes.channels.ways import Lowering, Way, choose_way
from dyncompile.passes.decision_names import (
    add_names,
    main_name,
    names_noted,
    selector_options,
)
from dyncompile.passes.name_uniquely import NameUniquely


@dataclass(frozen=True)
class SpecialiseLevels(ir.passes.InPlacePass):
    """Replace channel budgets by networks that lack the channels, and choose among them.

    Before: ``y = ChannelBudget(Relu(Conv(x, w)), level) {counts = [8, 16]}; z = Conv(y, v)``
    After, as a switch: ``z = Switch2(level, Conv(Relu(Conv(x, w[:8])), v[:, :8]),
    Conv(Relu(Conv(x, w)), v))``

    Three lowerings. ``switch`` copies the region once per level and cuts each copy by constants:
    as fast as static networks; a runtime folds the cut weights when it loads the file, so it
    holds those of every level in memory. ``slice`` cuts weights at run time, in one copy for all
    levels but the last, which has its own: slower, and weights are held twice at most. ``chain``
    computes what each level adds to the one before, so that no weight is held twice; it needs
    channels that meet nowhere but in the layers that sum over them. ``auto`` takes ``chain``
    where a runtime has use for it and it can be done with eight levels at most, ``slice`` where
    the levels are more than 32, or hold more than four times the weights of the region and 64
    MB, and else ``switch``.

    Budgets on one level are one decision; regions of different levels that overlap multiply.
    The pass notes in the metadata of the model what it did, for ``inspect``.

    Attributes:
        lowering: Which of them.
        ways: What ``auto`` chooses from.
    """

    lowering: Lowering = "auto"
    ways: tuple[Way, ...] = ("switch", "slice")

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Specialise the main graph and the graphs nested in it, one decision after the other.

        Raises:
            GraphError: budgets of one level disagree in their number of levels, reach no
                weights, are revived by a bias, or there are too many levels.
        """
        if not any(map(Budget.from_node, model.graph.all_nodes())):
            return ir.passes.PassResult(model, modified=False)
        RemoveUnusedNodesPass()(model)
        notes = []
        for graph in (model.graph, *model.graph.subgraphs()):
            shared = _overlapping(graph)
            while budgets := _first_decision(graph):
                notes.append(self._specialise(model.graph, graph, budgets, shared))
                RemoveUnusedNodesPass()(model)  # what a level has nothing to add to
        NameUniquely()(model)
        if notes:
            model.metadata_props[BUDGETS] = json.dumps(notes)
        return ir.passes.PassResult(model, modified=True)

    def _specialise(
        self,
        home: ir.Graph,
        graph: ir.Graph,
        budgets: Sequence[Budget],
        shared: dict[ir.Value, int],
    ) -> dict[str, object]:
        """Specialise one decision; return the note for people."""
        count = _level_count(budgets)
        region = BudgetRegion(graph, budgets, [[level] for level in range(count)])
        region.check()
        barriers = region.barriers()
        groups = self._groups(region)
        way, why = choose_way(self.lowering, self.ways, region, shared[region.decision], groups)
        name = _give_one_name(budgets)
        if way == "chain":
            assert groups, "there is one where it was chosen"
            sum_groups(home, graph, groups, budgets)
        elif way == "switch":
            specialise_region(home, region, [[level] for level in range(count)])
        else:
            levels = [list(range(count - 1)), [count - 1]]
            region = BudgetRegion(graph, budgets, levels)
            barriers = region.barriers()
            specialise_region(home, region, levels)
        return {
            "decision": name,
            "levels": len(budgets[0].counts),
            "lowering": way,
            "why": why,
            "barriers": [asdict(barrier) for barrier in barriers],
        }

    def _groups(self, region: BudgetRegion) -> ChannelGroups | None:
        """Return what each level adds, if a chain is to be considered."""
        wanted = self.lowering == "chain" or (self.lowering == "auto" and "chain" in self.ways)
        return ChannelGroups(region) if wanted and len(region.groups) > 1 else None


def _give_one_name(budgets: Sequence[Budget]) -> str:
    """Give budgets the name that their decision will have, and note every name that it had."""
    decision = budgets[0].decision
    users = [Budget.from_node(user) or Selector.from_node(user) for user, _ in decision.uses()]
    for user in users:
        if user and user.decision is decision:
            add_names(decision, FOLDED, {user.name: selector_options(user)})
    name = main_name(names_noted(decision, FOLDED))
    for budget in budgets:
        budget.node.attributes["name"] = ir.AttrString("name", name)
    return name


def at_level(model: ir.Model, name: str, level: int) -> None:
    """Specialise the budgets of one decision to one level, in place; nothing decides it then.

    Args:
        model: A marked graph.
        name: Any name that the decision has.
        level: Clamped to the levels there are.
    """
    for graph in (model.graph, *model.graph.subgraphs()):
        decisions = {budget.decision for budget in _budgets(graph) if budget.name == name}
        for decision in decisions:
            budgets = [budget for budget in _budgets(graph) if budget.decision is decision]
            groups = [[min(max(level, 0), _level_count(budgets) - 1)]]
            specialise_region(model.graph, BudgetRegion(graph, budgets, groups), groups)
    NameUniquely()(model)


def _budgets(graph: ir.Graph) -> list[Budget]:
    return [budget for node in graph if (budget := Budget.from_node(node)) is not None]


def _first_decision(graph: ir.Graph) -> list[Budget]:
    """Return the budgets of the decision that comes first, none if no budget is left."""
    budgets = _budgets(graph)
    own = [budget for budget in budgets if budget.decision is budgets[0].decision]
    for budget in own:
        if len(budget.counts) != len(own[0].counts):
            raise GraphError(
                f"it counts channels for {len(budget.counts)} levels, and {own[0].name!r} on"
                f" the same level for {len(own[0].counts)}.",
                where=f"channel_budget {budget.name!r}",
                remedy="Give every budget of a level as many counts.",
            )
    return own


def _level_count(budgets: Sequence[Budget]) -> int:
    """Return how many levels differ: those of the budgets, or of a longer switch on them."""
    users = (Selector.from_node(user) for user, _ in budgets[0].decision.uses())
    own = [user for user in users if user and user.decision is budgets[0].decision]
    options = [len(user.options) for user in own if user.node.op_type != "Gate"]
    return max([len(budgets[0].counts), *options])


def _overlapping(graph: ir.Graph) -> dict[ir.Value, int]:
    """Return for each decision how many copies its region needs, with those it overlaps with."""
    by_decision: dict[ir.Value, list[Budget]] = {}
    for budget in _budgets(graph):
        by_decision.setdefault(budget.decision, []).append(budget)
    counts = {decision: _level_count(own) for decision, own in by_decision.items()}
    if len(counts) < 2:
        return counts
    regions = {
        decision: set(BudgetRegion(graph, own, [[0]]).nodes)
        for decision, own in by_decision.items()
    }
    together: list[tuple[set[ir.Node], list[ir.Value]]] = []
    for decision, nodes in regions.items():
        meets = [one for one in together if one[0] & nodes]
        together = [one for one in together if one not in meets]
        together.append(
            (nodes.union(*(one[0] for one in meets)), [decision, *_all(one[1] for one in meets)])
        )
    return {
        decision: math.prod(counts[one] for one in group)
        for _, group in together
        for decision in group
    }


def _all(groups: Iterable[list[ir.Value]]) -> list[ir.Value]:
    return [decision for group in groups for decision in group]
