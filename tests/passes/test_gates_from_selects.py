import numpy as np
import pytest

from dyncompile.passes import GatesFromSelects
from tests.support import assert_rewrites, assert_untouched, parse, random_feeds, run

W = "float[4,4] w = {" + ", ".join(str(i) for i in range(16)) + "}"
V = W.replace(" w ", " v ")


def test_a_where_that_a_matrix_product_hangs_on_becomes_a_gate() -> None:
    assert_rewrites(
        GatesFromSelects(),
        before=f"""main (bool[1] take, float[1,4] x) => (float[1,4] y) <{W}, float[1,4] f> {{
            f = MatMul (x, w)
            y = Where (take, f, x)
        }}""",
        after=f"""main (bool[1] take, float[1,4] x) => (float[1,4] y) <{W}> {{
            f = MatMul (x, w)
            y = dyncompile.Gate <name = ""> (take, f, x)
        }}""",
    )


def test_a_reshaped_decision_is_seen_through() -> None:
    assert_rewrites(
        GatesFromSelects(),
        before=f"""main (bool take, float[1,4] x) => (float[1,4] y)
            <{W}, int64[2] dims = {{1, 1}}, bool[1,1] wide, float[1,4] f> {{
            wide = Reshape (take, dims)
            f = MatMul (x, w)
            y = Where (wide, x, f)
        }}""",
        after=f"""main (bool take, float[1,4] x) => (float[1,4] y)
            <{W}, int64[2] dims = {{1, 1}}> {{
            wide = Reshape (take, dims)
            f = MatMul (x, w)
            y = dyncompile.Gate <name = ""> (take, x, f)
        }}""",
    )


@pytest.mark.parametrize(
    "product", [pytest.param("f, m", id="mask last"), pytest.param("m, f", id="mask first")]
)
def test_a_product_with_a_mask_becomes_a_gate(product: str) -> None:
    assert_rewrites(
        GatesFromSelects(),
        before=f"""main (bool[1] take, float[1,4] x) => (float[1,4] y)
            <{W}, float[1] m, float[1,4] f> {{
            m = Cast <to = 1> (take)
            f = MatMul (x, w)
            y = Mul ({product})
        }}""",
        after=f"""main (bool[1] take, float[1,4] x) => (float[1,4] y)
            <{W}, int64[2] "y.dims" = {{1, 4}}> {{
            m = Cast <to = 1> (take)
            f = MatMul (x, w)
            "y.off" = ConstantOfShape <value = float[1] {{0}}> ("y.dims")
            y = dyncompile.Gate <name = ""> (take, f, "y.off")
        }}""",
    )


def test_a_side_that_is_repeated_gets_the_shape_of_the_result() -> None:
    assert_rewrites(
        GatesFromSelects(),
        before=f"""main (bool[1] take, float[1,4] x) => (float[1,4] y)
            <{W}, float zero = {{0}}, float[1,4] f> {{
            f = MatMul (x, w)
            y = Where (take, f, zero)
        }}""",
        after=f"""main (bool[1] take, float[1,4] x) => (float[1,4] y)
            <{W}, float zero = {{0}}, int64[2] "y.zero.dims" = {{1, 4}}> {{
            f = MatMul (x, w)
            "y.zero" = Expand (zero, "y.zero.dims")
            y = dyncompile.Gate <name = ""> (take, f, "y.zero")
        }}""",
    )


def test_selections_of_one_decision_are_looked_at_together() -> None:
    assert_rewrites(
        GatesFromSelects(),
        before=f"""main (bool[1] take, float[1,4] x) => (float[1,4] y, float[1,4] z)
            <{W}, float[1,4] f, float[1,4] g> {{
            f = MatMul (x, w)
            g = Relu (f)
            y = Where (take, f, x)
            z = Where (take, g, x)
        }}""",
        after=f"""main (bool[1] take, float[1,4] x) => (float[1,4] y, float[1,4] z) <{W}> {{
            f = MatMul (x, w)
            g = Relu (f)
            y = dyncompile.Gate <name = ""> (take, f, x)
            z = dyncompile.Gate <name = ""> (take, g, x)
        }}""",
    )


def test_only_the_selection_that_saves_work_becomes_a_gate() -> None:
    assert_rewrites(
        GatesFromSelects(),
        before=f"""main (bool[1] take, float[1,4] x) => (float[1,4] z) <
            {W}, float[1,4] f, float[1,4] y, float[1,4] n> {{
            n = Neg (x)
            y = Where (take, n, x)
            f = MatMul (y, w)
            z = Where (take, f, y)
        }}""",
        after=f"""main (bool[1] take, float[1,4] x) => (float[1,4] z) <{W}> {{
            n = Neg (x)
            y = Where (take, n, x)
            f = MatMul (y, w)
            z = dyncompile.Gate <name = ""> (take, f, y)
        }}""",
    )


def test_a_mask_times_what_is_not_finite_is_zero_then() -> None:
    ones = W.replace("0,", "1,", 1)
    model = parse(f"""main (bool[1] take, float[1,4] x) => (float[1,4] y) <
        {ones}, float[1] m, float[1,4] f> {{
        m = Cast <to = 1> (take)
        f = MatMul (x, w)
        y = Mul (f, m)
    }}""")
    feeds = random_feeds(model, take=False, x=np.full((1, 4), np.inf))
    with np.errstate(invalid="ignore"):
        (before,) = run(model, feeds)
    GatesFromSelects()(model)
    (after,) = run(model, feeds)
    assert np.isnan(before).all()
    assert not after.any()


@pytest.mark.parametrize(
    "graph",
    [
        pytest.param(
            f"""main (bool[1] take, float[1,4] x) => (float[1,4] y) <{W}, float[1,4] f> {{
                f = Exp (x)
                y = Where (take, f, x)
            }}""",
            id="nothing heavy",
        ),
        pytest.param(
            f"""main (bool[1] take, float[1,4] x) => (float[1,4] y, float[1,4] f) <{W}> {{
                f = MatMul (x, w)
                y = Where (take, f, x)
            }}""",
            id="work that is needed in any case",
        ),
        pytest.param(
            f"""main (bool[1] take, bool[1] other, float[1,4] x) => (float[1,4] y, float[1,4] z)
            <{W}, float[1,4] f> {{
                f = MatMul (x, w)
                y = Where (take, f, x)
                z = Where (other, f, x)
            }}""",
            id="work that another decision needs too",
        ),
        pytest.param(
            f"""main (bool[1,4] each, float[1,4] x) => (float[1,4] y) <{W}, float[1,4] f> {{
                f = MatMul (x, w)
                y = Where (each, f, x)
            }}""",
            id="one condition per element",
        ),
        pytest.param(
            f"""main (bool[1] take, float[N,4] x, float[M,4] z) => (float[K,4] y)
            <{W}, float[N,4] f> {{
                f = MatMul (x, w)
                y = Where (take, f, z)
            }}""",
            id="sides that may be repeated, of free sizes",
        ),
        pytest.param(
            f"""main (bool[1] take, float[1,4] x, float[1] soft) => (float[1,4] y)
            <{W}, float[1,4] f> {{
                f = MatMul (x, w)
                y = Mul (f, soft)
            }}""",
            id="a factor that may be anything",
        ),
    ],
)
def test_leaves_alone(graph: str) -> None:
    assert_untouched(GatesFromSelects(), graph)


def test_a_chain_of_selections_is_put_back_as_it_was() -> None:
    assert_untouched(
        GatesFromSelects(),
        """main (bool[1] a, bool[1] b, float[1,4] x) => (float[1,4] z)
        <float[1,4] n, float[1,4] y> {
            n = Neg (x)
            y = Where (a, n, x)
            z = Where (b, y, n)
        }""",
    )


def test_a_gate_may_read_a_selection_that_stays() -> None:
    model = parse(f"""main (bool[1] a, bool[1] b, float[1,4] x) => (float[1,4] z)
        <{W}, {V}, float[1,4] n, float[1,4] y, float[1,4] f> {{
        n = Neg (x)
        y = Where (a, n, x)
        f = MatMul (y, w)
        z = Where (b, f, y)
    }}""")
    assert GatesFromSelects()(model).modified
    assert [node.op_type for node in model.graph] == ["Neg", "Where", "MatMul", "Gate"]
