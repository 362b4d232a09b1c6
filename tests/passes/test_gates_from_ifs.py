import onnx_ir as ir
import pytest

from dyncompile.passes import GatesFromIfs
from tests.support import assert_rewrites, assert_unique_names, assert_untouched, parse


def test_both_branches_come_into_the_graph_around_them() -> None:
    assert_rewrites(
        GatesFromIfs(),
        before="""main (bool take, float[1,4] x) => (float[1,4] y) {
            y = If (take) <
                then_branch = on () => (float[1,4] a) { a = Exp (x) },
                else_branch = off () => (float[1,4] b) { n = Neg (x) b = Sin (n) }>
        }""",
        after="""main (bool take, float[1,4] x) => (float[1,4] y) {
            a = Exp (x)
            n = Neg (x)
            b = Sin (n)
            y = dyncompile.Gate <name = "If"> (take, a, b)
        }""",
    )


def test_a_copy_that_a_branch_had_to_make_goes_away() -> None:
    assert_rewrites(
        GatesFromIfs(),
        before="""main (bool take, float[1,4] x) => (float[1,4] y) {
            s = Neg (x)
            z = If (take) <
                then_branch = on () => (float[1,4] a) { a = Exp (s) },
                else_branch = off () => (float[1,4] b) { b = Identity (s) }>
            y = Abs (z)
        }""",
        after="""main (bool take, float[1,4] x) => (float[1,4] y) {
            s = Neg (x)
            a = Exp (s)
            z = dyncompile.Gate <name = "If"> (take, a, s)
            y = Abs (z)
        }""",
    )


def test_outputs_of_one_if_are_gates_of_one_name() -> None:
    assert_rewrites(
        GatesFromIfs(),
        before="""main (bool take, float[1,4] x) => (float[1,4] y, float[1,4] z) {
            y, z = If (take) <
                then_branch = on () => (float[1,4] a, float[1,4] b) { a = Exp (x) b = Sin (x) },
                else_branch = off () => (float[1,4] c, float[1,4] d) { c = Neg (x) d = Cos (x) }>
        }""",
        after="""main (bool take, float[1,4] x) => (float[1,4] y, float[1,4] z) {
            a = Exp (x)
            b = Sin (x)
            c = Neg (x)
            d = Cos (x)
            y = dyncompile.Gate <name = "If"> (take, a, c)
            z = dyncompile.Gate <name = "If"> (take, b, d)
        }""",
    )


def test_weights_come_along_and_equal_names_are_told_apart() -> None:
    assert_rewrites(
        GatesFromIfs(),
        before="""main (bool take, float[1,2] x) => (float[1,2] y) {
            y = If (take) <
                then_branch = on () => (float[1,2] r) <float[2] w = {1, 2}> { r = Add (x, w) },
                else_branch = off () => (float[1,2] r) <float[2] w = {3, 4}> { r = Mul (x, w) }>
        }""",
        after="""main (bool take, float[1,2] x) => (float[1,2] y)
            <float[2] w = {1, 2}, float[2] "w.1" = {3, 4}> {
            r = Add (x, w)
            "r.1" = Mul (x, "w.1")
            y = dyncompile.Gate <name = "If"> (take, r, "r.1")
        }""",
    )


def test_what_a_branch_only_passes_on_is_taken_as_it_is() -> None:
    assert_rewrites(
        GatesFromIfs(),
        before="""main (bool take, float[1,2] x) => (float[1,2] y) {
            y = If (take) <
                then_branch = on () => (float[1,2] a) <float[1,2] a = {1, 2}> { },
                else_branch = off () => (float[1,2] b) { b = Neg (x) }>
        }""",
        after="""main (bool take, float[1,2] x) => (float[1,2] y) <float[1,2] a = {1, 2}> {
            b = Neg (x)
            y = dyncompile.Gate <name = "If"> (take, a, b)
        }""",
    )


def test_nested_ifs_dissolve_too() -> None:
    assert_rewrites(
        GatesFromIfs(),
        before="""main (bool p, bool q, float[1,4] x) => (float[1,4] y) {
            y = If (p) <
                then_branch = on () => (float[1,4] a) {
                    e = Exp (x)
                    a = If (q) <
                        then_branch = inner () => (float[1,4] c) { c = Sin (e) },
                        else_branch = other () => (float[1,4] d) { d = Identity (e) }>
                },
                else_branch = off () => (float[1,4] b) { b = Neg (x) }>
        }""",
        after="""main (bool p, bool q, float[1,4] x) => (float[1,4] y) {
            e = Exp (x)
            c = Sin (e)
            a = dyncompile.Gate <name = "If.1"> (q, c, e)
            b = Neg (x)
            y = dyncompile.Gate <name = "If"> (p, a, b)
        }""",
    )


def test_ifs_in_the_body_of_a_loop_dissolve_there() -> None:
    model = parse("""main (bool take, float[1,4] x) => (float[1,4] y) {
        three = Constant <value = int64 {3}> ()
        always = Constant <value = bool {1}> ()
        y = Loop (three, always, x) <
            body = round (int64 i, bool go, float[1,4] s) => (bool on, float[1,4] t) {
                on = Identity (go)
                t = If (take) <
                    then_branch = yes () => (float[1,4] a) { a = Exp (s) },
                    else_branch = no () => (float[1,4] b) { b = Neg (s) }>
            }>
    }""")
    assert GatesFromIfs()(model).modified
    (body,) = model.graph.subgraphs()
    assert [node.op_type for node in body] == ["Identity", "Exp", "Neg", "Gate"]
    assert_unique_names(model)


def test_an_if_inside_of_one_that_stays_dissolves_there() -> None:
    model = parse("""main (bool p, bool q, float[1,4] x) => (float[1,4] y) {
        y = If (p) <
            then_branch = on () => (float[1,4] a) {
                r = RandomNormalLike (x)
                a = If (q) <
                    then_branch = inner () => (float[1,4] c) { c = Exp (r) },
                    else_branch = other () => (float[1,4] d) { d = Identity (r) }>
            },
            else_branch = off () => (float[1,4] b) { b = Neg (x) }>
    }""")
    assert GatesFromIfs()(model).modified
    assert [node.op_type for node in model.graph] == ["If"]
    then = model.graph[0].attributes["then_branch"].as_graph()
    assert [node.op_type for node in then] == ["RandomNormalLike", "Exp", "Gate"]
    assert [value.name for value in then.outputs] == ["a"]


@pytest.mark.parametrize(
    "graph",
    [
        pytest.param("main (float[1,4] x) => (float[1,4] y) { y = Exp (x) }", id="no If"),
        pytest.param(
            """main (bool take, float[1,4] x) => (float[1,N] y) {
                y = If (take) <
                    then_branch = on () => (float[1,8] a) { a = Concat <axis = 1> (x, x) },
                    else_branch = off () => (float[1,4] b) { b = Neg (x) }>
            }""",
            id="branches of different shapes",
        ),
        pytest.param(
            """main (bool take, float[1,4] x) => (seq(float[1,4]) y) {
                y = If (take) <
                    then_branch = on () => (seq(float[1,4]) a) { a = SequenceConstruct (x) },
                    else_branch = off () => (seq(float[1,4]) b) { b = SequenceConstruct (x, x) }>
            }""",
            id="outputs that are no tensors",
        ),
        pytest.param(
            """main (float[1,4] x) => (float[1,4] y) <bool take = {1}> {
                y = If (take) <
                    then_branch = on () => (float[1,4] a) { a = Exp (x) },
                    else_branch = off () => (float[1,4] b) { b = Neg (x) }>
            }""",
            id="a condition known already",
        ),
    ],
)
def test_leaves_alone(graph: str) -> None:
    assert_untouched(GatesFromIfs(), graph)


def test_leaves_branches_with_custom_operators_alone() -> None:
    model = ir.from_onnx_text("""<ir_version: 10, opset_import: ["" : 21, "mine" : 1]>
        main (bool take, float[1,4] x) => (float[1,4] y) {
            y = If (take) <
                then_branch = on () => (float[1,4] a) { a = mine.Op (x) },
                else_branch = off () => (float[1,4] b) { b = Neg (x) }>
        }""")
    assert not GatesFromIfs()(model).modified
