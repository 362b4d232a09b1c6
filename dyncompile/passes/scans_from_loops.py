"""Recognise loops over stacked weights as scans."""

from __future__ import annotations

__all__ = ["ScansFromLoops"]

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from dyncompile.passes.build_branches import like
from dyncompile.passes.constants import shared_constant
from dyncompile.passes.gathered_weights import GatheredWeight, gathered_weights
from dyncompile.passes.pin_foreign_nodes import is_foreign
from dyncompile.passes.rounds import Rounds, behind_identities
from dyncompile.passes.stacks import remove_if_unused, weight_readers


@dataclass(frozen=True)
class ScansFromLoops(ir.passes.InPlacePass):
    """Turn a Loop of known length that gathers a weight by the number of the round into a Scan.

    Before: ``y = Loop(6, true, x) (i, c, s) {w = Gather(weights, i); t = Conv(s, w); -> c, t}``
    After: ``y = Scan(x, weights) (s, w) {t = Conv(s, w); -> t}``

    ``UnrollScans`` then gives every round its weight. The number of the round, where it is used
    otherwise, is scanned too. A Loop that may stop early is left alone.

    Attributes:
        most_rounds: Longer loops are left alone.
    """

    most_rounds: int = 32

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite the loops of every graph, inner ones first."""
        modified = False
        for graph in [*reversed([*model.graph.subgraphs()]), model.graph]:
            for node in list(graph):
                rounds = Rounds.from_node(node) if node.op_type == "Loop" else None
                count = 0 if rounds is None else _count(rounds)
                if rounds is not None and 0 < count <= self.most_rounds and not is_foreign(node):
                    modified |= _rewrite(rounds, count, graph, model.graph)
        return ir.passes.PassResult(model, modified=modified)


def _count(rounds: Rounds) -> int:
    """Return how many rounds there are; 0 where that is not known."""
    limit, condition = rounds.node.inputs[:2]
    if any(output in rounds.body.inputs[:2] for output in rounds.body.outputs[1:]):
        return 0
    count = _constant(limit)
    stops = condition is not None and not _constant(condition)
    goes_on = behind_identities(rounds.body.outputs[0])
    if stops or not (goes_on is rounds.body.inputs[1] or _constant(goes_on)):
        return 0
    return count


def _constant(value: ir.Value | None) -> int:
    """Return a constant number or bool; 0 where it is none."""
    tensor = None if value is None else ir.convenience.get_const_tensor(value)
    if tensor is None or tensor.size != 1 or value is None or value.is_graph_input():
        return 0
    return int(tensor.numpy().item())


def _rewrite(rounds: Rounds, count: int, graph: ir.Graph, main: ir.Graph) -> bool:
    body = rounds.body
    stacks = list(_stacks(rounds, count))
    if not stacks:
        return False
    number, condition, *_ = body.inputs
    goes_on = shared_constant(main, "always", np.asarray(True))
    found: dict[ir.Value, ir.Value] = {}
    for weight in stacks:
        element = found.setdefault(weight.constant, _element(weight))
        weight.value.replace_all_uses_with(element)
        for node in reversed(weight.chain):
            body.remove(node, safe=True)
    scanned, elements = list(found), list(found.values())
    if number.uses():
        numbers = np.arange(count, dtype=np.int64)
        scanned.append(shared_constant(main, f"numbers.to.{count}", numbers))
        elements.append(like(number))
        number.replace_all_uses_with(elements[-1])
    body.outputs.pop(0)
    condition.replace_all_uses_with(goes_on)
    body.inputs[:] = [*(before for before, _ in rounds.states), *elements]
    node = rounds.node
    scan = ir.Node(
        "",
        "Scan",
        [*node.inputs[2:], *scanned],
        [ir.AttrGraph("body", body), ir.AttrInt64("num_scan_inputs", len(scanned))],
        num_outputs=len(node.outputs),
        name=node.name,
        metadata_props=dict(node.metadata_props),
    )
    limits = [value for value in node.inputs[:2] if value is not None]
    ir.convenience.replace_nodes_and_values(graph, node, [node], [scan], node.outputs, scan.outputs)
    for value in limits:
        remove_if_unused(value)
    return True


def _element(weight: GatheredWeight) -> ir.Value:
    return ir.Value(name=weight.value.name, type=weight.constant.type, shape=ir.Shape(weight.dims))


def _stacks(rounds: Rounds, count: int) -> Iterator[GatheredWeight]:
    """Yield the weights of which every round takes the next."""
    if rounds.body.inputs[0].shape is None or rounds.body.inputs[0].shape.rank():
        return
    for weight in gathered_weights(rounds.body):
        shape = weight.constant.const_value.shape.numpy() if weight.constant.const_value else ()
        is_next = weight.index is rounds.body.inputs[0] and weight.count == count
        is_element = weight.dims == tuple(shape[1:]) and not weight.value.is_graph_output()
        if is_next and is_element and weight_readers(weight.value):
            yield weight
