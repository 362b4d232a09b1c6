from __future__ import annotations

import numpy as np
import pytest
import torch

from dyncompile.errors import InputError
from dyncompile.examples import draw_inputs, parse_input, sample_arrays

F32 = np.float32


# --- inputs ----------------------------------------------------------------------------------


def test_inputs_are_drawn_from_their_descriptions() -> None:
    texts = [
        *("x=float32[1, 3,4]", "d=float64[2]:-1..1.5", "h=float16[]:inf", "n=int64[]"),
        *("k=int32[5]:7", "t=uint8[1,50]:3..5", "b=bool[2]", "c=bool[40]:0..1"),
    ]
    drawn = draw_inputs(map(parse_input, texts))
    again = draw_inputs(map(parse_input, texts))
    other = draw_inputs(map(parse_input, texts), seed=1)
    assert all(torch.equal(drawn[name], again[name]) for name in drawn)
    assert not torch.equal(drawn["x"], other["x"])
    assert {name: (str(t.dtype)[6:], tuple(t.shape)) for name, t in drawn.items()} == {
        "x": ("float32", (1, 3, 4)),
        "d": ("float64", (2,)),
        "h": ("float16", ()),
        "n": ("int64", ()),
        "k": ("int32", (5,)),
        "t": ("uint8", (1, 50)),
        "b": ("bool", (2,)),
        "c": ("bool", (40,)),
    }
    assert drawn["h"].isinf()
    held = {name: sorted(set(drawn[name].flatten().tolist())) for name in "nktbc"}
    assert held == {"n": [0], "k": [7], "t": [3, 4, 5], "b": [False], "c": [False, True]}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        *(
            (text, "does not describe an input. Write NAME=TYPE[SIZES]")
            for text in (
                *("", "x", "x=float32", "=float32[1]", "x=float32[1", "x=float32[1,]"),
                *("x=float32[-1]", "x=float32[0]", "x=float32[a]", "1x=float32[1]"),
                *("x=float32[1]:", "x=float32[1] y=float32[1]", "x=float32[1 2]"),
            )
        ),
        ("x=float[1]", "--input x: there is no type 'float'. Give one of float16, float32"),
        ("x=float32[99999,99999]", "elements are more than"),
        ("x=int64[1]:0.5", "'0.5' are no values of int64"),
        ("x=int8[1]:0..200", "'0..200' are no values of int8"),
        ("x=float32[1]:1..0", "'1..0' are no values of float32"),
        ("x=float32[1]:0..inf", "are no values of float32"),
        ("x=float32[1]:nan", "are no values of float32"),
        ("x=bool[1]:2", "are no values of bool"),
    ],
)
def test_malformed_inputs_are_refused(text: str, problem: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_input(text)
    assert problem in str(caught.value)


def test_an_input_is_described_once() -> None:
    with pytest.raises(InputError, match="--input x: it is described twice"):
        draw_inputs([parse_input("x=float32[1]")] * 2)


# --- samples ---------------------------------------------------------------------------------


def test_samples_may_be_tensors() -> None:
    given = {"x": torch.ones(2, 4, requires_grad=True), "y": [1, 2], "z": np.zeros(2, F32)}
    arrays = sample_arrays(given, "samples")
    assert {name: type(array) for name, array in arrays.items()} == dict.fromkeys("xyz", np.ndarray)
    assert arrays["x"].dtype == F32


@pytest.mark.parametrize(
    ("sample", "problem"),
    [
        (torch.ones(2), "s: it is Tensor. Give arrays by name"),
        ({"x": torch.ones(2, dtype=torch.bfloat16)}, "s, input 'x': TypeError"),
        ({"x": [[1], [1, 2]]}, "s, input 'x': ValueError"),
    ],
)
def test_what_is_no_sample_is_refused(sample: object, problem: str) -> None:
    with pytest.raises(InputError) as caught:
        sample_arrays(sample, "s")
    assert str(caught.value).startswith(problem)
    assert "\n" not in str(caught.value)
