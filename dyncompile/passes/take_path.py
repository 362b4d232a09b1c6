"""Specialise a graph to one path: the static network that lies on it."""

from __future__ import annotations

__all__ = ["take_path"]

from collections.abc import Iterable, Iterator, Mapping

import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from dyncompile.dialect import Budget, Selector
from dyncompile.manifest import Decision
from dyncompile.passes.block_captured_maps import is_block_entry
from dyncompile.passes.branch_notes import branch_taken
from dyncompile.passes.decision_values import require_value, values_by_name
from dyncompile.passes.fold_cuts import fold_cuts
from dyncompile.passes.fold_views import FoldViews
from dyncompile.passes.scopes import graphs_of, nested_nodes
from dyncompile.passes.specialise_levels import at_level

_TYPES = {"gate": ir.DataType.BOOL, "switch": ir.DataType.INT64}


def take_path(
    model: ir.Model, path: Mapping[str, int], scores: Iterable[Decision] = ()
) -> ir.Model:
    """Return a copy in which the decisions on the path are made, and nothing decides them.

    Before: ``take = Greater(score(x), 0); y = If(take) {block(x)} else {Identity(x)}``
    After, on the path ``take=1``: ``y = block(x)``

    Every If that was made from a decision on the path gives way to its branch, every marker to
    its option; of what channel budgets reach, the channels of that level are left. Work that
    nothing needs any more goes, copies too, weights move to the graph that reads them, views of
    weights are folded. Ifs of other decisions or of none, and loops, stay; so do all inputs and
    outputs.

    Args:
        model: A lowered or marked graph.
        path: The option of each decision on it, such as ``DecisionTree`` gives.
        scores: Decisions whose values, where the main graph has them, are still computed: they
            become outputs at the end, so that nothing can take them for idle.

    Raises:
        GraphError: the graph lacks a value that one of ``scores`` names, or a budget in it
            cannot be lowered.
    """
    copy = model.clone()
    _keep_channels(copy, path)
    values = values_by_name(copy)
    kept = {require_value(values, name, d.name): d.kind for d in scores for name in d.values}
    _take(copy.graph, path)
    for node in list(copy.graph.all_nodes()):
        if (node.op_type == "Identity" and not node.domain) or is_block_entry(node):
            _pass_on(node)
    for value, kind in kept.items():
        if _may_be_output(value, copy.graph):
            value.dtype = value.dtype or _TYPES[kind]
            copy.graph.outputs.append(value)
    fold_cuts(copy, path)
    FoldViews()(copy)
    RemoveUnusedNodesPass()(copy)
    for graph in copy.graph.subgraphs():
        for name, value in list(graph.initializers.items()):
            if not value.uses() and not value.is_graph_output():
                del graph.initializers[name]
    return copy


def _keep_channels(model: ir.Model, path: Mapping[str, int]) -> None:
    """Lower the budgets on the path."""
    budgets = map(Budget.from_node, model.graph.all_nodes())
    names = {budget.name for budget in budgets if budget is not None}
    for name in sorted(names & path.keys()):
        at_level(model, name, path[name])


def _take(graph: ir.Graph, path: Mapping[str, int]) -> None:
    for node in list(graph):
        selector = Selector.from_node(node)
        if selector is not None and selector.name in path:
            _give_way(node, [selector.option(path[selector.name])])
            continue
        branch = branch_taken(node, path)
        for inner in graphs_of(node) if branch is None else (branch,):
            _take(inner, path)
        if branch is not None:
            _give_way(node, list(_emptied(branch, node)))


def _emptied(branch: ir.Graph, node: ir.Node) -> Iterator[ir.Value]:
    """Move what the branch holds before the node, and yield what it returned."""
    graph = node.graph
    assert isinstance(graph, ir.Graph), "the node stands in a graph"
    for name, value in list(branch.initializers.items()):
        del branch.initializers[name]
        graph.register_initializer(value)
    outputs, nodes = list(branch.outputs), list(branch)
    branch.outputs.clear()
    branch.remove(nodes)
    graph.insert_before(node, nodes)
    yield from outputs


def _give_way(node: ir.Node, results: list[ir.Value]) -> None:
    for old, new in zip(node.outputs, results, strict=True):
        new.type, new.shape = new.type or old.type, new.shape or old.shape
        if old.is_graph_output():
            new = _output(node, old, new)  # noqa: PLW2901 - the value that may be one
        old.replace_all_uses_with(new, replace_graph_outputs=True)
    for reader in (node, *nested_nodes(node)):  # the other branch reads nothing any more
        for index in range(len(reader.inputs)):
            reader.replace_input_with(index, None)
    assert isinstance(node.graph, ir.Graph), "the node stands in a graph"
    node.graph.remove(node, safe=True)


def _output(node: ir.Node, old: ir.Value, new: ir.Value) -> ir.Value:
    """Return the value that takes the place of an output of the graph, under its name."""
    name, old.name = old.name, None
    if not _may_be_output(new, node.graph):
        copy = ir.Node("", "Identity", [new])
        assert isinstance(node.graph, ir.Graph), "the node stands in a graph"
        node.graph.insert_before(node, copy)
        copy.outputs[0].type, copy.outputs[0].shape = new.type, new.shape
        new = copy.outputs[0]
    new.name = name
    return new


def _may_be_output(value: ir.Value, graph: object) -> bool:
    """Whether a node of the graph makes the value, and no other output is it."""
    return value.producer() is not None and value.graph is graph and not value.is_graph_output()


def _pass_on(node: ir.Node) -> None:
    """Remove a copy, unless an output needs it."""
    (source,), (result,) = node.inputs, node.outputs
    assert source is not None, "a copy has an input"
    if not result.is_graph_output() or _may_be_output(source, node.graph):
        _give_way(node, [source])
