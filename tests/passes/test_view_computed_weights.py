import pytest

from dyncompile.passes import ViewComputedWeights
from tests.support import assert_rewrites, assert_untouched

V = "float[9,4] v = {" + ", ".join(str(i) for i in range(36)) + "}"
BRANCHES = """main (bool take, float[1,4] x) => (float[1,9] y) <%s> {
    %s
    y = If (take) <
        then_branch = on () => (float[1,9] a) { %s a = MatMul (x, %s) },
        else_branch = off () => (float[1,9] b) { %s n = Neg (x) b = MatMul (n, %s) }>
}"""


def test_a_computed_weight_is_seen_through_a_view_in_each_branch() -> None:
    weight = "w = Transpose <perm = [1, 0]> (v)"
    view = '"w.in.{0}" = Reshape (w, "dims.4x9")'
    assert_rewrites(
        ViewComputedWeights(),
        before=BRANCHES % (f"float[4,9] w, {V}", weight, "", "w", "", "w"),
        after=BRANCHES
        % (
            f'float[4,9] w, {V}, int64[2] "dims.4x9" = {{4, 9}}',
            weight,
            view.format("on"),
            '"w.in.on"',
            view.format("off"),
            '"w.in.off"',
        ),
    )


@pytest.mark.parametrize(
    "graph",
    [
        pytest.param(
            BRANCHES % (V, "w = Transpose <perm = [1, 0]> (v)", "", "w", "", "w"),
            id="a weight of unknown shape",
        ),
        pytest.param(
            BRANCHES % (f"float[4,9] w, {V}", "w = Transpose <perm = [1, 0]> (v)",
                        "c = Neg (w)", "c", "d = Neg (w)", "d"),
            id="what is no weight of a layer",
        ),
        pytest.param(
            BRANCHES.replace("float[1,4] x)", "float[1,4] x, float[4,9] u)")
            % ("float[4,9] w, float z = {0}", "w = Add (u, z)", "", "w", "", "w"),
            id="a weight that depends on an input",
        ),
    ],
)  # fmt: skip
def test_leaves_alone(graph: str) -> None:
    assert_untouched(ViewComputedWeights(), graph)
