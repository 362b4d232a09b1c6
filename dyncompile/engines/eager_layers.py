"""Layers of a branch that would run even if the branch is not taken, and how that is mended.

TensorRT runs a layer lazily only if it depends on an input layer of the conditional. Some versions
of the ONNX parser add none: then both branches run, without a word. An input layer is added in
front of each layer that multiplies and would run eagerly.
"""

from __future__ import annotations

__all__ = ["eager_layers", "make_lazy", "not_found"]

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from dyncompile.engines.layer_graph import Layer, LayerGraph
from dyncompile.engines.request import LazyNode

# A recurrent operator is a loop, of which only this layer is sure to have its name.
_MULTIPLY = {"CONVOLUTION", "DECONVOLUTION", "MATRIX_MULTIPLY", "EINSUM", "RECURRENCE"}
_QUANTISE = {"QUANTIZE", "DEQUANTIZE"}  # they fuse with the layer behind them: stay together


def eager_layers(graph: LayerGraph, lazy: Iterable[LazyNode]) -> Iterator[tuple[LazyNode, Layer]]:
    """Give the layers that multiply, stand in a branch, and do not depend on the branch's inputs.

    With each layer its ONNX node. Of a node in nested branches, each has to be depended on. Layers
    that depend on constants only are left out: the builder folds them.
    """
    varying = graph.varying()
    inside = {name: graph.following(graph.inputs_of(name)) for name in graph.conditionals}
    for node, layer in _layers_of(graph, lazy):
        if layer in varying:
            known = [name for name in node.ifs if name in inside]
            if any(layer not in inside[name] for name in known):
                yield node, layer


def not_found(graph: LayerGraph, lazy: Sequence[LazyNode]) -> tuple[str, ...]:
    """Return what the network has no conditional or no layer of: ``If`` nodes, and other nodes."""
    ifs = dict.fromkeys(name for node in lazy for name in node.ifs)
    found = {node.name for node, _ in _layers_of(graph, lazy)}
    return (
        *(name for name in ifs if name not in graph.conditionals),
        *(node.name for node in lazy if node.name not in found),
    )


def make_lazy(trt: Any, graph: LayerGraph, lazy: Iterable[LazyNode]) -> tuple[str, ...]:  # noqa: ANN401
    """Put input layers in front of the eager layers; returns the ONNX nodes of these.

    A node in a loop inside of the branch is left as it is: a conditional can read only what is
    outside of the loop.
    """
    repaired = dict.fromkeys(
        node for node, _ in eager_layers(graph, lazy) if not node.in_inner_loop
    )
    varying = graph.varying()
    gates: dict[tuple[str, str], str] = {}
    for depth in range(max((len(node.ifs) for node in repaired), default=0)):
        for node, layer in list(eager_layers(graph, repaired)):
            if depth < len(node.ifs) and node.ifs[depth] in graph.conditionals:
                for border in _borders(graph, layer, node.ifs, depth):
                    varying |= _put_input(trt, graph, border, node.ifs[depth], gates, varying)
    return tuple(node.name for node in repaired)


def _layers_of(graph: LayerGraph, lazy: Iterable[LazyNode]) -> Iterator[tuple[LazyNode, Layer]]:
    wanted = {node.name: node for node in lazy}
    for layer in graph.layers:
        if layer.kind in _MULTIPLY:
            # A name is cut at its last number only where it is not a node's name as it stands.
            for name in (layer.node or layer.name, layer.name.rpartition("_")[0]):
                if name in wanted and layer.comes_from(name):
                    yield wanted[name], layer
                    break


def _borders(graph: LayerGraph, layer: Layer, ifs: tuple[str, ...], depth: int) -> Iterator[Layer]:
    """Give the layers that the input layers of ``ifs[depth]`` belong in front of."""
    if layer in graph.following(graph.inputs_of(ifs[depth])):
        return
    for inner in ifs[depth + 1 :]:
        entries = [entry for entry in graph.inputs_of(inner) if layer in graph.following([entry])]
        if entries:
            yield from entries
            return
    yield layer


def _put_input(
    trt: Any,  # noqa: ANN401
    graph: LayerGraph,
    layer: Layer,
    conditional: str,
    gates: dict[tuple[str, str], str],
    varying: set[Layer],
) -> set[Layer]:
    """Let a layer read through the conditional what it reads; returns the layers added."""
    added = set()
    for place, name in enumerate(layer.inputs):
        reader, at = _before_quantisation(graph, layer, place)
        tensor = reader.inputs[at]
        if name is None or tensor is None or _is_constant(graph, name, varying):
            continue
        if (conditional, tensor) not in gates:
            gate = graph.conditionals[conditional].add_input(graph.tensors[tensor])
            entered = graph.add(trt, gate)
            gates[conditional, tensor] = entered.outputs[0]
            added.add(entered)
        graph.set_input(reader, at, gates[conditional, tensor])
    return added


def _is_constant(graph: LayerGraph, tensor: str, varying: set[Layer]) -> bool:
    return tensor in graph.makers and graph.makers[tensor] not in varying


def _before_quantisation(graph: LayerGraph, layer: Layer, place: int) -> tuple[Layer, int]:
    name = layer.inputs[place]
    maker = graph.makers.get(name) if name is not None else None
    if maker and maker.kind in _QUANTISE and len(graph.readers(str(name))) == 1:
        return _before_quantisation(graph, maker, 0)
    return layer, place
