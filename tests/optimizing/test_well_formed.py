from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from dyncompile.errors import ArtifactError
from dyncompile.optimizing.foreign import read_foreign
from tests.optimizing.foreign_files import SELECTS, TWO_IFS, X, weights, write

LOOPS = f"""main ({X} x, int64 n, bool go) => ({X} y) <{weights("w0")}> {{
    h = Loop (n, go, x) <body = round (int64 i, bool c, {X} s) => (bool d, {X} t)
        {{ d = Identity (c) t = MatMul (s, w0) }}>
    y = Scan <num_scan_inputs = 1, body = row ({X} s, float[6] u) => ({X} t)
        {{ t = Add (s, u) }}> (h, w0)
}}"""


def node_of(graph: onnx.GraphProto, op_type: str) -> onnx.NodeProto:
    found: list[onnx.NodeProto] = [node for node in graph.node if node.op_type == op_type]
    return found[0]


def without(op_type: str, attribute: str) -> Callable[[onnx.GraphProto], None]:
    def change(graph: onnx.GraphProto) -> None:
        node = node_of(graph, op_type)
        kept = [each for each in node.attribute if each.name != attribute]
        del node.attribute[:]
        node.attribute.extend(kept)

    return change


def with_inputs(op_type: str, *names: str) -> Callable[[onnx.GraphProto], None]:
    def change(graph: onnx.GraphProto) -> None:
        node_of(graph, op_type).input[:] = names

    return change


def one_output_more(graph: onnx.GraphProto) -> None:
    node_of(graph, "If").output.append("more")


def no_such_output(graph: onnx.GraphProto) -> None:
    graph.output[0].name = "ghost"


def another_shape(graph: onnx.GraphProto) -> None:
    graph.initializer[0].dims[0] = 7


def scan_five(graph: onnx.GraphProto) -> None:
    (number,) = (a for a in node_of(graph, "Scan").attribute if a.name == "num_scan_inputs")
    number.i = 5


def a_word_for_a_type(graph: onnx.GraphProto) -> None:
    without("Cast", "to")(graph)
    string = onnx.AttributeProto(name="to", type=onnx.AttributeProto.STRING, s=b"float")
    node_of(graph, "Cast").attribute.append(string)


@pytest.mark.parametrize(
    ("graph", "change", "fault"),
    [
        pytest.param(TWO_IFS, without("If", "else_branch"), "lacks the attribute", id="a branch"),
        pytest.param(TWO_IFS, with_inputs("If"), "has 0 inputs", id="no condition"),
        pytest.param(TWO_IFS, with_inputs("If", "", "x"), "has 2 inputs", id="a condition more"),
        pytest.param(TWO_IFS, with_inputs("MatMul", "x", ""), "lacks the input", id="no operand"),
        pytest.param(TWO_IFS, one_output_more, "branches with other outputs", id="outputs of If"),
        pytest.param(TWO_IFS, no_such_output, "returns 'ghost'", id="outputs of the graph"),
        pytest.param(TWO_IFS, another_shape, "another number of elements", id="a weight"),
        pytest.param(SELECTS, with_inputs("Where", "x", "x"), "has 2 inputs", id="Where"),
        pytest.param(SELECTS, without("Cast", "to"), "lacks the attribute 'to'", id="Cast"),
        pytest.param(SELECTS, a_word_for_a_type, "of another type", id="an attribute"),
        pytest.param(LOOPS, without("Loop", "body"), "lacks the attribute 'body'", id="Loop"),
        pytest.param(LOOPS, scan_five, "scans 5 inputs", id="Scan"),
    ],
)
def test_a_file_that_no_runtime_would_take_is_refused_in_one_line(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    graph: str,
    change: Callable[[onnx.GraphProto], None],
    fault: str,
) -> None:
    path = write(tmp_path / "any.onnx", graph)
    read_foreign(path)
    proto = onnx.load(path)
    change(proto.graph)
    path.write_bytes(proto.SerializeToString())
    with pytest.raises(ArtifactError, match=fault):
        read_foreign(path)
    assert not caplog.records
