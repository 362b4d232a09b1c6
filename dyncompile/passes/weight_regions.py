"""Which work goes with weights that a decision picks."""

from __future__ import annotations

__all__ = ["macs_with", "uses_outside", "weight_region"]

import math
from collections.abc import Collection, Iterator

import onnx_ir as ir

from dyncompile.dialect import Selector
from dyncompile.macs import node_macs
from dyncompile.passes.gathered_weights import GatheredWeight
from dyncompile.passes.heavy_nodes import is_heavy
from dyncompile.passes.pin_foreign_nodes import is_foreign
from dyncompile.passes.scopes import Scopes, inputs_of
from dyncompile.passes.sequence import Sequence
from dyncompile.passes.stacks import weight_readers

_USUAL_SIZE = 8


def weight_region(
    sequence: Sequence, scopes: Scopes, weights: Collection[GatheredWeight]
) -> list[ir.Node]:
    """Return the nodes that compute with weights, and the light work behind them, in order.

    The region is convex: it holds all that lies between two of the nodes, and ends before a
    node if what lies between must not be copied, or reads weights of its own whose copies in
    memory would take more than the stacks do. It grows to what depends on it alone and is cheap
    to copy, so that a runtime can fuse it: activations, residual sums, reductions; not to what
    computes conditions or counters. It is empty where none of the values is read as a weight.
    """
    graph = sequence.graph
    readers = {
        owner
        for weight in weights
        for reader in weight_readers(weight.value)
        if (owner := scopes.find(reader, graph)) is not None
    }
    core: set[ir.Node] = set()
    for reader in sequence.sorted(readers):
        wider = _with_between(core | {reader}, graph)
        if all(map(_is_copyable, wider)) and (not core or _is_small(wider, weights)):
            core = wider
        elif core:
            break
    return sequence.sorted(_grown(core, graph)) if core else []


def _is_small(nodes: set[ir.Node], weights: Collection[GatheredWeight]) -> bool:
    """Whether copies of what nodes read besides gathered weights take less than the stacks."""
    stacks = {weight.constant for weight in weights}
    read = {value for node in nodes for value in inputs_of(node) if value.is_initializer()}
    copies = sum(_bytes(value) for value in read) * max(weight.count for weight in weights)
    return copies <= sum(map(_bytes, stacks))


def _bytes(value: ir.Value) -> int:
    return value.const_value.nbytes if value.const_value is not None else 0


def _grown(core: set[ir.Node], graph: ir.Graph) -> set[ir.Node]:
    region: set[ir.Node] = set()
    outside: set[ir.Node] = set()  # what depends on the region and is not in it
    for node in graph:
        before = {value.producer() for value in inputs_of(node)}
        if node in core:
            region.add(node)
        elif before & outside:
            outside.add(node)
        elif before & region:
            (region if _is_light(node) else outside).add(node)
    return region


def macs_with(weights: Collection[GatheredWeight]) -> int:
    """Return the multiply-accumulates of what reads weights; a size not known counts as 8."""
    pairs = ((w, reader) for w in weights for reader in weight_readers(w.value))
    return sum({reader: _macs(reader, weight) for weight, reader in pairs}.values())


def _macs(reader: ir.Node, weight: GatheredWeight) -> int:
    shape = reader.outputs[0].shape
    if shape is None:
        return math.prod(weight.dims) * _USUAL_SIZE * _USUAL_SIZE
    unknown = math.prod(_USUAL_SIZE for size in shape if not isinstance(size, int))
    return node_macs(reader) * unknown


def uses_outside(
    value: ir.Value, region: Collection[ir.Node], scopes: Scopes, graph: ir.Graph
) -> Iterator[tuple[ir.Node, int]]:
    """Yield the uses of a value, at any depth, that are not within nodes of the region."""
    for user, index in value.uses():
        if scopes.find(user, graph) not in region:
            yield user, index


def _with_between(core: set[ir.Node], graph: ir.Graph) -> set[ir.Node]:
    below = _closed(core, graph)
    above: set[ir.Node] = set(core)
    for node in reversed(graph):
        if node in above:
            above.update(p for v in inputs_of(node) if (p := v.producer()) is not None)
    return core | (below & above)


def _closed(core: set[ir.Node], graph: ir.Graph) -> set[ir.Node]:
    below = set(core)
    for node in graph:
        if any(value.producer() in below for value in inputs_of(node)):
            below.add(node)
    return below


def _is_light(node: ir.Node) -> bool:
    """Whether a node may be copied and can be fused: conditions and counters cannot."""
    is_float = all(value.dtype is None or value.dtype.is_floating_point() for value in node.outputs)
    return is_float and _is_copyable(node) and not is_heavy(node)


def _is_copyable(node: ir.Node) -> bool:
    return Selector.from_node(node) is None and not is_foreign(node)
