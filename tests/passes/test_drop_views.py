from __future__ import annotations

import pytest

from dyncompile.passes import PlaceWeights, ViewComputedWeights
from dyncompile.passes.drop_views import DropViews
from tests.support import assert_rewrites, assert_untouched, graph_text, parse

WEIGHT = "float[6,6] w = {" + ", ".join(str(n % 5) for n in range(36)) + "}"


def shared(made: str, weight: str) -> str:
    """Write two branches that multiply by one weight."""
    return f"""main (bool take, float[1,6] x) => (float[1,6] y) <{WEIGHT}, float[6,6] v> {{ {made}
        y = If (take) <
            then_branch = on () => (float[1,6] on) {{ on = MatMul (x, {weight}) }},
            else_branch = off () => (float[1,6] off) {{ r = Relu (x) off = MatMul (r, {weight}) }}>
    }}"""


def test_undoes_views_of_stored_weights() -> None:
    model = parse(shared("", "w"))
    assert PlaceWeights()(model).modified
    assert DropViews()(model).modified
    model.graph.initializers.pop("dims.6x6")
    assert graph_text(model) == graph_text(parse(shared("", "w")))


def test_undoes_views_of_computed_weights() -> None:
    graph = shared("v = Transpose (w)", "v")
    model = parse(graph)
    assert ViewComputedWeights()(model).modified
    assert DropViews()(model).modified
    model.graph.initializers.pop("dims.6x6")
    assert graph_text(model) == graph_text(parse(graph))


def view(sizes: str, shape: str = "2,3", attributes: str = "") -> str:
    count = sizes.count(",") + 1
    return (
        f"main (float[{shape}] x) => (float[a,b] y) <int64[{count}] s = {{{sizes}}}>"
        f" {{ v = Reshape {attributes} (x, s) y = Relu (v) }}"
    )


@pytest.mark.parametrize(
    "sizes",
    [
        pytest.param("2, 3", id="spelt out"),
        pytest.param("0, 3", id="one copied"),
        pytest.param("2, -1", id="one that follows"),
        pytest.param("-1, 0", id="both"),
    ],
)
def test_sizes_may_be_said_in_all_ways(sizes: str) -> None:
    after = (
        f"""main (float[2,3] x) => (float[a,b] y) <int64[2] s = {{{sizes}}}> {{ y = Relu (x) }}"""
    )
    assert_rewrites(DropViews(), view(sizes), after)


def test_sizes_that_are_not_known_may_be_copied() -> None:
    after = "main (float[n,3] x) => (float[a,b] y) <int64[2] s = {0, 3}> { y = Relu (x) }"
    assert_rewrites(DropViews(), view("0, 3", "n,3"), after)


@pytest.mark.parametrize(
    "graph",
    [
        pytest.param(view("3, 2"), id="another shape"),
        pytest.param(view("3, -1"), id="another shape, one that follows"),
        pytest.param(view("1, 2, 3"), id="another rank"),
        pytest.param(view("2, 3", "n,3"), id="a size that is only known behind it"),
        pytest.param(
            "main (float[2,3] x) => (float[2,3] y) <int64[2] s = {2, 3}> { y = Reshape (x, s) }",
            id="a result of the graph",
        ),
    ],
)
def test_leaves_alone(graph: str) -> None:
    assert_untouched(DropViews(), graph)
