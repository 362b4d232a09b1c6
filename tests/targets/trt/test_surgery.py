"""Quantised graphs whose branches dequantise for themselves."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import onnx_ir as ir
import pytest

from dyncompile.passes import NameUniquely
from dyncompile.passes.constants import add_constant
from dyncompile.passes.scopes import graphs_of
from dyncompile.targets.trt.passes import CHECKING, LEGALISING
from dyncompile.targets.trt.surgery import localise
from tests.random_networks import Network, marked_model
from tests.support import Array, assert_unique_names, every_feeds
from tests.targets.trt.legal import assert_builds, made_legal, parse
from tests.targets.trt.test_legalising import assert_same, portable
from tests.test_random_networks import examples

IMAGE = "float[1,4,3,3]"
KERNEL = "{" + ", ".join(str(n % 7 - 3) for n in range(16)) + "}"
CONSTANTS = (
    f"float s = {{0.5}}, int8 z = {{0}}, int8[4,4,1,1] qw = {KERNEL}, float[4,4,1,1] fw = {KERNEL}"
)

# The weight is read at two depths and on both sides, the map in two branches and inside.
NESTED = f"""main (bool take, bool deep, {IMAGE} x) => ({IMAGE} y) <{CONSTANTS}> {{
    q = QuantizeLinear (x, s, z)
    dx = DequantizeLinear (q, s, z)
    w = DequantizeLinear (qw, s, z)
    y = If (take) <
        then_branch = on () => ({IMAGE} a) {{
            c = Conv (dx, fw)
            a = If (deep) <
                then_branch = deeper () => ({IMAGE} d) {{ d = Conv (c, w) }},
                else_branch = flat () => ({IMAGE} e) {{ r = Relu (dx) e = Conv (r, fw) }}>
        }},
        else_branch = off () => ({IMAGE} b) {{ o = Relu (dx) b = Conv (o, w) }}>
}}"""

# One constant, dequantised in both branches, and once outside: what the builder refuses.
TWICE = f"""main (bool take, {IMAGE} x) => ({IMAGE} y) <{CONSTANTS}> {{
    h = If (take) <
        then_branch = on () => ({IMAGE} a) {{ w = DequantizeLinear (qw, s, z) a = Conv (x, w) }},
        else_branch = off () => ({IMAGE} b) {{
            v = DequantizeLinear (qw, s, z) r = Relu (x) b = Conv (r, v) }}>
    u = DequantizeLinear (qw, s, z)
    y = Conv (h, u)
}}"""

# A body of a loop: the constant goes in, what depends on it is computed outside, once.
LOOP = f"""main (int64 n, {IMAGE} x) => ({IMAGE} y) <{CONSTANTS}, bool go = {{1}}> {{
    q = QuantizeLinear (x, s, z)
    dx = DequantizeLinear (q, s, z)
    y = Loop (n, go, x) <body = body (int64 i, bool c, {IMAGE} h) => (bool on, {IMAGE} next) {{
        on = Identity (c) w = DequantizeLinear (qw, s, z) k = Conv (h, w) next = Add (k, dx) }}>
}}"""


def named(graph: str) -> ir.Model:
    return made_legal(parse(graph), LEGALISING)


def assert_local(model: ir.Model) -> None:
    """Check that no branch reads across its border what is dequantised, or its constants."""
    for owner in model.graph.all_nodes():
        for graph in graphs_of(owner):
            for node in graph:
                for value in node.inputs:
                    producer = value.producer() if value is not None else None
                    if value is None or value.graph is graph:
                        continue
                    assert node.op_type != "DequantizeLinear" or not value.is_initializer()
                    if owner.op_type == "If":
                        assert producer is None or producer.op_type != "DequantizeLinear"


@pytest.mark.parametrize(
    "graph",
    [
        pytest.param(NESTED, id="nested"),
        pytest.param(TWICE, id="one constant in two branches"),
        pytest.param(LOOP, id="loop"),
    ],
)
def test_branches_dequantise_for_themselves_and_build(graph: str) -> None:
    model = named(graph)
    local = localise(model)
    assert_local(local)
    assert_unique_names(local)
    assert_same(model, local, every_feeds(model))
    assert_builds(made_legal(local, CHECKING))


def test_the_model_that_is_given_stays_as_it_is() -> None:
    model = named(NESTED)
    text = ir.to_onnx_text(model)
    localise(model)
    assert ir.to_onnx_text(model) == text


def test_names_need_not_be_unique() -> None:
    model = parse(TWICE.replace("v = Deq", "w = Deq").replace("(r, v)", "(r, w)"))
    local = localise(model)
    assert_local(local)
    assert_unique_names(local)
    assert_same(model, local, every_feeds(model))


def test_float_weights_are_not_copied() -> None:
    local = localise(named(NESTED))
    stored = [(graph, name) for graph in local.graphs() for name in graph.initializers]
    assert [(graph, name) for graph, name in stored if "fw" in name] == [(local.graph, "fw")]


def test_what_nobody_reads_any_more_is_gone() -> None:
    local = localise(named(NESTED))
    assert [node.op_type for node in local.graph] == ["QuantizeLinear", "If"]
    assert "qw" not in local.graph.initializers


@pytest.mark.parametrize(
    "graph",
    [
        pytest.param(
            NESTED.replace("(c, w)", "(c, fw)")
            .replace("dx", "x")
            .replace("x = DequantizeLinear (q, s, z)", "")
            .replace("(o, w)", "(o, fw)"),
            id="float",
        ),
        pytest.param(
            f"""main (bool take, {IMAGE} x) => ({IMAGE} y) <{CONSTANTS}> {{
                w = DequantizeLinear (qw, s, z) h = Conv (x, w)
                y = If (take) <
                    then_branch = on () => ({IMAGE} a) {{ a = Conv (h, fw) }},
                    else_branch = off () => ({IMAGE} b) {{ b = Conv (x, fw) }}>
            }}""",
            id="quantised outside only",
        ),
    ],
)
def test_untouched_where_no_border_is_crossed(graph: str) -> None:
    model = named(graph)
    assert localise(model) is model


def test_notes_are_those_of_before() -> None:
    model = named(NESTED)
    model.metadata_props["of"] = "model"
    model.graph.metadata_props["of"] = "graph"
    model.producer_name, model.doc_string, model.ir_version = "someone", "text", 9
    for graph in model.graphs():
        for value in (*graph.inputs, *(value for node in graph for value in node.outputs)):
            value.metadata_props["of"] = f"value {value.name}"
        for node in graph:
            node.metadata_props["of"] = f"node {node.name}"
            node.doc_string = f"about {node.name}"
    local = localise(model)
    assert (local.metadata_props, local.graph.metadata_props) == ({"of": "model"}, {"of": "graph"})
    assert (local.producer_name, local.doc_string, local.ir_version) == ("someone", "text", 9)
    assert local.opset_imports == model.opset_imports
    gone = {"value dx", "value w", "node DequantizeLinear", "node DequantizeLinear.1"}
    wanted = {name: notes for name, notes in _notes(model).items() if name not in gone}
    assert _notes(local) == wanted
    noted = [node for node in local.graph.all_nodes() if node.metadata_props]
    assert all(node.doc_string == f"about {node.name}" for node in noted)


def test_inputs_and_types_are_those_of_before() -> None:
    model = named(NESTED.replace("[1,4,3,3]", "[n,4,h,3]"))
    add_constant(model.graph, "unused", np.zeros(3, np.float32))
    local = localise(model)
    for before, after in zip(
        (*model.graph.inputs, *model.graph.outputs),
        (*local.graph.inputs, *local.graph.outputs),
        strict=True,
    ):
        assert (after.name, after.dtype, str(after.shape)) == (
            before.name,
            before.dtype,
            str(before.shape),
        )
    kinds = {v.name: (v.dtype, str(v.shape)) for n in model.graph.all_nodes() for v in n.outputs}
    for node in local.graph.all_nodes():
        for value in node.outputs:
            if value.name in kinds:
                assert (value.dtype, str(value.shape)) == kinds[value.name]
    assert "unused" not in local.graph.initializers


@pytest.mark.parametrize(
    ("dtype", "numbers"),
    [
        pytest.param(ir.DataType.INT4, ml_dtypes.int4, id="int4"),
        pytest.param(ir.DataType.FLOAT8E4M3FN, ml_dtypes.float8_e4m3fn, id="float8"),
        pytest.param(ir.DataType.INT8, np.int8, id="int8"),
    ],
)
def test_quantised_numbers_survive_in_all_widths(dtype: ir.DataType, numbers: type) -> None:
    model = named(NESTED)
    array: Array = (np.arange(16).reshape(4, 4, 1, 1) - 8).astype(numbers)
    weight = model.graph.initializers["qw"]
    weight.const_value = ir.Tensor(array, dtype=dtype, name="qw")
    weight.dtype = dtype
    (reader,) = (node for node, _ in weight.uses())
    reader.resize_inputs(2)
    local = localise(model)
    copies = [v for g in local.graphs() for v in g.initializers.values() if "qw" in str(v.name)]
    assert len(copies) == 2
    again = ir.from_proto(ir.to_proto(local))
    assert isinstance(again, ir.Model)
    for copy in copies:
        assert copy.const_value is not None
        assert (copy.dtype, copy.const_value.dtype) == (dtype, dtype)
        np.testing.assert_array_equal(copy.const_value.numpy(), array)
    assert_builds(made_legal(again, CHECKING))


def test_constants_as_nodes_are_no_obstacle() -> None:
    model = named(
        NESTED.replace("q = Quant", "s2 = Constant <value = float {0.5}> () q = Quant").replace(
            "(qw, s, z)", "(qw, s2, z)"
        )
    )
    local = localise(model)
    assert_local(local)
    assert_same(model, local, every_feeds(model, samples=1))


@examples(12)
def test_random_networks_quantised_outside_compute_the_same(network: Network) -> None:
    model = portable(marked_model(network))
    for one in LEGALISING:
        one(model)
    _quantise(model)
    NameUniquely()(model)
    local = localise(model)
    assert_local(local)
    assert_unique_names(local)
    assert_same(model, local, network.feeds())
    assert _notes(local) == _notes(model)


def _quantise(model: ir.Model) -> None:
    """Store every weight as int8, dequantised in the main graph; and round what is captured."""
    main = model.graph
    scale = add_constant(main, "scale", np.array(1, np.float32))
    zero = add_constant(main, "zero", np.array(0, np.int8))
    for graph in list(model.graphs()):
        for value in list(graph.initializers.values()):
            tensor = value.const_value
            readers = [node for node, index in value.uses() if index == 1]
            if tensor is None or not any(n.op_type in {"MatMul", "Conv"} for n in readers):
                continue
            weight = add_constant(main, f"{value.name}.int8", tensor.numpy().astype(np.int8))
            node = ir.Node("", "DequantizeLinear", [weight, scale, zero])
            node.outputs[0].name = f"{value.name}.float"
            main.insert_before(main[0], node)
            value.replace_all_uses_with(node.outputs[0])
    captured = [value for node in main for value in node.outputs if _is_captured(value, main)]
    for value in captured:
        producer = value.producer()
        assert producer is not None
        outside = [(node, index) for node, index in value.uses() if node.graph is not main]
        down = ir.Node("", "QuantizeLinear", [value, scale, zero])
        up = ir.Node("", "DequantizeLinear", [down.outputs[0], scale, zero])
        down.outputs[0].name, up.outputs[0].name = f"{value.name}.q", f"{value.name}.dq"
        main.insert_after(producer, [down, up])
        for node, index in outside:
            node.replace_input_with(index, up.outputs[0])


def _is_captured(value: ir.Value, main: ir.Graph) -> bool:
    readers = [node for node, _ in value.uses() if node.graph is not main]
    is_weight = value.name is not None and value.name.endswith(".float")
    return bool(readers) and value.dtype == ir.DataType.FLOAT and not is_weight


def _notes(model: ir.Model) -> dict[str, dict[str, str]]:
    """Return the notes of all values and nodes that have any."""
    found: dict[str, dict[str, str]] = {}
    for graph in model.graphs():
        values = (*graph.inputs, *(value for node in graph for value in node.outputs))
        found.update({f"value {value.name}": value.metadata_props for value in values})
        found.update({f"node {node.name}": node.metadata_props for node in graph})
    return {name: dict(notes) for name, notes in found.items() if notes}
