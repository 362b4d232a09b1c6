"""Turn branches that a file brings along into gates."""

from __future__ import annotations

__all__ = ["GatesFromIfs"]

from dataclasses import dataclass

import onnx_ir as ir

from dyncompile.dialect import DECISION, DOMAIN, PINNED
from dyncompile.passes.constants import is_fixed
from dyncompile.passes.gates import has_one_element
from dyncompile.passes.name_uniquely import NameUniquely
from dyncompile.passes.pin_foreign_nodes import is_foreign
from dyncompile.passes.scopes import graphs_of, nested_nodes

_BRANCHES = ("then_branch", "else_branch")


@dataclass(frozen=True)
class GatesFromIfs(ir.passes.InPlacePass):
    """Bring the work of both branches of every If, with its weights, into the graph around it.

    Before: ``y = If(take) {f = Relu(x)} else {Identity(x)}``
    After: ``f = Relu(x); y = dyncompile.Gate(take, f, x)``

    The graph is then what a module with markers is captured to, and ``BranchOnDecisions`` puts
    the work back behind Ifs, those with equal conditions together, and with them what stood
    outside though only one branch needed it. A gate has the name of its If.

    An If stays if it has outputs that are no tensors, branches that
    return different types or shapes, a constant condition, or pinned operators inside.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Dissolve the Ifs of all graphs, inner ones first."""
        if not any(_is_dissolvable(node) for node in model.graph.all_nodes()):
            return ir.passes.PassResult(model, modified=False)
        NameUniquely()(model)  # values of branches come to stand beside each other
        _dissolve_all(model.graph)
        return ir.passes.PassResult(model, modified=True)


def _dissolve_all(graph: ir.Graph) -> None:
    for node in list(graph):
        is_dissolvable = _is_dissolvable(node)  # before gates stand in its branches
        for inner in graphs_of(node):
            _dissolve_all(inner)
        if is_dissolvable:
            _dissolve(node, graph)


def _is_dissolvable(node: ir.Node) -> bool:
    if node.op_type != "If" or node.domain or DECISION in node.metadata_props:
        return False
    condition = node.inputs[0]
    if condition is None or is_fixed(condition):
        return False
    if condition.shape is not None and not has_one_element(condition):
        return False
    if PINNED in node.metadata_props or any(map(is_foreign, nested_nodes(node))):
        return False
    then, else_ = (node.attributes[name].as_graph() for name in _BRANCHES)
    return all(map(_can_be_gate, node.outputs, then.outputs, else_.outputs))


def _can_be_gate(output: ir.Value, then: ir.Value, else_: ir.Value) -> bool:
    types = [value.type for value in (output, then, else_) if value.type is not None]
    if not types or not all(isinstance(found, ir.TensorType) for found in types):
        return False
    if len({found.dtype for found in types}) > 1:
        return False
    if then.shape is None or else_.shape is None:
        return True
    return len(then.shape) == len(else_.shape) and not any(
        isinstance(one, int) and isinstance(other, int) and one != other
        for one, other in zip(then.shape, else_.shape, strict=True)
    )


def _dissolve(node: ir.Node, graph: ir.Graph) -> None:
    sides = [_spill(node.attributes[name].as_graph(), node, graph) for name in _BRANCHES]
    for output, then, else_ in zip(node.outputs, *sides, strict=True):
        gate = ir.Node(
            DOMAIN,
            "Gate",
            [node.inputs[0], then, else_],
            [ir.AttrString("name", node.name or "")],
            name=node.name,
            metadata_props=dict(node.metadata_props),
        )
        chosen = gate.outputs[0]
        chosen.name, chosen.type = output.name, output.type or then.type
        chosen.shape = then.shape if then.shape == else_.shape else output.shape
        chosen.metadata_props.update(output.metadata_props)
        graph.insert_before(node, gate)
        output.replace_all_uses_with(chosen, replace_graph_outputs=True)
    graph.remove(node, safe=True)


def _spill(branch: ir.Graph, owner: ir.Node, graph: ir.Graph) -> list[ir.Value]:
    """Move what a branch holds in front of its If, and return what the branch returns."""
    outputs = list(branch.outputs)
    branch.outputs.clear()
    for name, value in list(branch.initializers.items()):
        del branch.initializers[name]
        graph.register_initializer(value)
    for node in list(branch):
        branch.remove(node)
        if node.op_type == "Identity" and not node.domain and node.inputs[0] is not None:
            copy, source = node.outputs[0], node.inputs[0]
            copy.replace_all_uses_with(source)
            outputs = [source if output is copy else output for output in outputs]
            node.replace_input_with(0, None)
        else:
            graph.insert_before(owner, node)
    return outputs
