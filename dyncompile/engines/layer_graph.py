"""A parsed network as a graph: which layer reads which, and what stands in which conditional."""

from __future__ import annotations

__all__ = ["Layer", "LayerGraph", "layer_graph"]

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

_NODE_OF_LAYER = re.compile(r"\[ONNX Layer: (.*?)(?: \||\])")
_BOUNDARIES = {
    "CONDITION": "IConditionLayer",
    "CONDITIONAL_INPUT": "IIfConditionalInputLayer",
    "CONDITIONAL_OUTPUT": "IIfConditionalOutputLayer",
}
_VARYING = {"CONDITIONAL_OUTPUT", "ITERATOR", "RECURRENCE", "LOOP_OUTPUT"}


@dataclass(eq=False)
class Layer:
    """One layer.

    Attributes:
        kind: Its type, as ``CONVOLUTION``.
        name: Its name.
        node: The ONNX node that the parser says it comes from; empty where it does not say.
        inputs: The tensors it reads, by name; None where an optional one is left out.
        outputs: The tensors it gives.
        conditional: The conditional whose boundary it is; None for all others.
        handle: The builder's object.
    """

    kind: str
    name: str
    node: str
    inputs: list[str | None]
    outputs: list[str]
    conditional: Any
    handle: Any = field(repr=False)

    def comes_from(self, node: str) -> bool:
        """Whether the parser made it for this ONNX node."""
        if self.node:
            return self.node == node
        return self.name == node or bool(re.fullmatch(rf"{re.escape(node)}_\d+", self.name))


class LayerGraph:
    """The layers of a network, in order, and what gives and reads each tensor.

    Attributes:
        layers: All layers.
        makers: The layer that gives a tensor; the inputs of the network have none.
        tensors: The builder's tensors, by name.
        conditionals: The builder's conditionals, by name, which is that of the ``If``.
    """

    def __init__(self) -> None:
        self.layers: list[Layer] = []
        self.makers: dict[str, Layer] = {}
        self.tensors: dict[str, Any] = {}
        self.conditionals: dict[str, Any] = {}
        self._readers: dict[str, list[Layer]] = defaultdict(list)

    def add(self, trt: Any, handle: Any) -> Layer:  # noqa: ANN401 - TensorRT has no types
        """Enter a layer of the network."""
        kind = str(handle.type).rpartition(".")[2]
        conditional = None
        if kind in _BOUNDARIES:
            handle.__class__ = getattr(trt, _BOUNDARIES[kind])  # the network gives plain layers
            conditional = handle.conditional
            self.conditionals.setdefault(conditional.name, conditional)
        said = _NODE_OF_LAYER.match(getattr(handle, "metadata", None) or "")
        read = self._enter(map(handle.get_input, range(handle.num_inputs)))
        given = self._enter(map(handle.get_output, range(handle.num_outputs)))
        made = [name for name in given if name is not None]
        node = said[1] if said else ""
        layer = Layer(kind, handle.name, node, read, made, conditional, handle)
        self.layers.append(layer)
        self.makers |= dict.fromkeys(made, layer)
        for name in read:
            if name is not None:
                self._readers[name].append(layer)
        return layer

    def set_input(self, layer: Layer, place: int, tensor: str) -> None:
        """Let a layer read another tensor, here and in the network."""
        before = layer.inputs[place]
        if before is not None:
            self._readers[before].remove(layer)
        layer.inputs[place] = tensor
        self._readers[tensor].append(layer)
        layer.handle.set_input(place, self.tensors[tensor])

    def readers(self, tensor: str) -> list[Layer]:
        """Return the layers that read a tensor, one entry for each time."""
        return self._readers[tensor]

    def inputs_of(self, conditional: str) -> Iterator[Layer]:
        """Give the layers through which a conditional reads what is outside of it."""
        for layer in self.layers:
            if layer.kind == "CONDITIONAL_INPUT" and layer.conditional.name == conditional:
                yield layer

    def following(self, layers: Iterable[Layer]) -> set[Layer]:
        """Return these layers, and all that depend on them."""
        seen = set(layers)
        left = list(seen)
        while left:
            for name in left.pop().outputs:
                fresh = set(self._readers[name]) - seen
                seen |= fresh
                left += fresh
        return seen

    def varying(self) -> set[Layer]:
        """Return the layers whose result is known at run time only; the others are folded."""
        return self.following(
            layer
            for layer in self.layers
            if layer.kind in _VARYING
            or any(name is not None and name not in self.makers for name in layer.inputs)
        )

    def _enter(self, tensors: Iterable[Any]) -> list[str | None]:
        found = list(tensors)
        for tensor in found:
            if tensor is not None:
                self.tensors.setdefault(tensor.name, tensor)
        return [None if tensor is None else tensor.name for tensor in found]


def layer_graph(trt: Any, network: Any) -> LayerGraph:  # noqa: ANN401
    """Return the graph of a parsed network."""
    graph = LayerGraph()
    for index in range(network.num_layers):
        graph.add(trt, network.get_layer(index))
    return graph
