"""Give what a branch returns for nobody the shape that the other branch returns."""

from __future__ import annotations

__all__ = ["FillAbsent"]

from collections.abc import Iterator
from dataclasses import dataclass

import onnx_ir as ir

from dyncompile.dialect import DECISION
from dyncompile.passes.constants import shared_sizes
from dyncompile.passes.decision_values import unused_name, values_by_name
from dyncompile.passes.scopes import graphs_of


@dataclass(frozen=True)
class FillAbsent(ir.passes.InPlacePass):
    """Let both branches of a decision return values of one shape.

    Before: ``h = If(take) { Conv(x, w) } else { Constant <[[[[0]]]]> }``
    After: ``h = If(take) { Conv(x, w) } else { Expand(Cast(take), [1, 64, 8, 8]) }``

    Where an option does not need a value, ``BranchOnDecisions`` returns a constant of one element
    that nobody reads. TensorRT then knows no shape, and refuses to go on with one inside of
    other branches. The filling is made of the condition, so that no builder stores it as a
    constant of that size, and runs only where it is returned. Types have to be known; values of
    sizes that no input has stay.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
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
        return ir.passes.PassResult(model, modified=modified)


def _is_absent(value: ir.Value) -> bool:
    """Whether a value is a stand-in, or handed on from Ifs that return nothing else."""
    return all(node.op_type == "Constant" for node in _makers(value)) and _is_one(value)


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
    new: list[ir.Node] = []
    sizes = _sizes(like, home, new)
    if condition is None or sizes is None or value.dtype is None:
        return False
    chosen = condition
    if branch is owner.attributes["then_branch"].as_graph():  # zeros on either side
        new.append(ir.Node("", "Not", [condition]))
        chosen = new[-1].outputs[0]
        chosen.type, chosen.shape = condition.type, condition.shape
    new.append(ir.Node("", "Cast", [chosen], [ir.AttrInt64("to", value.dtype.value)]))
    number = new[-1].outputs[0]
    number.type, number.shape = value.type, condition.shape
    new.append(ir.Node("", "Expand", [number, sizes]))
    result = new[-1].outputs[0]
    result.type, result.shape, result.name = value.type, like.shape, value.name
    result.metadata_props.update(value.metadata_props)
    for made in new:
        made.outputs[0].name = made.outputs[0].name or _named(f"{value.name}.{made.op_type}", names)
    branch.insert_before(node, new)
    value.name = None
    value.replace_all_uses_with(result, replace_graph_outputs=True)
    branch.remove(node, safe=True)
    return True


def _named(wanted: str, names: dict[str, ir.Value]) -> str:
    name = unused_name(wanted, names)
    names[name] = ir.val(name)
    return name


def _sizes(like: ir.Value, home: ir.Graph, new: list[ir.Node]) -> ir.Value | None:
    """Return the shape of a value as a value; names of sizes are looked up at the inputs."""
    assert like.shape is not None
    known = [size for size in like.shape if isinstance(size, int)]
    if len(known) == len(like.shape):
        return shared_sizes(home, known)
    named = {
        size.value: (given, axis)
        for given in home.inputs
        for axis, size in enumerate(given.shape or ())
        if isinstance(size, ir.SymbolicDim) and size.value is not None
    }
    parts: list[ir.Value] = []
    for size in like.shape:
        if isinstance(size, int):
            parts.append(shared_sizes(home, [size]))
        elif size.value in named:
            given, axis = named[size.value]
            bounds = [ir.AttrInt64("start", axis), ir.AttrInt64("end", axis + 1)]
            new.append(ir.Node("", "Shape", [given], bounds))
            parts.append(new[-1].outputs[0])
        else:
            return None
    new.append(ir.Node("", "Concat", parts, [ir.AttrInt64("axis", 0)]))
    return new[-1].outputs[0]
