from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir
import pytest

from dyncompile import cost
from dyncompile.describe import manifest_from_model
from dyncompile.manifest import Decision
from dyncompile.passes.drop_reports import drop_reports
from dyncompile.passes.report_decisions import report_decisions
from dyncompile.passes.take_path import take_path
from tests.lowered import NESTED_DECISIONS, SWITCH_DECISIONS, nested, switched
from tests.support import Feeds, assert_unique_names, ort_run

F32 = np.float32
FEEDS: Feeds = {
    "x": np.array([[-2.0, -0.5, 0.25, 1.5]], F32),
    "threshold": np.asarray(F32(0.5)),
    "level": np.asarray(1),
}
GRAPHS = pytest.mark.parametrize(
    ("graph", "decisions"),
    [
        pytest.param(nested, NESTED_DECISIONS, id="branches in branches"),
        pytest.param(switched, SWITCH_DECISIONS, id="a switch by a knob"),
    ],
)


def content(model: ir.Model) -> bytes:
    found: bytes = ir.to_proto(model).SerializeToString(deterministic=True)
    return found


@GRAPHS
def test_what_reports_added_goes_without_a_trace(
    graph: Callable[[], ir.Model], decisions: tuple[Decision, ...]
) -> None:
    model = graph()
    outputs = report_decisions(model, decisions)
    stored = ir.from_proto(ir.to_proto(model))
    assert isinstance(stored, ir.Model)
    assert content(model) != content(graph())
    for one in model, stored:
        drop_reports(one, outputs.values())
        assert content(one) == content(graph())


@GRAPHS
def test_what_another_tool_has_added_behind_a_report_stays(
    graph: Callable[[], ir.Model], decisions: tuple[Decision, ...]
) -> None:
    model = graph()
    wanted = ort_run(model, FEEDS)
    outputs = report_decisions(model, decisions)
    node = next(node for node in model.graph if node.op_type == "If")
    node.resize_outputs(len(node.outputs) + 1)
    node.outputs[-1].name = "more"
    for number, branch in enumerate(("then_branch", "else_branch")):
        inner = node.attributes[branch].as_graph()
        one = ir.node("Constant", [], {"value": ir.tensor([number])})
        one.outputs[0].name = f"more.{number}"
        inner.append(one)
        inner.outputs.append(one.outputs[0])
    drop_reports(model, outputs.values())
    assert len(model.graph.outputs) == 1
    np.testing.assert_array_equal(ort_run(model, FEEDS), wanted)


def test_an_output_that_reports_nothing_any_more_keeps_the_decision() -> None:
    model = nested()
    outputs = report_decisions(model, NESTED_DECISIONS)
    again = report_decisions(model, NESTED_DECISIONS)
    wanted = ort_run(model, FEEDS)[:5]
    assert_unique_names(model)
    drop_reports(model, again.values())
    assert [value.name for value in model.graph.outputs] == ["y", *outputs.values()]
    for got, want in zip(ort_run(model, FEEDS), wanted, strict=True):
        np.testing.assert_array_equal(got, want)


@GRAPHS
def test_reports_cost_nothing_and_are_no_decisions(
    graph: Callable[[], ir.Model], decisions: tuple[Decision, ...]
) -> None:
    plain, model = graph(), graph()
    for one in plain, model:
        for value in (*one.graph.inputs, *(v for n in one.graph.all_nodes() for v in n.outputs)):
            for decision in decisions:
                if value.name in decision.values:
                    value.metadata_props["dyncompile.decision"] = decision.name
    report_decisions(model, decisions)
    assert cost.total(model) == cost.total(plain)
    assert manifest_from_model(model, {}, "onnx") == manifest_from_model(plain, {}, "onnx")


def test_the_network_of_a_path_reports_this_path() -> None:
    model = nested()
    report_decisions(model, NESTED_DECISIONS)
    path = {"outer": 1, "inner": 1, "exit": 1}
    taken = take_path(model, path)
    feeds = {**FEEDS, "x": np.full((1, 4), 2, F32)}  # outer and inner are on, the exit is not
    y, *reports = ort_run(taken, feeds)
    np.testing.assert_array_equal(y, np.full((1, 4), 2, F32))
    assert [int(report) for report in reports] == [1, 1, 0, -1]
