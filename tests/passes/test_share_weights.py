import pytest

from dyncompile.passes import ShareWeights
from tests.support import assert_rewrites, assert_untouched

BIG = "float[4,9] {} = {{{{" + ", ".join(str(i) for i in range(36)) + "}}}}"
A, B = (BIG.format(name).replace("{{", "{").replace("}}", "}") for name in "ab")


def test_equal_weights_become_one() -> None:
    assert_rewrites(
        ShareWeights(),
        before=f"""main (float[1,4] x) => (float[1,9] y) <{A}, {B}> {{
            p = MatMul (x, a)
            q = MatMul (x, b)
            y = Add (p, q)
        }}""",
        after=f"""main (float[1,4] x) => (float[1,9] y) <{A}> {{
            p = MatMul (x, a)
            q = MatMul (x, a)
            y = Add (p, q)
        }}""",
    )


@pytest.mark.parametrize(
    "graph",
    [
        pytest.param(
            """main (float[2] x) => (float[2] y) <float[2] a = {1, 2}, float[2] b = {1, 2}> {
                p = Add (x, a)
                y = Add (p, b)
            }""",
            id="small ones",
        ),
        pytest.param(
            f"""main (float[1,4] x) => (float[1,9] y) <{A}, {B.replace("35", "36")}> {{
                p = MatMul (x, a)
                q = MatMul (x, b)
                y = Add (p, q)
            }}""",
            id="other numbers",
        ),
        pytest.param(
            f"""main (float[1,4] x) => (float[1,9] y) <{A}, {B.replace("[4,9]", "[4,3,3]")}> {{
                p = MatMul (x, a)
                s = Shape (b)
                n = Size (s)
                f = Cast <to = 1> (n)
                y = Add (p, f)
            }}""",
            id="another shape",
        ),
        pytest.param(
            f"""main (float[1,4] x, float[4,9] b) => (float[1,9] y) <{A}, {B}> {{
                p = MatMul (x, a)
                q = MatMul (x, b)
                y = Add (p, q)
            }}""",
            id="an input with a default value",
        ),
    ],
)
def test_leaves_alone(graph: str) -> None:
    assert_untouched(ShareWeights(), graph)
