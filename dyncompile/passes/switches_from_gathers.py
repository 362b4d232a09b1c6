"""Recognise weights that are gathered by a run-time index as a switch."""

from __future__ import annotations

__all__ = ["SwitchesFromGathers"]

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from dyncompile.dialect import DOMAIN, Selector, switch_op_type
from dyncompile.passes.build_branches import like
from dyncompile.passes.constants import shared_constant
from dyncompile.passes.copying import numbered_copy
from dyncompile.passes.gates import is_single
from dyncompile.passes.gathered_weights import GatheredWeight, gathered_weights
from dyncompile.passes.name_uniquely import NameUniquely
from dyncompile.passes.rounds import Rounds
from dyncompile.passes.scopes import Scopes
from dyncompile.passes.sequence import Sequence
from dyncompile.passes.stacks import Stack, remove_if_unused
from dyncompile.passes.weight_regions import macs_with, uses_outside, weight_region


@dataclass(frozen=True)
class SwitchesFromGathers(ir.passes.InPlacePass):
    """Turn what computes with ``weights[i]`` into a switch over the weights.

    Before: ``w = Gather(weights, i); y = Relu(Conv(x, w))`` with ``weights`` a constant
    After: ``y = dyncompile.Switch2(Mod(i, 2), Relu(Conv(x, w0)), Relu(Conv(x, w1)))``

    A runtime prepares constant weights once, at load; one that is gathered it prepares never.
    All weights gathered by one scalar index belong to one switch. It spans the work between
    the nodes that read them, and light work behind that; every option has a copy of this work.
    Where heavy work lies between, there are two switches on one decision.
    The weights are stored once: a constant that is used otherwise stays, and the options have
    foldable views of it.

    An index from -n to -1 counts from the end, as Gather has it. An index outside of that is an
    error of the original, and wraps around here.

    A switch costs some microseconds, so small work is left alone: its weights are gathered in
    less.

    Attributes:
        most_options: Longer stacks are left alone.
        least_macs: Multiply-accumulates from which a region is worth it,
        least_bytes: or bytes of weights that it would gather.
    """

    most_options: int = 16
    least_macs: int = 300_000
    least_bytes: int = 500_000

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite the gathers of every graph, one region at a time."""
        modified = False
        switcher = _Switcher(model)
        for graph in [model.graph, *model.graph.subgraphs()]:
            while any(
                switcher.rewrite(graph, group)
                for group in self._groups(graph)
                if self._is_worth_it(group)
            ):
                modified = True
        if modified:
            NameUniquely()(model)
        return ir.passes.PassResult(model, modified=modified)

    def _groups(self, graph: ir.Graph) -> list[list[GatheredWeight]]:
        """Group gathered weights by index and number of options, in order."""
        groups: dict[tuple[ir.Value, int], list[GatheredWeight]] = {}
        for weight in gathered_weights(graph):
            if 2 <= weight.count <= self.most_options and is_single(weight.index):
                groups.setdefault((weight.index, weight.count), []).append(weight)
        return list(groups.values())

    def _is_worth_it(self, group: list[GatheredWeight]) -> bool:
        gathered = sum(weight.nbytes for weight in group)
        return gathered >= self.least_bytes or macs_with(group) >= self.least_macs


class _Switcher:
    """Makes switches; those by one index share a decision and its name."""

    def __init__(self, model: ir.Model) -> None:
        self._model = model
        nodes = model.graph.all_nodes()
        self._names = {s.name for node in nodes if (s := Selector.from_node(node)) is not None}
        self._decisions: dict[tuple[ir.Value, int], tuple[ir.Value, str]] = {}

    def rewrite(self, graph: ir.Graph, group: list[GatheredWeight]) -> bool:
        """Put a switch over copies in the place of one region; return whether there was one."""
        sequence, scopes = Sequence(graph), Scopes(self._model.graph)
        region = weight_region(sequence, scopes, group)
        inside = set(region)
        results = {
            output: list(uses_outside(output, inside, scopes, graph))
            for node in region
            for output in node.outputs
        }
        results = {out: uses for out, uses in results.items() if uses or out.is_graph_output()}
        if not results:
            return False
        options = _options(region, *_read_by(inside, group, scopes, graph))
        selectors = [
            self._selector(group[0], output, [values[output] for _, values in options])
            for output in results
        ]
        for selector, (output, uses) in zip(selectors, results.items(), strict=True):
            for user, position in uses:
                user.replace_input_with(position, selector.outputs[0])
            for position, value in enumerate(graph.outputs):
                if value is output:
                    graph.outputs[position] = selector.outputs[0]
        sequence.replace(region, [*(node for nodes, _ in options for node in nodes), *selectors])
        for weight in group:
            _remove_if_unused(weight)
        return True

    def _selector(
        self, weight: GatheredWeight, output: ir.Value, chosen: list[ir.Value]
    ) -> ir.Node:
        key = weight.index, weight.count
        if key not in self._decisions:
            name = _unused(f"{weight.constant.name}.index", self._names)
            self._decisions[key] = _decision(weight, self._model), name
        index, name = self._decisions[key]
        return ir.Node(
            DOMAIN,
            switch_op_type(len(chosen)),
            [index, *chosen],
            [ir.AttrString("name", name)],
            outputs=[like(output)],
        )


def _read_by(
    nodes: set[ir.Node], group: list[GatheredWeight], scopes: Scopes, graph: ir.Graph
) -> tuple[list[GatheredWeight], set[ir.Node]]:
    """Return the weights that nodes read, and the Gathers of those that nothing else reads."""
    read = [w for w in group if any(scopes.find(u, graph) in nodes for u, _ in w.value.uses())]
    replaced = {
        weight.chain[0]
        for weight in read
        if not any(uses_outside(weight.value, nodes, scopes, graph))
        and not weight.value.is_graph_output()
    }
    return read, replaced


def _options(
    region: list[ir.Node], group: list[GatheredWeight], replaced: set[ir.Node]
) -> list[tuple[list[ir.Node], dict[ir.Value, ir.Value]]]:
    """Return for each option its copy of the region, and what each value is in it."""
    stacks = {weight.constant: _stack(weight.constant, group, replaced) for weight in group}
    options = []
    for number in range(group[0].count):
        nodes: list[ir.Node] = []
        values: dict[ir.Value, ir.Value] = {}
        found: dict[tuple[ir.Value, tuple[int, ...]], ir.Value] = {}
        for weight in group:
            element = (weight.constant, weight.dims)
            if element not in found:
                found[element], view = stacks[weight.constant].element(number, weight.dims)
                nodes += view
            values[weight.value] = found[element]
        nodes += [numbered_copy(node, values, number) for node in region]
        options.append((nodes, values))
    return options


def _stack(constant: ir.Value, group: list[GatheredWeight], replaced: set[ir.Node]) -> Stack:
    shapes = {weight.dims for weight in group if weight.constant is constant}
    only_here = {user for user, _ in constant.uses()} <= replaced and not constant.is_graph_output()
    return Stack(constant, 0, stays=len(shapes) > 1 or not only_here)


def _decision(weight: GatheredWeight, model: ir.Model) -> ir.Value:
    """Return the number of the element as ``int64``, never negative, beside the index."""
    index = weight.index
    new = []
    if index.dtype != ir.DataType.INT64:
        new.append(ir.Node("", "Cast", [index], [ir.AttrInt64("to", ir.DataType.INT64)]))
        index = _described(new[-1], f"{weight.index.name}.wide", index)
    if weight.index not in _counters(model):
        count = shared_constant(model.graph, f"count.{weight.count}", np.asarray(weight.count))
        new.append(ir.Node("", "Mod", [index, count]))
        index = _described(new[-1], f"{weight.index.name}.wrapped", index)
    graph, producer = weight.index.graph, weight.index.producer()
    assert isinstance(graph, ir.Graph), "an index has a graph"
    if producer is not None:
        graph.insert_after(producer, new)
    else:
        graph.insert_before(graph[0], new)
    return index


def _described(node: ir.Node, name: str, source: ir.Value) -> ir.Value:
    value = node.outputs[0]
    value.name, value.dtype, value.shape = name, ir.DataType.INT64, source.shape
    return value


def _counters(model: ir.Model) -> set[ir.Value]:
    """Return the numbers of the round that loops keep: they are never negative."""
    loops = (rounds for node in model.graph.all_nodes() if (rounds := Rounds.from_node(node)))
    return {rounds.body.inputs[0] for rounds in loops if rounds.node.op_type == "Loop"}


def _unused(wanted: str, names: set[str]) -> str:
    name, number = wanted, 1
    while name in names:
        number += 1
        name = f"{wanted}#{number}"
    names.add(name)
    return name


def _remove_if_unused(weight: GatheredWeight) -> None:
    for node in reversed(weight.chain):
        if node.outputs[0].uses() or node.outputs[0].is_graph_output():
            return
        assert isinstance(node.graph, ir.Graph)
        node.graph.remove(node, safe=True)
    remove_if_unused(weight.constant)
