import pytest

from dyncompile.passes import GatesFromMasks
from tests.support import assert_rewrites, assert_untouched

TYPES = "<float[1] m, float[1,1] wide, float[1,4] f, float[1,4] z>"


@pytest.mark.parametrize(
    "product", [pytest.param("f, m", id="mask last"), pytest.param("m, f", id="mask first")]
)
def test_a_product_with_a_cast_bool_becomes_a_gate(product: str) -> None:
    assert_rewrites(
        GatesFromMasks(),
        before=f"""main (bool[1] take, float[1,4] x) => (float[1,4] y) {TYPES} {{
            m = Cast <to = 1> (take)
            f = Relu (x)
            z = Mul ({product})
            y = Neg (z)
        }}""",
        after=f"""main (bool[1] take, float[1,4] x) => (float[1,4] y)
            {TYPES} <int64[2] "z.dims" = {{1, 4}}> {{
            m = Cast <to = 1> (take)
            f = Relu (x)
            "z.off" = ConstantOfShape <value = float[1] {{0}}> ("z.dims")
            z = dyncompile.Gate <name = "mask."> (take, f, "z.off")
            y = Neg (z)
        }}""".replace("> <int64", ", int64"),
    )


@pytest.mark.parametrize(
    "graph",
    [
        pytest.param(
            """main (float[1] soft, float[1,4] x) => (float[1,4] y) {
                f = Relu (x)
                y = Mul (f, soft)
            }""",
            id="a factor that may be anything",
        ),
        pytest.param(
            """main (bool[2] take, float[2,4] x) => (float[2,4] y)
            <float[2] m, float[2,1] wide, float[2,4] f, int64[1] one = {1}> {
                m = Cast <to = 1> (take)
                wide = Unsqueeze (m, one)
                f = Relu (x)
                y = Mul (f, wide)
            }""",
            id="one mask per sample of a batch",
        ),
        pytest.param(
            """main (bool[1] take, float[1,4] x) => (float[1,4] y) <float[1] m> {
                m = Cast <to = 1> (take)
                y = Mul (x, m)
            }""",
            id="nothing is computed that could be skipped",
        ),
    ],
)
def test_leaves_alone(graph: str) -> None:
    assert_untouched(GatesFromMasks(), graph)
