from __future__ import annotations

import pytest

from dyncompile.passes import BlockCapturedMaps
from dyncompile.passes.drop_pixel_pools import DropPixelPools
from tests.passes.test_block_captured_maps import HEAD
from tests.support import assert_rewrites, assert_untouched, graph_text, parse

RESIDUAL = f"""{HEAD} {{
    a = Relu (x)
    y = If (take) <
        then_branch = on () => (float[1,16,4,4] on) {{ f = Conv (a, w) on = Add (f, a) }},
        else_branch = off () => (float[1,16,4,4] off) {{ off = Identity (a) }}
    >
}}"""


def test_undoes_what_block_captured_maps_adds() -> None:
    model = parse(RESIDUAL)
    assert BlockCapturedMaps()(model).modified
    assert DropPixelPools()(model).modified
    assert graph_text(model) == graph_text(parse(RESIDUAL))


def graph(call: str) -> str:
    return f"main (float[1,2,4,4] x) => (float[1,2,a,b] y) {{ {call} }}"


@pytest.mark.parametrize(
    "pool",
    [
        pytest.param("AveragePool <kernel_shape = [1, 1]>", id="average"),
        pytest.param("MaxPool <kernel_shape = [1, 1], strides = [1, 1]>", id="largest"),
    ],
)
def test_a_pixel_is_its_own_mean_and_maximum(pool: str) -> None:
    before, after = graph(f"p = {pool} (x) y = Relu (p)"), graph("y = Relu (x)")
    assert_rewrites(DropPixelPools(), before, after)


@pytest.mark.parametrize(
    "call",
    [
        pytest.param("p = AveragePool <kernel_shape = [2, 2]> (x) y = Relu (p)", id="larger"),
        pytest.param(
            "p = MaxPool <kernel_shape = [1, 1], strides = [2, 2]> (x) y = Relu (p)", id="strides"
        ),
        pytest.param(
            "p = AveragePool <kernel_shape = [1, 1], pads = [0, 0, 1, 1]> (x) y = Relu (p)",
            id="pads",
        ),
        pytest.param("y = AveragePool <kernel_shape = [1, 1]> (x)", id="a result of the graph"),
    ],
)
def test_leaves_alone(call: str) -> None:
    assert_untouched(DropPixelPools(), graph(call))
