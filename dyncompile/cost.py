"""Multiply-accumulates and weight bytes of a network, and of either side of its decisions.

What is counted stands in ``macs.py``. A Loop whose number of rounds is not constant counts as
one round.
"""

from __future__ import annotations

__all__ = ["along", "always", "sides_from_model", "total", "weights_behind"]

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import onnx_ir as ir

from dyncompile.dialect import DECISION, ELSE, REPORT, THEN
from dyncompile.macs import level_macs, node_macs, sizes
from dyncompile.manifest import Side
from dyncompile.passes.branch_notes import around
from dyncompile.passes.fold_views import viewed_shape
from dyncompile.passes.scopes import graphs_of
from dyncompile.shapes import with_shapes

# Operators that take shapes, axes or positions after their one data input.
_SHAPED = {"Expand", "Pad", "Reshape", "Resize", "Slice", "Squeeze", "Tile", "Unsqueeze"}

# Operators through which a constant stays the same weight, in another form.
_FORMS = {
    "Cast",
    "Concat",
    "DequantizeLinear",
    "Identity",
    "Reshape",
    "Slice",
    "Squeeze",
    "Transpose",
    "Unsqueeze",
}


def total(model: ir.Model) -> Side:
    """Return the cost of the whole network, every decision on its most expensive side."""
    return _side(_region(with_shapes(model).graph, {}), {})


def always(model: ir.Model) -> Side:
    """Return the cost of what runs whatever is decided."""
    return _cost_of(_unconditional(_region(with_shapes(model).graph, {})))


def along(model: ir.Model, paths: Iterable[Mapping[str, int]]) -> list[Side]:
    """Return the cost of each path; decisions not on it are on their most expensive side."""
    region = _region(with_shapes(model).graph, {})
    return [_side(region, path) for path in paths]


def sides_from_model(model: ir.Model, counts: Mapping[str, int]) -> dict[str, tuple[Side, ...]]:
    """Return what each option of each decision costs in a lowered model.

    The cost of an option is the work in the branches that it selects, over all Ifs of the
    decision: each weight once, other decisions in there on their most expensive side. Where
    the decision is cloned into several branches, the most expensive clone counts.

    Args:
        model: A graph whose Ifs carry ``dyncompile.decision``, ``.then`` and ``.else``.
        counts: The number of options of each decision asked for.

    Returns:
        One cost per option; nothing for a decision that no If carries.
    """
    region = _region(with_shapes(model).graph, {})
    return {
        name: tuple(_side(region, {name: option}, within=name) for option in range(count))
        for name, count in counts.items()
    }


@dataclass
class _Work:
    """Work, and the weights it reads, each known by its value."""

    macs: int = 0
    weights: dict[ir.Value, int] = field(default_factory=dict)

    def add(self, other: _Work, times: int = 1) -> None:
        self.macs += other.macs * times
        self.read(other.weights)

    def read(self, weights: Mapping[ir.Value, int]) -> None:
        """Read weights; where two read the first part of one, the larger part counts."""
        for value, size in weights.items():
            self.weights[value] = max(size, self.weights.get(value, 0))

    def rank(self) -> tuple[int, int]:
        return self.macs, sum(self.weights.values())


@dataclass
class _Region:
    """A graph as work of its own and the choices in it."""

    own: _Work
    choices: list[_Choice]
    decisions: frozenset[str]


@dataclass
class _Choice:
    """An If, a node whose shapes follow from a level, or the body of a loop as a choice of one.

    ``branches`` lists what may run, with the options of the decision that lead there.
    """

    decision: str | None
    branches: list[tuple[frozenset[int], _Region]]
    times: int
    decisions: frozenset[str]

    @property
    def last(self) -> int:
        """The last option; whatever lies beyond it leads where it leads."""
        return max((option for options, _ in self.branches for option in options), default=0)


def _side(region: _Region, path: Mapping[str, int], within: str | None = None) -> Side:
    return _cost_of(_work(region, path, within))


def _cost_of(work: _Work) -> Side:
    macs, weight_bytes = work.rank()
    return Side(macs, weight_bytes)


def _unconditional(region: _Region) -> _Work:
    """Return the work outside of every If, loops included."""
    work = _Work()
    work.add(region.own)
    for choice in region.choices:
        if len(choice.branches) == 1:
            work.add(_unconditional(choice.branches[0][1]), choice.times)
    return work


def _work(region: _Region, path: Mapping[str, int], within: str | None) -> _Work:
    """Return the work along a path; with ``within``, only that inside Ifs of the decision."""
    work = _Work()
    if within is None:
        work.add(region.own)
    for choice in _joined(region.choices):
        if within is not None and within not in choice.decisions:
            continue
        inside = None if choice.decision == within else within
        ways = [
            _work(branch, path, inside)
            for options, branch in choice.branches
            if choice.decision is None
            or choice.decision not in path
            or min(path[choice.decision], choice.last) in options
        ]
        if ways:
            work.add(max(ways, key=_Work.rank), choice.times)
    return work


def _joined(choices: Iterable[_Choice]) -> Iterator[_Choice]:
    """Yield the choices, those by one decision as one."""
    open_: dict[str, list[_Choice]] = {}
    for choice in choices:
        if choice.decision is None:
            yield choice
        else:
            open_.setdefault(choice.decision, []).append(choice)
    for decision, same in open_.items():
        if len(same) == 1:
            yield same[0]
            continue
        last = max(choice.last for choice in same)
        branches = [(frozenset({option}), _chosen(same, option)) for option in range(last + 1)]
        inside = frozenset[str]().union(*(choice.decisions for choice in same))
        yield _Choice(decision, branches, 1, inside)


def _chosen(choices: Iterable[_Choice], option: int) -> _Region:
    """Return what one option chooses of several choices by its decision."""
    own, inner = _Work(), []
    for choice in choices:
        for options, region in choice.branches:
            if min(option, choice.last) in options:
                own.add(region.own)
                inner += region.choices
    return _Region(own, inner, frozenset[str]().union(*(one.decisions for one in inner)))


def _region(graph: ir.Graph, weights: dict[ir.Value, dict[ir.Value, int]]) -> _Region:
    own = _Work()
    choices = []
    for node in graph:
        if REPORT in node.metadata_props:
            continue
        bodies = list(graphs_of(node))
        if bodies:
            choices.append(_choice(node, bodies, weights))
        work = _Work(node_macs(node))
        for value in (
            () if _is_cut(node) or _is_size(node) else _data_inputs(node)
        ):  # whoever reads a cut counts
            work.read(_weights_read(value, weights))
        noted = level_macs(node)
        if noted is None:
            own.add(work)
        else:
            choices.append(_leveled(*noted, work.weights))
    inside = frozenset[str]().union(*(choice.decisions for choice in choices))
    return _Region(own, choices, inside)


def _choice(
    node: ir.Node, bodies: list[ir.Graph], weights: dict[ir.Value, dict[ir.Value, int]]
) -> _Choice:
    if node.op_type == "If":
        decision = node.metadata_props.get(DECISION)
        branches = [
            (
                _options(node.metadata_props.get(note, "")),
                _region(node.attributes[branch].as_graph(), weights),
            )
            for note, branch in ((THEN, "then_branch"), (ELSE, "else_branch"))
        ]
    else:
        decision = None
        branches = [(frozenset[int](), _region(body, weights)) for body in bodies]
    inside = frozenset[str]().union(*(region.decisions for _, region in branches))
    if decision is not None:
        inside |= {decision}
    choice = _Choice(decision, branches, _rounds(node), inside)
    for outer in reversed(around(node)):
        inside |= {outer.decision}
        leading = (frozenset(outer.options), _Region(_Work(), [choice], choice.decisions))
        leaving = (frozenset(outer.others), branches[1][1])
        choice = _Choice(outer.decision, [leading, leaving], 1, inside)
    return choice


def _leveled(decision: str, macs: Sequence[int], weights: dict[ir.Value, int]) -> _Choice:
    """Return a node whose shapes follow from a level."""
    branches = [
        (frozenset({level}), _Region(_Work(count, weights), [], frozenset()))
        for level, count in enumerate(macs)
    ]
    return _Choice(decision, branches, 1, frozenset({decision}))


def _options(text: str) -> frozenset[int]:
    return frozenset(int(option) for option in text.split(",") if option.strip().isdecimal())


def _rounds(node: ir.Node) -> int:
    """How often a loop runs, if that is written in the graph."""
    if node.op_type == "Loop" and node.inputs[0] is not None:
        count = ir.convenience.get_const_tensor(node.inputs[0])
        if count is not None and count.size == 1 and not node.inputs[0].is_graph_input():
            return max(int(count.numpy().item()), 0)
    if node.op_type == "Scan" and node.outputs:
        states = len(node.inputs) - node.attributes["num_scan_inputs"].as_int()
        found = sizes(node.inputs[states])
        return found[0] if found and "scan_input_axes" not in node.attributes else 1
    return 1


def _weights_read(
    value: ir.Value, known: dict[ir.Value, dict[ir.Value, int]]
) -> Mapping[ir.Value, int]:
    """Return the weights that a value is a form of; of one cut from its start, the part read."""
    weights, node = weights_behind(value, known), value.producer()
    if node is None or not _is_cut(node):
        return weights
    shape, whole = viewed_shape(node), sizes(node.inputs[0])
    assert shape is not None
    assert whole is not None
    return {
        weight: size * math.prod(shape) // max(math.prod(whole), 1)
        for weight, size in weights.items()
    }


def _is_cut(node: ir.Node) -> bool:
    """Whether the node cuts a weight from its start on, as a level does, and is read."""
    if node.op_type != "Slice" or viewed_shape(node) is None or not node.outputs[0].uses():
        return False
    starts = ir.convenience.get_const_tensor(node.inputs[1]) if node.inputs[1] else None
    return starts is not None and not starts.numpy().any()


def _is_size(node: ir.Node) -> bool:
    """Whether a node computes sizes or positions, and no more than a list of them."""
    value = node.outputs[0]
    return value.dtype == ir.DataType.INT64 and value.shape is not None and len(value.shape) < 2


def weights_behind(
    value: ir.Value, known: dict[ir.Value, dict[ir.Value, int]]
) -> Mapping[ir.Value, int]:
    """Return the constants that a value is a form of, with their size; none if computed.

    Args:
        value: What a node reads.
        known: What was found before, for many questions about one graph; filled further.
    """
    pending = [value]
    while pending:
        current = pending[-1]
        if current in known:
            pending.pop()
            continue
        node = current.producer()
        if node is None or node.op_type == "Constant":
            tensor = ir.convenience.get_const_tensor(current)
            given = current.is_graph_input() or tensor is None
            known[current] = {} if given or tensor is None else {current: tensor.nbytes}
            pending.pop()
            continue
        sources = list(_data_inputs(node))
        foldable = node.op_type in _FORMS and node.domain == ""
        if foldable and (unknown := [source for source in sources if source not in known]):
            pending += unknown
            continue
        pending.pop()
        constant = foldable and all(known[source] for source in sources)
        known[current] = {}
        if constant:
            for source in sources:
                known[current] |= known[source]
    return known[value]


def _data_inputs(node: ir.Node) -> Iterator[ir.Value]:
    """Yield the inputs of a node, less those that are shapes, axes or positions."""
    shaped = node.op_type in _SHAPED or node.op_type.startswith("Reduce")
    for value in node.inputs[:1] if shaped else node.inputs:
        if value is not None:
            yield value
