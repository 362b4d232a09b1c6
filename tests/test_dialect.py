import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dyncompile import dialect
from dyncompile.dialect import Budget, Selector
from tests.support import ort_run, parse, run, runnable_proto

GATE = """main ({decision} take, float{shape} on, float{shape} off) => (float{shape} y) {{
    y = dyncompile.Gate <name = "d"> (take, on, off)
}}"""


def switch_graph(decision: str, shape: str, count: int) -> str:
    options = [f"option{k}" for k in range(count)]
    inputs = ", ".join(f"float{shape} {option}" for option in options)
    return f"""main ({decision} index, {inputs}) => (float{shape} y) {{
        y = dyncompile.Switch{count} <name = "d"> (index, {", ".join(options)})
    }}"""


def draw(shape: tuple[int, ...], seed: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("evaluate", [run, ort_run])
@pytest.mark.parametrize(
    ("decision", "shape", "take"),
    [
        pytest.param("bool", (2, 3), True, id="scalar"),
        pytest.param("bool[2]", (2, 3), [True, False], id="per sample"),
        pytest.param("bool[2]", (2, 3, 2, 2), [False, True], id="per sample, four axes"),
        pytest.param("bool[1]", (1, 3), [True], id="one sample"),
        pytest.param("bool[2]", (2,), [True, False], id="sides of rank 1"),
        pytest.param("bool", (), False, id="sides of rank 0"),
    ],
)
def test_gate_selects_per_sample(
    evaluate: object, decision: str, shape: tuple[int, ...], take: object
) -> None:
    assert callable(evaluate)
    graph = parse(GATE.format(decision=decision, shape=f"[{','.join(map(str, shape))}]"))
    on, off, given_take = draw(shape, 1), draw(shape, 2), np.asarray(take)
    aligned = given_take.reshape(given_take.shape + (1,) * (len(shape) - given_take.ndim))
    (y,) = evaluate(graph, {"take": given_take, "on": on, "off": off})
    np.testing.assert_array_equal(y, np.where(aligned, on, off))


@pytest.mark.parametrize("evaluate", [run, ort_run])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_switch_clamps_its_index(evaluate: object, count: int) -> None:
    assert callable(evaluate)
    graph = parse(switch_graph("int64", "[2,3]", count))
    options = {f"option{k}": draw((2, 3), k) for k in range(count)}
    for index in (-5, 0, 1, count - 1, count, 99):
        (y,) = evaluate(graph, {"index": np.asarray(index, np.int64), **options})
        np.testing.assert_array_equal(y, options[f"option{np.clip(index, 0, count - 1)}"])


@settings(max_examples=30, deadline=None, derandomize=True, database=None)
@given(st.lists(st.integers(-3, 9), min_size=1, max_size=5), st.integers(2, 6))
def test_switch_selects_per_sample(index: list[int], count: int) -> None:
    size = len(index)
    graph = parse(switch_graph(f"int64[{size}]", f"[{size},2,2]", count))
    options = {f"option{k}": draw((size, 2, 2), k) for k in range(count)}
    (y,) = run(graph, {"index": np.asarray(index, np.int64), **options})
    for row, asked in enumerate(index):
        wanted = options[f"option{np.clip(asked, 0, count - 1)}"][row]
        np.testing.assert_array_equal(y[row], wanted)


def test_selector_orders_a_gate_as_off_and_on() -> None:
    graph = parse(GATE.format(decision="bool", shape="[2]")).graph
    selector = Selector.from_node(graph.node(0))
    assert selector is not None
    assert [option.name for option in selector.options] == ["off", "on"]
    assert (selector.name, selector.decision.name, selector.output.name) == ("d", "take", "y")


def test_selector_reads_a_switch() -> None:
    graph = parse(switch_graph("int64", "[2]", 3)).graph
    selector = Selector.from_node(graph.node(0))
    assert selector is not None
    assert [option.name for option in selector.options] == ["option0", "option1", "option2"]


@pytest.mark.parametrize("op_type", ["Gate", "Switch2"])
def test_selector_is_none_in_another_domain(op_type: str) -> None:
    assert Selector.from_node(ir.node(op_type, [], domain="other")) is None


def test_functions_can_be_attached_and_detached_twice() -> None:
    model = parse(GATE.format(decision="bool", shape="[2]"))
    text = ir.to_onnx_text(model)
    dialect.attach_functions(model)
    assert ir.to_onnx_text(model) == text
    dialect.detach_functions(model)
    dialect.detach_functions(model)
    assert not model.functions


def test_functions_are_attached_for_markers_in_subgraphs() -> None:
    model = parse(
        """main (bool c, float[2] x) => (float[2] y) {
            y = If (c) <
                then_branch = a () => (float[2] p) { p = dyncompile.Gate (c, x, x) },
                else_branch = b () => (float[2] q) { q = Identity (x) }
            >
        }"""
    )
    assert [function.name for function in model.functions.values()] == ["Gate"]


def test_schemas_register_once_and_check_a_marked_model() -> None:
    for op_type in ("Gate", "Switch3", "Switch3"):
        dialect.register_schema(op_type)
    schema = onnx.defs.get_schema("Switch3", 1, dialect.DOMAIN)
    assert [parameter.name for parameter in schema.inputs][:2] == ["index", "option0"]
    onnx.checker.check_model(
        runnable_proto(parse(switch_graph("int64", "[2,3]", 3))), full_check=True
    )


# --- channel budgets -------------------------------------------------------------------------


def budget_graph(level: str, shape: str, counts: str, axis: int = 1, kind: str = "float") -> str:
    return f"""main (int64{level} level, {kind}{shape} x) => ({kind}{shape} y) {{
        y = dyncompile.ChannelBudget <name = "d", counts = {counts}, axis = {axis}> (x, level)
    }}"""


def keep(
    x: np.ndarray[tuple[int, ...], np.dtype[np.float32]], counts: list[int], axis: int
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Zero each sample from its count on."""
    y = np.moveaxis(x.copy(), axis, 1)
    for sample, count in zip(y, counts, strict=True):
        sample[count:] = 0
    return np.moveaxis(y, 1, axis)


@pytest.mark.parametrize("evaluate", [run, ort_run])
@pytest.mark.parametrize(
    ("shape", "axis"),
    [
        pytest.param((2, 5), 1, id="features"),
        pytest.param((2, 5, 3), 1, id="signal"),
        pytest.param((2, 3, 5), 2, id="tokens"),
        pytest.param((1, 5, 3, 2), 1, id="one image"),
        pytest.param((2, 3, 5, 2), 2, id="rows of a map"),
        pytest.param((2, 3, 2, 5), 3, id="channels last"),
        pytest.param((1, 5, 2, 3, 2), 1, id="volume"),
        pytest.param((1, 2, 2, 3, 5), 4, id="volume, channels last"),
    ],
)
def test_a_budget_keeps_the_first_channels(
    evaluate: object, shape: tuple[int, ...], axis: int
) -> None:
    assert callable(evaluate)
    x, sizes = draw(shape, 1), f"[{','.join(map(str, shape))}]"
    for form in ("", "[1]"):
        graph = parse(budget_graph(form, sizes, "[1, 3, 3, 5]", axis))
        for asked, count in zip((-7, 0, 1, 2, 3, 4, 99), (1, 1, 3, 3, 5, 5, 5), strict=True):
            level = np.full([1] if form else [], asked, np.int64)
            (y,) = evaluate(graph, {"level": level, "x": x})
            np.testing.assert_array_equal(y, keep(x, [count] * len(x), axis))


@pytest.mark.parametrize("evaluate", [run, ort_run])
def test_a_budget_may_be_per_sample(evaluate: object) -> None:
    assert callable(evaluate)
    graph = parse(budget_graph("[3]", "[3,2,4]", "[1, 4]", 2))
    x = draw((3, 2, 4), 2)
    (y,) = evaluate(graph, {"level": np.asarray([1, -1, 0]), "x": x})
    np.testing.assert_array_equal(y, keep(x, [4, 1, 1], 2))


@pytest.mark.parametrize("evaluate", [run, ort_run])
@pytest.mark.parametrize(
    ("kind", "dtype"),
    [("float16", np.float16), ("double", np.float64), ("int64", np.int64)],
)
def test_a_budget_keeps_the_type(evaluate: object, kind: str, dtype: type[np.generic]) -> None:
    assert callable(evaluate)
    graph = parse(budget_graph("", "[1,3,2]", "[2, 3]", kind=kind))
    x = np.ones((1, 3, 2), dtype)
    (y,) = evaluate(graph, {"level": np.asarray(0), "x": x})
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, [[[1, 1], [1, 1], [0, 0]]])


@pytest.mark.parametrize("evaluate", [run, ort_run])
def test_what_a_budget_drops_is_zero_even_if_it_is_no_number(evaluate: object) -> None:
    assert callable(evaluate)
    graph = parse(budget_graph("", "[1,3]", "[1]"))
    x = np.asarray([[1, np.nan, np.inf]], np.float32)
    (y,) = evaluate(graph, {"level": np.asarray(0), "x": x})
    np.testing.assert_array_equal(y, [[1, 0, 0]])


def test_a_budget_is_read_from_its_node() -> None:
    node = parse(budget_graph("", "[1,3]", "[1, 3]")).graph.node(0)
    budget = Budget.from_node(node)
    assert budget is not None
    assert (budget.name, budget.counts, budget.axis) == ("d", (1, 3), 1)
    assert (budget.x.name, budget.decision.name, budget.output.name) == ("x", "level", "y")
    assert Selector.from_node(node) is None


@pytest.mark.parametrize(
    "node",
    [
        pytest.param(ir.node("ChannelBudget", [], domain="other"), id="another domain"),
        pytest.param(parse(switch_graph("int64", "[2]", 2)).graph.node(0), id="a switch"),
    ],
)
def test_other_nodes_are_no_budgets(node: ir.Node) -> None:
    assert Budget.from_node(node) is None


def test_a_budget_has_a_schema_that_a_marked_model_passes() -> None:
    dialect.register_schema("ChannelBudget")
    schema = onnx.defs.get_schema("ChannelBudget", 1, dialect.DOMAIN)
    assert [parameter.name for parameter in schema.inputs] == ["x", "level"]
    assert {"name", "counts", "axis"} == set(schema.attributes)
    graph = parse(budget_graph("", "[1,3]", "[1, 3]"))
    assert [function.name for function in graph.functions.values()] == ["ChannelBudget"]
    onnx.checker.check_model(runnable_proto(graph), full_check=True)
