import onnx_ir as ir
import pytest

from dyncompile.dialect import PINNED
from dyncompile.passes import BranchOnDecisions, FoldImpliedSelectors, PinForeignNodes, UnpinNodes
from dyncompile.passes.scopes import graphs_of

HEADER = '<ir_version: 10, opset_import: ["" : 21, "mine" : 1, "dyncompile" : 1]>\n'


def pinned(graph: str) -> tuple[ir.Model, list[str]]:
    model = ir.from_onnx_text(HEADER + graph)
    PinForeignNodes()(model)
    nodes = model.graph.all_nodes()
    return model, [node.op_type for node in nodes if PINNED in node.metadata_props]


@pytest.mark.parametrize(
    ("body", "found"),
    [
        pytest.param("y = mine.Op (x)", ["Op"], id="custom operators"),
        pytest.param("r = RandomNormalLike (x) y = Add (x, r)", ["RandomNormalLike"], id="random"),
        pytest.param(
            "s = SequenceConstruct (x) y = ConcatFromSequence <axis = 0> (s)",
            ["SequenceConstruct", "ConcatFromSequence"],
            id="sequences",
        ),
        pytest.param(
            """y = If (take) <
                then_branch = on () => (float[1,4] a) { a = mine.Op (x) },
                else_branch = off () => (float[1,4] b) { b = Neg (x) }>""",
            ["If", "Op"],
            id="what has one inside",
        ),
        pytest.param("y = Exp (x)", [], id="nothing else"),
    ],
)
def test_pins(body: str, found: list[str]) -> None:
    graph = f"main (bool take, float[1,4] x) => (float[1,4] y) {{ {body} }}"
    model, names = pinned(graph)
    assert names == found
    assert not PinForeignNodes()(model).modified
    assert UnpinNodes()(model).modified == bool(found)
    assert not UnpinNodes()(model).modified


def test_a_pinned_node_stays_outside_of_branches_with_all_that_it_needs() -> None:
    model, _ = pinned("""main (bool take, float[1,4] x) => (float[1,4] y) {
        n = Neg (x)
        c = mine.Op (n)
        f = Exp (c)
        y = dyncompile.Gate <name = "d"> (take, f, x)
    }""")
    BranchOnDecisions()(model)
    assert [node.op_type for node in model.graph] == ["Neg", "Op", "If"]
    then, _ = graphs_of(model.graph[2])
    assert [node.op_type for node in then] == ["Exp"]


def test_a_pinned_node_between_two_gates_is_not_copied() -> None:
    model, _ = pinned("""main (bool take, float[1,4] x) => (float[1,4] y) {
        f = Exp (x)
        a = dyncompile.Gate <name = "d"> (take, f, x)
        c = mine.Op (a)
        g = Sin (c)
        y = dyncompile.Gate <name = "d"> (take, g, c)
    }""")
    BranchOnDecisions()(model)
    assert [node.op_type for node in model.graph] == ["If", "Op", "If"]


def test_a_pinned_node_always_reads_what_it_read() -> None:
    model, _ = pinned("""main (bool take, float[1,4] x) => (float[1,4] y) {
        f = Exp (x)
        a = dyncompile.Gate <name = "d"> (take, f, x)
        c = mine.Op (a)
        y = dyncompile.Gate <name = "d"> (take, c, x)
    }""")
    assert not FoldImpliedSelectors()(model).modified
