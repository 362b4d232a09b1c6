from __future__ import annotations

import pytest

from dyncompile.passes import BlockCapturedMaps
from tests.support import assert_rewrites, assert_untouched

HEAD = """main (bool take, float[1,16,4,4] x) => (float[1,16,4,4] y)
    <float[1,16,4,4] a, float[16,16,1,1] w = {WEIGHT}>""".replace(
    "{WEIGHT}", "{" + ", ".join(["0.5"] * 256) + "}"
)


def _graph(body: str) -> str:
    return f"""{HEAD} {{
        a = Relu (x)
        y = If (take) <
            then_branch = on () => (float[1,16,4,4] on) {{ {body} }},
            else_branch = off () => (float[1,16,4,4] off) {{ off = Identity (a) }}
        >
    }}"""


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(
            "f = Conv (a, w) on = Add (f, a)",
            'f = Conv ("a.blocked", w) on = Add (f, "a.blocked")',
            id="a residual block",
        ),
        pytest.param(
            "f = Relu (a) on = Conv (f, w)",
            'f = Relu ("a.blocked") on = Conv (f, w)',
            id="a convolution follows",
        ),
    ],
)
def test_a_captured_map_is_pooled_at_the_top_of_the_branch(before: str, after: str) -> None:
    pool = '"a.blocked" = AveragePool <kernel_shape = [1, 1]> (a) '
    assert_rewrites(BlockCapturedMaps(), before=_graph(before), after=_graph(pool + after))


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("on = Conv (a, w)", id="a convolution begins by itself"),
        pytest.param("on = Relu (a)", id="no convolution"),
        pytest.param("f = Conv (a, w) on = Softmax (a)", id="an operator that is never blocked"),
    ],
)
def test_leaves_alone(body: str) -> None:
    assert_untouched(BlockCapturedMaps(), _graph(body))
