"""Check a pass on graphs written as text: same text, same numbers."""

from __future__ import annotations

import functools
import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator

from dyncompile import dialect

Array = NDArray[Any]
Feeds = dict[str, Array]

HEADER = '<ir_version: 10, opset_import: ["" : 21, "dyncompile" : 1]>\n'


def parse(graph: str) -> ir.Model:
    """Read one marked or lowered graph in ONNX text syntax; markers get their meaning."""
    model = ir.from_onnx_text(HEADER + graph)
    dialect.attach_functions(model)
    return model


def run(model: ir.Model, feeds: Mapping[str, Array]) -> list[Array]:
    """Evaluate with the ONNX reference evaluator, the oracle of every pass test."""
    return cast(list[Array], ReferenceEvaluator(runnable_proto(model)).run(None, dict(feeds)))


def ort_run(model: ir.Model, feeds: Mapping[str, Array], *, optimise: bool = False) -> list[Array]:
    """Evaluate with ONNX Runtime on one thread, its graph optimisations off."""
    return ort_session(model, optimise=optimise)(feeds)


class OrtSession:
    """A model loaded into ONNX Runtime; feeds that it has no input for are left out."""

    def __init__(self, model: ir.Model, *, optimise: bool) -> None:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        if not optimise:
            options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        data = runnable_proto(model).SerializeToString()
        self._session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        self._inputs = [value.name for value in self._session.get_inputs()]

    def __call__(self, feeds: Mapping[str, Array]) -> list[Array]:
        """Return the outputs, in order."""
        known = {name: feeds[name] for name in self._inputs}
        return cast(list[Array], self._session.run(None, known))


def ort_session(model: ir.Model, *, optimise: bool = False) -> OrtSession:
    """Load a model into ONNX Runtime, for several calls."""
    return OrtSession(model, optimise=optimise)


def assert_rewrites(
    rewrite: ir.passes.PassBase, before: str, after: str, *, samples: int = 4
) -> None:
    """Check text, numbers, and that a second run finds nothing left to do.

    Numbers are compared exactly, for ``samples`` draws of every value of bool inputs.
    """
    original, model, expected = parse(before), parse(before), parse(after)
    assert rewrite(model).modified
    assert graph_text(model) == graph_text(expected)
    assert not rewrite(model).modified
    assert graph_text(model) == graph_text(expected)
    assert_same_numbers(original, model, every_feeds(original, samples=samples))


def assert_untouched(rewrite: ir.passes.PassBase, graph: str) -> None:
    """Check that the pass leaves this graph alone and says so."""
    model = parse(graph)
    assert not rewrite(model).modified
    assert graph_text(model) == graph_text(parse(graph))


def assert_same_numbers(
    before: ir.Model, after: ir.Model, many_feeds: Sequence[Mapping[str, Array]]
) -> None:
    """Check exactly, in the reference evaluator, that two models compute the same."""
    first = ReferenceEvaluator(runnable_proto(before))
    second = ReferenceEvaluator(runnable_proto(after))
    for feeds in many_feeds:
        wanted, got = first.run(None, dict(feeds)), second.run(None, dict(feeds))
        for want, have in zip(cast(list[Array], wanted), cast(list[Array], got), strict=True):
            assert have.dtype == want.dtype
            np.testing.assert_array_equal(have, want)


def assert_unique_names(model: ir.Model) -> None:
    """Check that no value name occurs twice in the model, whatever the scope."""
    count = Counter(value.name for graph in _graphs(model) for value in _defined(graph))
    assert None not in count
    assert "" not in count
    assert not [name for name, times in count.items() if times > 1]


def random_feeds(model: ir.Model, seed: int = 0, **given: object) -> Feeds:
    """Draw one value per input; symbolic dimensions become 3, and ``given`` wins.

    Floats are normal, bools are coin flips, and integers run from -1 to 3: indices of a
    switch are clamped, so the values outside are part of its meaning.
    """
    rng = np.random.default_rng(seed)
    feeds: Feeds = {}
    for value in model.graph.inputs:
        assert value.name, "graph inputs are named"
        assert value.shape is not None, f"{value.name} has no shape"
        assert value.dtype is not None, f"{value.name} has no dtype"
        shape = [dim if isinstance(dim, int) else 3 for dim in value.shape]
        dtype = value.dtype.numpy()
        if dtype.kind == "f":
            drawn: Array = rng.normal(size=shape)
        else:
            low, high = (0, 2) if dtype.kind == "b" else (-1, 4)
            drawn = rng.integers(low, high, size=shape)
        feeds[value.name] = np.asarray(given.get(value.name, drawn), dtype).reshape(shape)
    return feeds


def every_feeds(model: ir.Model, *, samples: int = 2) -> list[Feeds]:
    """Draw feeds that take each combination of one-element bool inputs ``samples`` times."""
    flags = [
        value.name
        for value in model.graph.inputs
        if value.dtype == ir.DataType.BOOL and value.name and value.shape is not None
        if all(dim == 1 for dim in value.shape)
    ]
    combinations = itertools.product([False, True], repeat=len(flags))
    return [
        random_feeds(model, seed, **dict(zip(flags, taken, strict=True)))
        for taken in combinations
        for seed in range(samples)
    ]


def runnable_proto(model: ir.Model) -> onnx.ModelProto:
    """Return the model as a proto in which every marker has its meaning."""
    proto = ir.to_proto(model)
    known = {function.name for function in proto.functions if function.domain == dialect.DOMAIN}
    nodes = model.graph.all_nodes()
    used = {node.op_type for node in nodes if node.domain == dialect.DOMAIN}
    for op_type in sorted(used - known):
        proto.functions.append(_meaning(op_type))
    return proto


def graph_text(model: ir.Model) -> str:
    """Return the main graph as ONNX text, without node names and the types of inner values."""
    copy = ir.Model(model.graph.clone(), ir_version=10)
    for graph in _graphs(copy):
        for node in graph:
            node.name = None
            for value in node.outputs:
                if graph is not copy.graph or not value.is_graph_output():
                    value.type, value.shape = None, None
    return ir.to_onnx_text(copy)


@functools.cache
def _meaning(op_type: str) -> onnx.FunctionProto:
    node = ir.node(op_type, [], domain=dialect.DOMAIN)
    model = ir.Model(ir.Graph([], [], nodes=[node], name="one_marker"), ir_version=10)
    dialect.attach_functions(model)
    return ir.to_proto(next(iter(model.functions.values())))


def _graphs(model: ir.Model) -> Iterator[ir.Graph]:
    yield model.graph
    yield from model.graph.subgraphs()


def _defined(graph: ir.Graph) -> Iterator[ir.Value]:
    yield from {id(value): value for value in graph.inputs}.values()
    inputs = {id(value) for value in graph.inputs}
    yield from (v for v in graph.initializers.values() if id(v) not in inputs)
    for node in graph:
        yield from node.outputs
