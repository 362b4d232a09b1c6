from __future__ import annotations

import onnx
import pytest

from dyncompile.targets.trt.check_operators import UNSUPPORTED
from tests.support import HEADER
from tests.targets.trt.legal import assert_builds, assert_refused, checked, parse

CUSTOM = '<ir_version: 10, opset_import: ["" : 21, "mine" : 1, "com.microsoft" : 1]>\n'


def test_the_list_is_what_the_parser_says() -> None:
    trt = pytest.importorskip("tensorrt_rtx")
    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, logger)
    known = {
        schema.name for schema in onnx.defs.get_all_schemas_with_history() if not schema.domain
    }
    assert {name for name in known if not parser.supports_operator(name)} == UNSUPPORTED & known


@pytest.mark.parametrize(
    ("call", "words"),
    [
        pytest.param("[n] y = mine.Relu (x)", ["domain 'mine'"], id="another domain"),
        pytest.param("[n] y = com.microsoft.Gelu (x)", ["'com.microsoft'"], id="of a runtime"),
        pytest.param(
            'take = Greater (x, zero) [n] y = dyncompile.Gate <name = "g"> (take, x, x)',
            ["marker", "dyncompile export"],
            id="a marker",
        ),
        pytest.param("[n] y = Det (x)", ["no such operator"], id="no importer"),
        pytest.param(
            "take = Greater (x, zero) [n] y = Compress (x, take)", ["TopK"], id="compress"
        ),
        pytest.param("[n] i = NonZero (x) y = Cast <to = 1> (i)", ["run time"], id="counts"),
        pytest.param(
            "[n] q, s, z = DynamicQuantizeLinear (x) y = DequantizeLinear (q, s, z)",
            ["constant scale"],
            id="quantises dynamically",
        ),
    ],
)
def test_unknown_operators_are_refused(call: str, words: list[str]) -> None:
    header = HEADER if "dyncompile" in call else CUSTOM
    graph = f"main (float[4] x) => (float[m] y) <float zero = {{0}}> {{ {call} }}"
    assert_refused(parse(graph, header), "'n'", *words)


def test_in_a_branch_too() -> None:
    model = parse("""main (bool t, float[2,2] x) => (float y) {
        y = If (t) <
            then_branch = on () => (float a) { [n] a = Det (x) },
            else_branch = off () => (float b) { b = ReduceSum <keepdims = 0> (x) }>
    }""")
    assert_refused(model, "Det 'n'")


def test_functions_of_other_domains_are_written_out() -> None:
    model = parse(
        """main (float[4] x) => (float[4] y) { y = mine.Twice (x) }
        <domain: "mine", opset_import: ["" : 21]>
        Twice (x) => (y) { y = Add (x, x) }""",
        CUSTOM,
    )
    legal = checked(model)
    assert [node.op_type for node in legal.graph] == ["Add"]
    assert set(legal.opset_imports) == {""}
    assert_builds(legal)
