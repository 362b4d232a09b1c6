"""What a branch returns in place of a value that its options do not need."""

from __future__ import annotations

__all__ = ["fill_stand_ins", "stand_in"]

import json
from collections.abc import Iterator

import numpy as np
import onnx_ir as ir

from dyncompile.dialect import ABSENT, DECISION, ELSE, THEN
from dyncompile.errors import GraphError
from dyncompile.passes.absent_values import named_sizes
from dyncompile.passes.constants import shared_sizes
from dyncompile.passes.scopes import Scopes

_SIZES = "dyncompile.sizes"  # a stand-in: those of the value, dynamic ones by name


def stand_in(value: ir.Value) -> ir.Node:
    """Return a constant of the same type and rank with one element."""
    rank = len(value.shape) if value.shape is not None else 0
    if value.dtype is None:
        raise GraphError(
            "the type of this value is unknown.",
            where=f"value {value.name!r}",
            remedy="Run ONNX shape inference on the file first.",
        )
    tensor = ir.tensor(np.zeros((1,) * rank, value.dtype.numpy()))
    node = ir.Node("", "Constant", [], [ir.AttrTensor("value", tensor)])
    sizes = [size if isinstance(size, int) else size.value for size in value.shape or ()]
    node.metadata_props[_SIZES] = json.dumps(sizes)
    node.metadata_props[ABSENT] = "1"
    output = node.outputs[0]
    output.name, output.dtype = f"{value.name}.absent", tensor.dtype
    output.shape = ir.Shape((1,) * rank)
    return node


def fill_stand_ins(model: ir.Model) -> None:
    """Give a stand-in the size of its value where something reads it that need not run.

    Where three decisions cross, work that one of them makes needless can still stand under
    another alone; then it runs on the stand-in, and nobody reads what comes out. A Concat or a
    Reshape would fail on a single element.
    """
    scopes = Scopes(model.graph)
    for node in list(model.graph.all_nodes()):
        sizes = json.loads(node.metadata_props.pop(_SIZES, "[]"))
        is_one = all(size == 1 for size in sizes)
        if not is_one and any(_is_read(v, node, scopes) for v in _returned(node, scopes)):
            _fill(node, sizes, model.graph)


def _returned(node: ir.Node, scopes: Scopes) -> Iterator[tuple[ir.Node, int]]:
    """Yield the Ifs that hand a stand-in on, from the inside, and as which output."""
    value = node.outputs[0]
    while value.is_graph_output() and isinstance(value.graph, ir.Graph):
        owner = scopes.owner(value.graph)
        if owner is None:
            return
        index = next(i for i, output in enumerate(value.graph.outputs) if output is value)
        yield owner, index
        value = owner.outputs[index]


def _is_read(returned: tuple[ir.Node, int], node: ir.Node, scopes: Scopes) -> bool:
    """Whether what an If returns is read where a stand-in may have been returned."""
    owner, index = returned
    name = owner.metadata_props.get(DECISION)
    if name is None:
        return True
    (absent,) = {
        options
        for options, graph in _branches(owner)
        if graph is node.graph or scopes.find(node, graph) is not None
    }
    value = owner.outputs[index]
    return any(not _excludes(user, name, absent, scopes) for user, _ in value.uses())


def _branches(node: ir.Node) -> Iterator[tuple[frozenset[int], ir.Graph]]:
    for note, attribute in ((THEN, "then_branch"), (ELSE, "else_branch")):
        options = frozenset(map(int, node.metadata_props[note].split(",")))
        yield options, node.attributes[attribute].as_graph()


def _excludes(user: ir.Node, name: str, options: frozenset[int], scopes: Scopes) -> bool:
    """Whether a node stands in a branch to which none of these options of a decision leads."""
    graph = user.graph
    while isinstance(graph, ir.Graph) and (owner := scopes.owner(graph)) is not None:
        if owner.metadata_props.get(DECISION) == name:
            leading = next(found for found, branch in _branches(owner) if branch is graph)
            if not leading & options:
                return True
        graph = owner.graph
    return False


def _fill(node: ir.Node, sizes: list[int | str | None], home: ir.Graph) -> None:
    """Put zeros in the place of a stand-in; a dynamic size is read off an input that has it."""
    value, graph = node.outputs[0], node.graph
    assert isinstance(graph, ir.Graph)
    assert value.dtype is not None
    shape = _sizes(sizes, home, before=node)
    zero = ir.tensor(np.zeros(1, value.dtype.numpy()))
    filled = ir.Node("", "ConstantOfShape", [shape], [ir.AttrTensor("value", zero)])
    filled.metadata_props[ABSENT] = "1"
    graph.insert_before(node, filled)
    result = filled.outputs[0]
    result.type = value.type
    result.shape = ir.Shape([size if isinstance(size, int) else None for size in sizes])
    result.name, value.name = value.name, None
    value.replace_all_uses_with(result, replace_graph_outputs=True)
    graph.remove(node)


def _sizes(sizes: list[int | str | None], home: ir.Graph, before: ir.Node) -> ir.Value:
    """Return sizes as a value: a constant, or joined from entries of which some are read."""
    named = named_sizes(home)
    if not any(size in named for size in sizes):
        return shared_sizes(home, [size if isinstance(size, int) else 1 for size in sizes])
    new: list[ir.Node] = []
    parts: list[ir.Value] = []
    for size in sizes:
        if size in named:
            given, axis = named[size]
            bounds = [ir.AttrInt64("start", axis), ir.AttrInt64("end", axis + 1)]
            new.append(ir.Node("", "Shape", [given], bounds))
            parts.append(new[-1].outputs[0])
        else:
            parts.append(shared_sizes(home, [size if isinstance(size, int) else 1]))
    new.append(ir.Node("", "Concat", parts, [ir.AttrInt64("axis", 0)]))
    assert isinstance(before.graph, ir.Graph)
    before.graph.insert_before(before, new)
    return new[-1].outputs[0]
