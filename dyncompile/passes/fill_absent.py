"""Give what a branch returns for nobody the shape that the other branch returns."""

from __future__ import annotations

__all__ = ["FillAbsent"]

from collections.abc import Iterator
from dataclasses import dataclass

import onnx_ir as ir

from dyncompile.dialect import ABSENT, DECISION
from dyncompile.passes.absent_values import has_known_sizes, zeros_like
from dyncompile.passes.decision_values import unused_name, values_by_name
from dyncompile.passes.infer_types import InferTypes
from dyncompile.passes.scopes import graphs_of


@dataclass(frozen=True)
class FillAbsent(ir.passes.InPlacePass):
    """Let both branches of a decision return values of one shape.

    Before: ``h = If(take) { Conv(x, w) } else { Constant <[[[[0]]]]> }``
    After: ``h = If(take) { Conv(x, w) } else { Expand(Cast(take), [1, 64, 8, 8]) }``

    Where an option does not need a value, ``BranchOnDecisions`` returns a zero of one element
    that nobody needs, and notes it. TensorRT then knows no shape, and refuses to go on with one
    inside of other branches. The filling is made of the condition, so that no builder stores it
    as a constant of that size, and runs only where it is returned. Types have to be known; values
    of sizes that follow from no input stay.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Fill until no branch is left whose sizes follow from what was filled."""
        modified = False
        while _fill_all(model):
            InferTypes()(model)
            modified = True
        return ir.passes.PassResult(model, modified=modified)


def _fill_all(model: ir.Model) -> bool:
    """Fill the branches of every If, inner ones first."""
    names: dict[str, ir.Value] = {}
    modified = False
    for node in reversed(list(model.graph.all_nodes())):
        if node.op_type != "If" or node.domain or DECISION not in node.metadata_props:
            continue
        sides = [branch.outputs for branch in graphs_of(node)]
        for output, *pair in zip(node.outputs, *sides, strict=True):
            for absent, other in (pair, pair[::-1]):
                if _is_absent(absent) and not _is_absent(other) and _is_larger(other):
                    names = names or values_by_name(model)
                    modified |= _fill(absent, other, output, model.graph, names)
    return modified


def _is_absent(value: ir.Value) -> bool:
    """Whether a value is a stand-in, or handed on from Ifs that return nothing else."""
    return all(ABSENT in node.metadata_props for node in _makers(value)) and _is_one(value)


def _makers(value: ir.Value) -> Iterator[ir.Node]:
    node = value.producer()
    if node is None:
        return
    if node.op_type != "If" or node.domain:
        yield node
        return
    index = node.outputs.index(value)
    for branch in graphs_of(node):
        yield from _makers(branch.outputs[index])


def _is_one(value: ir.Value) -> bool:
    shape = value.shape
    return value.producer() is not None and shape is not None and all(n == 1 for n in shape)


def _is_larger(other: ir.Value) -> bool:
    return other.shape is not None and any(size != 1 for size in other.shape)


def _fill(
    absent: ir.Value,
    like: ir.Value,
    output: ir.Value,
    home: ir.Graph,
    names: dict[str, ir.Value],
) -> bool:
    node = absent.producer()
    assert node is not None
    assert isinstance(node.graph, ir.Graph)
    if node.op_type == "If":
        index = node.outputs.index(absent)
        sides = [branch.outputs[index] for branch in graphs_of(node)]
        each = [_fill(side, like, absent, home, names) for side in sides]
        filled = all(each)
    else:
        filled = _expand(node, like, home, names)
    if filled:
        output.shape = like.shape
    return filled


def _expand(node: ir.Node, like: ir.Value, home: ir.Graph, names: dict[str, ir.Value]) -> bool:
    branch, value = node.graph, node.outputs[0]
    assert isinstance(branch, ir.Graph)
    owner = next(n for n in home.all_nodes() if branch in graphs_of(n))
    condition = owner.inputs[0]
    if condition is None or value.dtype is None or not has_known_sizes(like, home):
        return False
    holds = branch is owner.attributes["then_branch"].as_graph()
    new = zeros_like(like, condition, home, holds=holds)
    result = new[-1].outputs[0]
    result.name = value.name
    result.metadata_props.update(value.metadata_props)
    for made in new[:-1]:
        made.outputs[0].name = _named(f"{value.name}.{made.op_type}", names)
    branch.insert_before(node, new)
    value.name = None
    value.replace_all_uses_with(result, replace_graph_outputs=True)
    branch.remove(node, safe=True)
    return True


def _named(wanted: str, names: dict[str, ir.Value]) -> str:
    name = unused_name(wanted, names)
    names[name] = ir.val(name)
    return name
