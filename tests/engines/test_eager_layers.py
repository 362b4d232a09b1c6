"""Networks that the real parser read, made eager as older parsers leave them, and repaired."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import onnx_ir as ir
import pytest

from dyncompile.engines.adapter import Parsed, parse
from dyncompile.engines.eager_layers import eager_layers, make_lazy, not_found
from dyncompile.engines.layer_graph import Layer, LayerGraph, layer_graph
from dyncompile.engines.laziness import lazy_nodes
from dyncompile.engines.messages import Messages
from dyncompile.engines.request import BuildRequest, LazyNode
from tests.engines.graphs import (
    GATE,
    LSTM,
    MORE_BRANCHED,
    QUANTISED,
    RETURNS_OUTER,
    SWITCH,
    written,
)

trt: Any = pytest.importorskip("tensorrt_rtx")


def parsed(text: str, folder: Path) -> tuple[Parsed, tuple[LazyNode, ...]]:
    path = written(text, folder)
    request = BuildRequest("tensorrt-rtx", path, folder / "plan")
    return parse(trt, request, Messages()), lazy_nodes(ir.load(path))


def without_inputs(graph: LayerGraph, undone: Callable[[str], bool]) -> None:
    """Let what reads through a conditional's input layer read past it."""
    for entry in [layer for layer in graph.layers if layer.kind == "CONDITIONAL_INPUT"]:
        if undone(entry.conditional.name):
            (source,), (passed,) = entry.inputs, entry.outputs
            assert source is not None
            for reader in list(graph.readers(passed)):
                for place, name in enumerate(reader.inputs):
                    if name == passed:
                        graph.set_input(reader, place, source)


def eager_names(found: Parsed, lazy: tuple[LazyNode, ...]) -> list[str]:
    return [node.name for node, _ in eager_layers(layer_graph(trt, found.network), lazy)]


@pytest.mark.parametrize("text", MORE_BRANCHED.values(), ids=MORE_BRANCHED)
def test_what_the_parser_leaves_is_lazy(text: str, tmp_path: Path) -> None:
    found, lazy = parsed(text, tmp_path)
    assert lazy
    assert not_found(layer_graph(trt, found.network), lazy) == ()
    assert eager_names(found, lazy) == []
    assert make_lazy(trt, layer_graph(trt, found.network), lazy) == ()


@pytest.mark.parametrize(
    "undone",
    [
        pytest.param(lambda _name: True, id="no conditional has inputs"),
        pytest.param(lambda name: name == "if_y", id="the outer one has none"),
        pytest.param(lambda name: name != "if_y", id="the inner ones have none"),
    ],
)
@pytest.mark.parametrize(
    "text",
    [pytest.param(text, id=name) for name, text in MORE_BRANCHED.items() if text != LSTM],
)
def test_eager_layers_are_found_and_made_lazy_and_the_network_builds(
    text: str, undone: Callable[[str], bool], tmp_path: Path
) -> None:
    found, lazy = parsed(text, tmp_path)
    graph = layer_graph(trt, found.network)
    without_inputs(graph, undone)
    expected = [node.name for node in lazy if any(map(undone, node.ifs))]
    assert sorted(eager_names(found, lazy)) == sorted(expected)

    assert sorted(make_lazy(trt, layer_graph(trt, found.network), lazy)) == sorted(expected)
    assert eager_names(found, lazy) == []
    config = found.builder.create_builder_config()
    plan = found.builder.build_serialized_network(found.network, config)
    assert plan is not None, found.messages.why()


def test_a_layer_that_a_branch_only_returns_is_not_taken_for_its_own(tmp_path: Path) -> None:
    found, lazy = parsed(RETURNS_OUTER, tmp_path)
    graph = layer_graph(trt, found.network)
    without_inputs(graph, lambda _name: True)
    assert make_lazy(trt, graph, lazy) == ("conv_a",)
    outer = graph.makers["h"]
    assert outer not in graph.following(graph.inputs_of("if_y"))


def test_an_input_layer_stands_in_front_of_all_that_multiplies_only(tmp_path: Path) -> None:
    found, lazy = parsed(SWITCH, tmp_path)
    graph = layer_graph(trt, found.network)
    without_inputs(graph, lambda _name: True)
    make_lazy(trt, graph, lazy)
    for node in lazy:
        layer = graph.makers[node.name.removeprefix("conv_")]
        entry = graph.makers[str(layer.inputs[0])]
        assert entry.kind == "CONDITIONAL_INPUT" or entry.name == "conv_k", node.name


def test_an_input_layer_does_not_part_a_quantised_input_from_its_layer(tmp_path: Path) -> None:
    found, lazy = parsed(QUANTISED, tmp_path)
    graph = layer_graph(trt, found.network)
    without_inputs(graph, lambda _name: True)
    make_lazy(trt, graph, lazy)
    layer = graph.makers["a"]
    assert [source.kind for source in sources(graph, layer)] == ["DEQUANTIZE", "DEQUANTIZE"]
    quantised = next(sources(graph, graph.makers["d"]))
    assert next(sources(graph, quantised)).kind == "CONDITIONAL_INPUT"


def sources(graph: LayerGraph, layer: Layer) -> Iterator[Layer]:
    return (graph.makers[name] for name in layer.inputs if name is not None)


def test_a_recurrent_node_that_was_left_eager_is_found_and_stays_so(tmp_path: Path) -> None:
    found, lazy = parsed(LSTM, tmp_path)
    graph = layer_graph(trt, found.network)
    without_inputs(graph, lambda _name: True)
    assert make_lazy(trt, graph, lazy) == ()
    assert "lstm_o" in eager_names(found, lazy)


def test_a_node_in_a_loop_of_the_branch_is_left_eager(tmp_path: Path) -> None:
    found, (node,) = parsed(GATE, tmp_path)
    looped = LazyNode(node.name, node.ifs, in_inner_loop=True)
    graph = layer_graph(trt, found.network)
    without_inputs(graph, lambda _name: True)
    assert make_lazy(trt, graph, [looped]) == ()
    assert eager_names(found, (looped,)) == [node.name]


def test_nodes_that_the_network_has_no_trace_of_are_named(tmp_path: Path) -> None:
    found, lazy = parsed(GATE, tmp_path)
    asked = [*lazy, LazyNode("conv_lost", ("if_y", "if_lost"))]
    assert not_found(layer_graph(trt, found.network), asked) == ("if_lost", "conv_lost")
