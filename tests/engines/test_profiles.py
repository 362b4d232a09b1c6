from __future__ import annotations

import onnx_ir as ir
import pytest

from dyncompile.engines.profiles import parse_shape, ranges, shape_range
from dyncompile.engines.request import ShapeRange
from dyncompile.errors import InputError
from dyncompile.knobs import Levels, Threshold
from dyncompile.manifest import Manifest
from tests.support import parse

FIXED = parse("g (float[1, 3, 32, 32] x) => (float[1, 3, 32, 32] y) { y = Relu(x) }")
DYNAMIC = parse(
    "g (float[N, 3, H, 32] x, float[N, 2] z) => (float[N, 3, H, 32] y, float[N, 2] w)"
    "{ y = Relu(x) w = Relu(z) }"
)
KNOBS = parse(
    "g (float[1, 3] x, int64 level, float t, int64[2] pads) => (float[1, 3] y)"
    "{ k = Cast<to = 1>(level) a = Add(x, k) b = Cast<to = 1>(pads) c = ReduceSum(b)"
    "  d = Add(a, c) y = Add(d, t) }"
)
MANIFEST = Manifest(target="onnx", knobs={"level": Levels((1, 2, 4), 1), "t": Threshold(0.5)})
X = ShapeRange("x", (1, 3, 32, 32), (4, 3, 64, 32), (8, 3, 64, 32))
Z = ShapeRange("z", (1, 2), (4, 2), (8, 2))


@pytest.mark.parametrize(
    ("text", "least", "best", "most"),
    [
        pytest.param("x=1x3x8,4x3x16,8x3x16", (1, 3, 8), (4, 3, 16), (8, 3, 16), id="three"),
        pytest.param("x=8x3", (8, 3), (8, 3), (8, 3), id="one for all"),
        pytest.param("x=0,1,3", (0,), (1,), (3,), id="values of a scalar"),
        pytest.param("x=-1x0,0x0,1x9", (-1, 0), (0, 0), (1, 9), id="values below zero"),
    ],
)
def test_a_range_is_read(
    text: str, least: tuple[int, ...], best: tuple[int, ...], most: tuple[int, ...]
) -> None:
    assert parse_shape(text) == ("x", ShapeRange("x", least, best, most))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("1x3", "not a range", id="no name"),
        pytest.param("=1x3", "not a range", id="empty name"),
        pytest.param("x=1,2", "not a range", id="two shapes"),
        pytest.param("x=1x,2x,3x", "whole numbers", id="a size is missing"),
        pytest.param("x=ax3", "whole numbers", id="letters"),
        pytest.param("x=", "whole numbers", id="nothing"),
        pytest.param("x=1x3,1x3x3,1x3", "one length", id="different ranks"),
        pytest.param("x=4,1,8", "4, 1, 8 are not in order", id="the best is too small"),
        pytest.param("x=1x3,2x3,2x1", "not in order", id="the most is too small"),
    ],
)
def test_what_is_no_range_is_refused(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        parse_shape(text)
    assert "1x3x32x32,4x3x64x64,8x3x64x64" in str(caught.value)


def test_a_range_can_be_given_as_tuples() -> None:
    assert shape_range("x", [(1, 2), (3, 2), (4, 2)]) == ShapeRange("x", (1, 2), (3, 2), (4, 2))
    assert shape_range("x", [(1, 2)]) == ShapeRange("x", (1, 2), (1, 2), (1, 2))
    assert shape_range("x", X) == X


def test_a_network_of_fixed_sizes_needs_no_range() -> None:
    assert ranges(FIXED, None, {}) == ((), ())
    fixed = shape_range("x", [(1, 3, 32, 32)])
    assert ranges(FIXED, None, {"x": fixed}) == ((), ())


def test_dynamic_sizes_take_the_given_ranges() -> None:
    assert ranges(DYNAMIC, None, {"z": Z, "x": X}) == ((X, Z), ())


def test_a_knob_takes_all_its_levels_and_starts_at_its_default() -> None:
    expected = ShapeRange("level", (0,), (1,), (2,))
    assert ranges(KNOBS, MANIFEST, {}) == ((), (expected,))


def test_values_of_other_integers_are_as_given() -> None:
    pads = ShapeRange("pads", (0, 0), (1, 1), (2, 2))
    level = ShapeRange("level", (0,), (2,), (2,))
    _, values = ranges(KNOBS, MANIFEST, {"pads": pads, "level": level})
    assert values == (level, pads)


@pytest.mark.parametrize(
    ("model", "given", "said"),
    [
        pytest.param(
            DYNAMIC,
            {"z": Z},
            r"input 'x': its sizes \[N, 3, H, 32\] .*--shape x=1x3x32x32,4x3x64x32,8x3x64x32",
            id="no range",
        ),
        pytest.param(FIXED, {"q": X}, "no such input; it has 'x'", id="unknown input"),
        pytest.param(
            FIXED, {"x": Z}, r"has 2 dimensions, the input has 4: \[1, 3, 32, 32\]", id="rank"
        ),
        pytest.param(
            KNOBS,
            {"t": shape_range("t", [(1,)])},
            "'t': the input is a single number, and has no sizes",
            id="sizes of a number",
        ),
        pytest.param(FIXED, {"x": X}, "dimension 0 is 1 in the network, not 1 to 8", id="fixed"),
        pytest.param(
            DYNAMIC,
            {"x": shape_range("x", [(1, 4, 32, 32)]), "z": Z},
            "dimension 1 is 3 in the network, not 4",
            id="another channel count",
        ),
        pytest.param(
            DYNAMIC,
            {"x": shape_range("x", [(0, 3, 32, 32)]), "z": Z},
            "dimension 0 begins at 0",
            id="no images",
        ),
        pytest.param(
            DYNAMIC,
            {"x": X, "z": shape_range("z", [(2, 2)])},
            "its dimension 'N' is 2, that of 'x' is 1 to 8",
            id="one dimension, two ranges",
        ),
        pytest.param(
            KNOBS,
            {"level": shape_range("level", [(0,), (0,), (1,)])},
            "0 to 1 does not cover the knob, which goes from 0 to 2",
            id="the last level is left out",
        ),
        pytest.param(
            KNOBS,
            {"level": shape_range("level", [(1,), (1,), (2,)])},
            "1 to 2 does not cover the knob",
            id="the first level is left out",
        ),
        pytest.param(
            KNOBS, {"pads": shape_range("pads", [(1,)])}, "holds 2 values, not 1", id="value count"
        ),
    ],
)
def test_a_range_that_does_not_fit_is_refused(
    model: ir.Model, given: dict[str, ShapeRange], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        ranges(model, MANIFEST, given)
