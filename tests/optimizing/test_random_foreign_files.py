"""Random networks as files made elsewhere: the same numbers, no idle work, nothing left to win."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import onnx
import onnx_ir as ir
from hypothesis import assume

from dyncompile import pipeline
from dyncompile.describe import manifest_from_model
from dyncompile.dialect import Selector, detach_functions
from dyncompile.optimizing.proving import prove
from dyncompile.optimizing.rewriting import rewrite
from dyncompile.passes import NameUniquely
from dyncompile.passes.constants import add_constant
from dyncompile.targets import ort
from tests.laziness import Meter
from tests.random_networks import Network, marked_model
from tests.support import assert_unique_names, ort_session, runnable_proto
from tests.test_random_networks import WANTED, assert_equal, examples

FEW, MANY = (int(WANTED), int(WANTED)) if WANTED else (8, 40)


def foreign(network: Network) -> ir.Model:
    """Return the network as another tool would write it: Ifs, and all weights outside of them."""
    model = marked_model(network)
    for _ in pipeline.run(model, ort.passes()):
        pass
    detach_functions(model)
    model.opset_imports.pop("dyncompile", None)
    for node in model.graph.all_nodes():
        for item in (node, *node.outputs):
            item.metadata_props.clear()  # type: ignore[attr-defined]
    for value in model.graph.inputs:
        value.metadata_props.clear()
    for number, graph in enumerate(list(model.graph.subgraphs())):
        for name, value in list(graph.initializers.items()):
            del graph.initializers[name]
            value.name = f"{name}.of{number}"
            model.graph.register_initializer(value)
    NameUniquely()(model)
    return model


def dense(network: Network) -> ir.Model:
    """Return the network as it is written without control flow: every choice a ``Where``."""
    model = marked_model(network)
    detach_functions(model)
    for node in list(model.graph):
        selector = Selector.from_node(node)
        if selector is not None:
            _choose_by_where(selector, model.graph)
    del model.opset_imports["dyncompile"]
    NameUniquely()(model)
    return model


def _choose_by_where(selector: Selector, graph: ir.Graph) -> None:
    def added(op_type: str, inputs: list[ir.Value], like: ir.Value, dtype: ir.DataType) -> ir.Value:
        node = ir.node(op_type, inputs)
        value = node.outputs[0]
        value.name, value.dtype, value.shape = f"{like.name}.{op_type}", dtype, like.shape
        graph.insert_before(selector.node, node)
        return value

    output, decision, bools = selector.output, selector.decision, ir.DataType.BOOL
    assert output.dtype is not None
    chosen = selector.options[-1]
    for number, option in reversed(list(enumerate(selector.options[:-1]))):
        if selector.node.op_type == "Gate":
            chosen = added("Where", [decision, chosen, option], output, output.dtype)
        else:
            bound = add_constant(graph, f"{output.name}.bound{number}", np.asarray(number))
            upto = added("LessOrEqual", [decision, bound], decision, bools)
            upto.name = f"{output.name}.upto{number}"
            chosen = added("Where", [upto, option, chosen], output, output.dtype)
            chosen.name = f"{output.name}.chosen{number}"
    if chosen.producer() is None or selector.options[0] is chosen:  # a switch with one option
        chosen = added("Identity", [chosen], output, output.dtype)
    name = output.name
    output.replace_all_uses_with(chosen, replace_graph_outputs=True)
    graph.remove(selector.node, safe=True)
    chosen.name = name


def optimised(network: Network, make: Callable[[Network], ir.Model] = foreign) -> ir.Model:
    """Return what optimising makes of it; the least that costs no path anything."""
    for passes in ort.FOREIGN, ort.FOREIGN_AS_IT_IS, ort.WEIGHTS:
        model = make(network)
        if rewrite(model, passes, lambda *_: None).is_lazy:
            return model
    raise AssertionError("placing weights costs nothing")


@examples(MANY)
def test_ifs_keep_their_numbers_and_no_work_is_added(network: Network) -> None:
    check(network, foreign)


@examples(MANY // 2)
def test_selections_keep_their_numbers_and_no_work_is_added(network: Network) -> None:
    check(network, dense)


def check(network: Network, make: Callable[[Network], ir.Model]) -> None:
    before, after = make(network), optimised(network, make)
    assert_unique_names(after)
    assert not any(node.domain for node in after.graph.all_nodes())
    onnx.checker.check_model(runnable_proto(after), full_check=True)
    first, second = ort_session(before), ort_session(after, optimise=True)
    many_feeds = network.feeds()
    for feeds in many_feeds:
        assert_equal(second(feeds), first(feeds))
    old, new = Meter(before), Meter(after)
    for feeds in many_feeds[:: max(1, len(many_feeds) // 4)]:
        excess = Counter(new(feeds)[1]) - Counter(old(feeds)[1])
        assert not excess, f"{excess.total()} compute nodes run that did not run before"


@examples(FEW)
def test_forced_paths_agree(network: Network) -> None:
    before, after = foreign(network), optimised(network)
    manifest = manifest_from_model(after, {}, "onnx")
    assume(manifest.decisions)
    proof = prove(before, after, manifest, network.feeds()[:2])
    assert proof.largest_difference == 0
    assert proof.paths >= 2


@examples(FEW)
def test_a_second_time_there_is_nothing_to_win(network: Network) -> None:
    model = optimised(network)
    for node in model.graph.all_nodes():
        for item in (node, *node.outputs):
            item.metadata_props.clear()  # type: ignore[attr-defined]
    for value in model.graph.inputs:
        value.metadata_props.clear()
    again = ir.from_proto(ir.to_proto(model))
    gains = rewrite(again, ort.FOREIGN, lambda *_: None)
    assert (gains.weights, gains.faster_macs, gains.selections) == (0, 0, 0)
    first, second = ort_session(foreign(network)), ort_session(again)
    for feeds in network.feeds()[:4]:
        for want, have in zip(first(feeds), second(feeds), strict=True):
            np.testing.assert_array_equal(have, want)
