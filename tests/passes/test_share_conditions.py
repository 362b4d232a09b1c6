import onnx_ir as ir
import pytest

from dyncompile.passes import ShareConditions
from tests.support import assert_rewrites, assert_untouched


def test_a_condition_computed_twice_is_read_once() -> None:
    assert_rewrites(
        ShareConditions(),
        before="""main (float s, float t, float[4] x) => (float[4] y)
            <float one = {1}, float same = {1}> {
            s1 = Add (s, one)
            a = Greater (s1, t)
            h = If (a) <then_branch = p () => (float[4] p1) { p1 = Exp (x) },
                        else_branch = q () => (float[4] q1) { q1 = Neg (x) }>
            s2 = Add (s, same)
            b = Greater (s2, t)
            y = If (b) <then_branch = r () => (float[4] r1) { r1 = Exp (h) },
                        else_branch = u () => (float[4] u1) { u1 = Neg (h) }>
        }""",
        after="""main (float s, float t, float[4] x) => (float[4] y)
            <float one = {1}, float same = {1}> {
            s1 = Add (s, one)
            a = Greater (s1, t)
            h = If (a) <then_branch = p () => (float[4] p1) { p1 = Exp (x) },
                        else_branch = q () => (float[4] q1) { q1 = Neg (x) }>
            s2 = Add (s, same)
            b = Greater (s2, t)
            y = If (a) <then_branch = r () => (float[4] r1) { r1 = Exp (h) },
                        else_branch = u () => (float[4] u1) { u1 = Neg (h) }>
        }""",
    )


def test_a_branch_reads_the_condition_of_the_graph_around_it() -> None:
    assert_rewrites(
        ShareConditions(),
        before="""main (float s, float t, float[4] x) => (float[4] y) {
            a = Greater (s, t)
            y = If (a) <
                then_branch = p () => (float[4] p1) {
                    b = Greater (s, t)
                    p1 = If (b) <then_branch = r () => (float[4] r1) { r1 = Exp (x) },
                                 else_branch = u () => (float[4] u1) { u1 = Neg (x) }>
                },
                else_branch = q () => (float[4] q1) { q1 = Neg (x) }>
        }""",
        after="""main (float s, float t, float[4] x) => (float[4] y) {
            a = Greater (s, t)
            y = If (a) <
                then_branch = p () => (float[4] p1) {
                    b = Greater (s, t)
                    p1 = If (a) <then_branch = r () => (float[4] r1) { r1 = Exp (x) },
                                 else_branch = u () => (float[4] u1) { u1 = Neg (x) }>
                },
                else_branch = q () => (float[4] q1) { q1 = Neg (x) }>
        }""",
    )


@pytest.mark.parametrize(
    "view",
    [pytest.param("Identity (a)", id="copied"), pytest.param("Cast <to = 9> (a)", id="cast")],
)
def test_a_bool_passed_on_as_it_is_counts_as_the_same(view: str) -> None:
    graph = """main (bool a, float[4] x) => (float[4] y) {{
        n = Not (a)
        b = {view}
        y = If ({read}) <then_branch = r () => (float[4] r1) {{ r1 = Exp (x) }},
                         else_branch = u () => (float[4] u1) {{ u1 = Neg (x) }}>
    }}"""
    before, after = (graph.format(view=view, read=read) for read in ("b", "a"))
    assert_rewrites(ShareConditions(), before, after)


def two(first: str, second: str, header: str = "") -> str:
    return f"""main (float s, float t, float[4] x) => (float[4] y, float[4] z) {header} {{
        {first}
        y = If (a) <then_branch = p () => (float[4] p1) {{ p1 = Exp (x) }},
                    else_branch = q () => (float[4] q1) {{ q1 = Neg (x) }}>
        {second}
        z = If (b) <then_branch = r () => (float[4] r1) {{ r1 = Exp (x) }},
                    else_branch = u () => (float[4] u1) {{ u1 = Neg (x) }}>
    }}"""


@pytest.mark.parametrize(
    "graph",
    [
        pytest.param(two("a = Greater (s, t)", "b = Less (s, t)"), id="another operator"),
        pytest.param(two("a = Greater (s, t)", "b = Greater (t, s)"), id="other inputs"),
        pytest.param(
            two("a = Cast <to = 9> (s)", "n = Cast <to = 6> (s) b = Cast <to = 9> (n)"),
            id="another way",
        ),
        pytest.param(
            two(
                "r = RandomNormalLike (s) a = Greater (r, t)",
                "e = RandomNormalLike (s) b = Greater (e, t)",
            ),
            id="drawn twice",
        ),
        pytest.param(
            two("a = Greater (s, c)", "b = Greater (s, d)", "<float c = {1}, float d = {2}>"),
            id="other constants",
        ),
        pytest.param(
            two(
                "c = Constant <value_float = 0.0> () u1 = Div (s, c) a = Greater (u1, t)",
                "d = Constant <value_float = -0.0> () u2 = Div (s, d) b = Greater (u2, t)",
            ),
            id="zeros of either sign",
        ),
        pytest.param(
            """main (bool p, float s, float t, float[4] x) => (float[4] y) {
                y = If (p) <
                    then_branch = on () => (float[4] on1) {
                        a = Greater (s, t)
                        on1 = If (a) <then_branch = r () => (float[4] r1) { r1 = Exp (x) },
                                      else_branch = u () => (float[4] u1) { u1 = Neg (x) }>
                    },
                    else_branch = off () => (float[4] off1) {
                        b = Greater (s, t)
                        off1 = If (b) <then_branch = v () => (float[4] v1) { v1 = Sin (x) },
                                       else_branch = w () => (float[4] w1) { w1 = Cos (x) }>
                    }>
            }""",
            id="in another branch, which may not have run",
        ),
    ],
)
def test_leaves_alone(graph: str) -> None:
    assert_untouched(ShareConditions(), graph)


def test_custom_operators_are_not_taken_for_equal() -> None:
    model = ir.from_onnx_text("""<ir_version: 10, opset_import: ["" : 21, "mine" : 1]>
        main (float s, float t) => (bool y) {
            a = mine.Decide (s, t)
            b = mine.Decide (s, t)
            y = And (a, b)
        }""")
    assert not ShareConditions()(model).modified
