"""Say what a graph decides: build the manifest of a model."""

from __future__ import annotations

__all__ = ["manifest_from_model", "operating_points"]

import itertools
import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

import onnx_ir as ir

from dyncompile.cost import sides_from_model
from dyncompile.dialect import ALIASES, BUDGETS, DECISION, ELSE, THEN, Budget, Selector
from dyncompile.errors import GraphError, KnobError
from dyncompile.knobs import Knob, Levels
from dyncompile.manifest import Budgets, Decision, Manifest, OperatingPoint, Side, TargetName
from dyncompile.passes.branch_notes import around, options_of
from dyncompile.passes.decision_names import names_noted, selector_options
from dyncompile.passes.rounds import bodies_of
from dyncompile.passes.scopes import graphs_of

_MOST_POINTS = 32
_LOGICAL = {"And", "Identity", "Not"}

Enclosing = tuple[tuple[str, int], ...]


def manifest_from_model(model: ir.Model, knobs: Mapping[str, Knob], target: TargetName) -> Manifest:
    """Describe a marked or lowered graph; what a pass noted of its budgets stays in it.

    Raises:
        GraphError: a knob is not an input of the graph.
        KnobError: this input has another type or shape than the knob.
    """
    inputs = {value.name: value for value in model.graph.inputs}
    for name, knob in knobs.items():
        if name not in inputs:
            raise GraphError(
                "this knob is not an input of the graph.",
                where=f"knob {name!r}",
                remedy="Use the knob in forward.",
            )
        _check_fits(name, knob, inputs[name])
    found = _marked_decisions(model) if target == "marked" else _lowered_decisions(model)
    decisions = tuple(found)
    budgets = tuple(_marked_budgets(model) if target == "marked" else _lowered_budgets(model))
    _check_counted(knobs, decisions, budgets)
    return Manifest(
        target=target,
        knobs=dict(knobs),
        decisions=decisions,
        operating_points=tuple(operating_points(knobs)),
        precision=_precision(model),
        budgets=budgets,
    )


def _check_fits(name: str, knob: Knob, value: ir.Value) -> None:
    dtype = None if value.dtype is None else value.dtype.numpy()
    shape = None if value.shape is None else list(value.shape)
    if dtype in {None, knob.dtype} and shape in (None, list(knob.shape)):
        return
    raise KnobError(
        f"it is {knob.dtype}{list(knob.shape)}, and the input of the graph {dtype}{shape}.",
        where=f"knob {name!r}",
        remedy="Declare a knob of the same kind and length, or export the module again.",
    )


def _check_counted(
    knobs: Mapping[str, Knob], decisions: Iterable[Decision], budgets: Iterable[Budgets]
) -> None:
    """Budgets count channels for each level of their knob, also if it is another than traced."""
    levels = {one.decision: one.levels for one in budgets}
    for decision in decisions:
        names = (decision.name, *(name for name, _ in decision.aliases))
        count = next((levels[name] for name in names if name in levels), None)
        for name in knobs.keys() & set(decision.values) if count else ():
            knob = knobs[name]
            if isinstance(knob, Levels) and len(knob.values) != count:
                raise KnobError(
                    f"it has {len(knob.values)} levels, and its channel budgets count for {count}.",
                    where=f"knob {name!r}",
                    remedy="Give one level per count.",
                )


def _precision(model: ir.Model) -> str:
    """Return the float type that most weights have; without weights, most outputs."""
    counts: Counter[str] = Counter()
    for graph in (model.graph, *model.graph.subgraphs()):
        for value in graph.initializers.values():
            tensor = value.const_value
            if tensor is not None and tensor.dtype.is_floating_point():
                counts[tensor.dtype.numpy().name] += math.prod(tensor.shape.numpy())
    if not counts:
        types = [value.dtype for value in model.graph.outputs]
        counts.update(t.numpy().name for t in types if t is not None and t.is_floating_point())
    return counts.most_common(1)[0][0] if counts else "float32"


def operating_points(knobs: Mapping[str, Knob]) -> Iterator[OperatingPoint]:
    """Yield every combination of levels; beyond 32, each level with the others at default."""
    levels = {name: range(len(k.values)) for name, k in knobs.items() if isinstance(k, Levels)}
    default = {name: k.default for name, k in knobs.items() if isinstance(k, Levels)}
    total = 1
    for choices in levels.values():
        total *= len(choices)
    if total <= _MOST_POINTS:
        for chosen in itertools.product(*levels.values()):
            yield dict(zip(levels, chosen, strict=True))
        return
    yield dict(default)
    for name, choices in levels.items():
        yield from ({**default, name: level} for level in choices if level != default[name])


def _marked_decisions(model: ir.Model) -> Iterator[Decision]:
    found: dict[str, Decision] = {}
    per_round = set(bodies_of(model.graph))  # what is decided there is no decision of a call
    for node in model.graph.all_nodes():
        marker = Selector.from_node(node) or Budget.from_node(node)
        if marker is None or marker.decision.graph in per_round:
            continue
        count = len(selector_options(marker))
        known = found.get(marker.name)
        if known is None or len(known.sides) < count:
            found[marker.name] = Decision(
                name=marker.name,
                kind="gate" if node.op_type == "Gate" else "switch",
                values=(str(marker.decision.name),),
                under=(),
                sides=(Side(0, 0),) * count,
            )
    yield from found.values()


def _marked_budgets(model: ir.Model) -> Iterator[Budgets]:
    """Yield the budgets by level; names of one level after the first are other names of it."""
    found: dict[ir.Value, Budgets] = {}
    for node in model.graph.all_nodes():
        budget = Budget.from_node(node)
        if budget is not None:
            found.setdefault(budget.decision, Budgets(budget.name, len(budget.counts)))
    yield from found.values()


def _lowered_budgets(model: ir.Model) -> Iterator[Budgets]:
    return map(Budgets.from_json, json.loads(model.metadata_props.get(BUDGETS, "[]")))


def _lowered_decisions(model: ir.Model) -> Iterator[Decision]:
    values: dict[str, list[ir.Value]] = {}
    for value in _values(model.graph):
        if DECISION in value.metadata_props:
            values.setdefault(value.metadata_props[DECISION], []).append(value)
    counts: dict[str, int] = {}
    under: dict[str, Enclosing] = {}
    kinds: dict[str, Literal["gate", "switch"]] = {}
    for node, enclosing in _branching(model.graph, ()):
        name = node.metadata_props[DECISION]
        options = [o for side in (THEN, ELSE) for o in options_of(node, side)]
        for outer_name, _ in enclosing:  # it may stand behind
            counts.setdefault(outer_name, 0)
        counts[name] = max(counts.get(name, 0), 1 + max(options))
        outer = tuple(pair for pair in enclosing if pair[0] != name)
        under[name] = _common(under[name], outer) if name in under else outer
        kinds.setdefault(name, "gate" if _is_any(node.inputs[0], values[name]) else "switch")
    sides = sides_from_model(model, counts)
    for name, count in counts.items():
        aliases = names_noted(values[name][0], ALIASES)
        yield Decision(
            name=name,
            kind=kinds[name],
            values=tuple(str(value.name) for value in values[name]),
            under=under[name],
            sides=tuple(sides[name]),
            aliases=tuple(
                (other, tuple(options[min(option, len(options) - 1)] for option in range(count)))
                for other, options in sorted(aliases.items())
            ),
        )


def _branching(graph: ir.Graph, enclosing: Enclosing) -> Iterator[tuple[ir.Node, Enclosing]]:
    """Yield the Ifs that decide, outer before inner, with the options that lead to them."""
    for node in graph:
        name = node.metadata_props.get(DECISION)
        if name is None:
            for inner in graphs_of(node):
                yield from _branching(inner, enclosing)
            continue
        own = tuple((one.decision, one.options[0]) for one in around(node))
        yield node, (*enclosing, *own)
        for side, attribute in ((THEN, "then_branch"), (ELSE, "else_branch")):
            branch = node.attributes[attribute].as_graph()
            outer = tuple(pair for pair in enclosing if pair[0] != name)
            yield from _branching(branch, (*outer, *own, (name, options_of(node, side)[0])))


def _is_any(condition: ir.Value | None, held: list[ir.Value]) -> bool:
    """Whether a condition is one of some bools, or what is left of one where others hold too."""
    node = None if condition is None else condition.producer()
    if condition in held or node is None or node.domain:
        return condition in held
    if node.op_type == "If":
        index = node.outputs.index(condition)
        return any(_is_any(branch.outputs[index], held) for branch in graphs_of(node))
    return node.op_type in _LOGICAL and any(_is_any(value, held) for value in node.inputs)


def _common(one: Enclosing, other: Enclosing) -> Enclosing:
    same = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))
    return tuple(first for first, _ in same)


def _values(graph: ir.Graph) -> Iterator[ir.Value]:
    yield from graph.inputs
    for node in graph:
        yield from node.outputs
        for inner in graphs_of(node):
            yield from _values(inner)
