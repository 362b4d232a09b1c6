import json
import math
from functools import partial
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dyncompile import knobs
from dyncompile.errors import KnobError
from dyncompile.knob_entries import knob_from_entry
from dyncompile.knobs import Levels, Threshold, knob_from_spec
from dyncompile.runtime.arguments import knob_argument

INF = math.inf

finite = st.floats(allow_nan=False, allow_infinity=False, width=32)
levels = st.lists(st.one_of(finite, st.text(max_size=5)), min_size=1, max_size=5).flatmap(
    lambda values: st.integers(-len(values), len(values) - 1).map(
        lambda default: Levels(tuple(values), default)
    )
)


@st.composite
def thresholds(draw: st.DrawFn) -> Threshold:
    low, high = sorted(bound + 0.0 for bound in draw(st.tuples(finite, finite)))  # no -0.0
    inside = st.one_of(st.floats(low, high, width=32), st.sampled_from([INF, -INF]))
    default = draw(st.one_of(inside, st.lists(inside, min_size=1, max_size=4).map(tuple)))
    return Threshold(default, low, high)


def test_all_names_exist() -> None:
    assert all(hasattr(knobs, name) for name in knobs.__all__)


# --- what an artifact is fed with ------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "fed"),
    [
        pytest.param(None, 2, id="default"),
        pytest.param(0, 0, id="int"),
        pytest.param(np.int32(1), 1, id="numpy int"),
        pytest.param(np.asarray([1]), 1, id="one element"),
    ],
)
def test_level_is_an_int64_scalar(value: object, fed: int) -> None:
    array = Levels((0.25, 0.5, "all")).array("level", value)
    assert array.dtype == np.int64
    assert array.shape == ()
    assert int(array) == fed


@pytest.mark.parametrize("value", [-1, 3, 1.0, True, "0", [0, 1], [[0], [1, 2]], math.nan])
def test_refuses_what_is_no_level(value: object) -> None:
    with pytest.raises(KnobError, match=r"^knob 'level': .* is not a level\. .*from 0 to 2\.$"):
        Levels((1, 2, 3)).array("level", value)


@pytest.mark.parametrize(
    ("knob", "value", "fed"),
    [
        pytest.param(Threshold(0.5), None, 0.5, id="default"),
        pytest.param(Threshold(0.5), 1, 1.0, id="int"),
        pytest.param(Threshold(0.5, 0, 1), INF, INF, id="infinity is always legal"),
        pytest.param(Threshold(-INF, 0, 1), None, -INF, id="infinite default"),
        pytest.param(Threshold((0.5, 0.6)), None, [0.5, 0.6], id="vector default"),
        pytest.param(Threshold((0.5, 0.6)), 0.25, [0.25, 0.25], id="one number for all"),
        pytest.param(Threshold((0.5, 0.6), 0, 1), [1, -INF], [1.0, -INF], id="vector"),
        pytest.param(Threshold(0.5), [0.25], 0.25, id="one element for a scalar"),
        pytest.param(
            Threshold(0.5, 0, 0.8), np.float32(0.8), 0.8, id="end of the range as float32"
        ),
        pytest.param(Threshold(0.5), 3.4e38, 3.4e38, id="almost beyond float32"),
    ],
)
def test_threshold_is_float32(knob: Threshold, value: object, fed: object) -> None:
    array = knob.array("t", value)
    assert array.dtype == np.float32
    assert array.shape == knob.shape
    np.testing.assert_array_equal(array, np.asarray(fed, np.float32))


@pytest.mark.parametrize("value", [1.5, -0.5, math.nan, "high", [0.1, 0.2], {}])
def test_refuses_what_is_no_threshold(value: object) -> None:
    with pytest.raises(KnobError, match=r"^knob 't': .* is not a threshold\. Give one number"):
        Threshold(0.5, 0, 1).array("t", value)


@pytest.mark.parametrize("value", [1e39, -1e39])
def test_refuses_a_finite_number_that_float32_does_not_hold(value: float) -> None:
    knob = Threshold(0.5)
    for argument in (knob_argument("t", knob), partial(knob.array, "t")):
        with pytest.raises(KnobError, match="is not a threshold"):
            argument(value)


def test_refuses_a_vector_of_another_length() -> None:
    with pytest.raises(KnobError, match="Give 2 numbers from 0 to 1, or an infinity"):
        Threshold((0.5, 0.5), 0, 1).array("t", [0.1, 0.2, 0.3])


# --- declarations that cannot be meant -------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "default", "message"),
    [
        pytest.param((), 0, "at least one value", id="no levels"),
        pytest.param((1, 2), 2, "default 2 is not an index of 2 values", id="default too high"),
        pytest.param((1, 2), -3, "default -3 is not an index", id="default too low"),
        pytest.param((1, 2), "a", "default 'a' is not an index", id="default a word"),
        pytest.param((1, 2), 1.0, "default 1.0 is not an index", id="default a float"),
        pytest.param((1, 2), True, "default True is not an index", id="default a bool"),
        pytest.param((1, 2), None, "default None is not an index", id="default nothing"),
    ],
)
def test_refuses_levels(values: tuple[float, ...], default: Any, message: str) -> None:  # noqa: ANN401
    with pytest.raises(KnobError, match=message):
        Levels(values, default)


def test_the_default_level_may_be_an_integer_of_numpy() -> None:
    levels = Levels((1, 2, 3), cast("int", np.int64(-2)))
    assert levels == Levels((1, 2, 3), 1)
    assert type(levels.default) is int


@pytest.mark.parametrize(
    ("default", "low", "high", "message"),
    [
        pytest.param(0.5, 1, 0, "empty", id="empty range"),
        pytest.param(0.5, math.nan, 1, "empty", id="nan in the range"),
        pytest.param(2.0, 0, 1, "is not a threshold", id="default out of range"),
        pytest.param(math.nan, 0, 1, "is not a threshold", id="nan default"),
        pytest.param((), 0, 1, r"shape \[0\]", id="no default"),
        pytest.param(((0.1,), (0.2,)), 0, 1, r"shape \[2, 1\]", id="a matrix"),
    ],
)
def test_refuses_thresholds(default: float, low: float, high: float, message: str) -> None:
    with pytest.raises(KnobError, match=message):
        Threshold(default, low, high)


# --- the manifest ----------------------------------------------------------------------------


@given(st.one_of(levels, thresholds()))
def test_json_keeps_a_knob(knob: Levels | Threshold) -> None:
    text = json.dumps(knob.to_json(), allow_nan=False)
    assert knob_from_entry("k", json.loads(text)) == knob


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param(None, id="nothing"),
        pytest.param({"kind": "other"}, id="unknown kind"),
        pytest.param({"kind": "levels", "values": [], "default": 0}, id="no levels"),
        pytest.param({"kind": "levels", "values": [1], "default": "0"}, id="default is text"),
        pytest.param({"kind": "threshold", "default": 1}, id="no range"),
        pytest.param({"kind": "threshold", "default": None, "low": 0, "high": 1}, id="no default"),
        pytest.param(
            {"kind": "threshold", "default": "a", "low": 0, "high": 1},
            id="default is no number",
        ),
    ],
)
def test_refuses_a_foreign_entry(entry: object) -> None:
    with pytest.raises((KeyError, ValueError, KnobError)):
        knob_from_entry("k", entry)


# --- the command line ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "name", "knob"),
    [
        ("level=levels(0.25,0.5,1;default=1)", "level", Levels((0.25, 0.5, 1.0), 1)),
        ("mode=levels(small, large)", "mode", Levels(("small", "large"))),
        (" t=threshold(0.8) ", "t", Threshold(0.8)),
        ("t=threshold(0.8; low=0; high=1)", "t", Threshold(0.8, 0, 1)),
        ("t=threshold(0.8,inf;low=0)", "t", Threshold((0.8, INF), 0)),
    ],
)
def test_reads_a_spec(spec: str, name: str, knob: Levels | Threshold) -> None:
    assert knob_from_spec(spec) == (name, knob)


@pytest.mark.parametrize(
    "spec",
    [
        "",
        "level",
        "level=levels",
        "level=levels()",
        "level=levels(1;default)",
        "level=levels(1;default=x)",
        "level=levels(1;low=0)",
        "t=threshold(high)",
        "t=threshold(0.5;default=1)",
        "t=bits(8)",
        "a b=levels(1)",
        "level=levels(1)(2)",
    ],
)
def test_refuses_a_spec(spec: str) -> None:
    with pytest.raises(KnobError, match=r"^--knob: .*Write NAME="):
        knob_from_spec(spec)


@given(st.text(max_size=30))
def test_any_other_text_is_refused_as_a_knob_error(text: str) -> None:
    with pytest.raises(KnobError):
        knob_from_spec(text)
