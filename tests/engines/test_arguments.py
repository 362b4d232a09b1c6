"""What build is given, refused in one line where it cannot be meant."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
import torch

import dyncompile
from dyncompile import InputError, TargetError
from dyncompile.engines.arguments import check_limits, free_sizes, given_chips, given_ranges
from dyncompile.engines.flavors import load_builder
from tests.engine_networks import Skipping, Slim, image

ONE, FOUR, EIGHT = (1, 4, 8, 8), (4, 4, 8, 8), (8, 4, 8, 8)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        pytest.param({"flavor": "trt"}, "there is no flavor 'trt'", id="flavor"),
        pytest.param({"chips": [89]}, r"\[89\] does not name chips", id="chip that is no name"),
        pytest.param({"chips": 89}, "89 does not name chips", id="chips that are a number"),
        pytest.param({"timeout": "1"}, "'1' is no number of seconds", id="timeout as text"),
        pytest.param({"timeout": 0}, "0 is too little", id="no time"),
        pytest.param({"memory": 1.5e9}, "is no whole number of bytes", id="parts of bytes"),
        pytest.param({"shapes": [ONE]}, "not a dict of shapes", id="shapes without a name"),
        pytest.param({"shapes": {"x": "1x4"}}, "not three shapes", id="shape as text"),
        pytest.param({"shapes": {"x": (1.0, 4)}}, "not three shapes", id="parts of sizes"),
        pytest.param({"shapes": {"x": [ONE, FOUR]}}, "not three shapes", id="two shapes"),
    ],
)
def test_arguments_that_cannot_be_meant_are_refused_first(
    wrong: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises((InputError, TargetError), match=said):
        dyncompile.build(Slim(), tmp_path / "net.engine", image(), **wrong)
    assert not list(tmp_path.iterdir())


def test_a_chip_may_be_given_by_itself_and_a_shape_for_all_three() -> None:
    assert given_chips("sm89") == ("sm89",)
    assert given_chips(["sm89", "sm120"]) == ("sm89", "sm120")
    one, listed = given_ranges({"x": ONE}), given_ranges({"x": [list(ONE)]})
    assert one == listed
    assert one["x"].least == one["x"].best == one["x"].most == ONE


def test_limits_may_be_of_numpy_or_left_out() -> None:
    check_limits(None, None)
    check_limits(torch.tensor(2.0).numpy().item(), 1 << 30)


@pytest.mark.parametrize("by_name", [False, True], ids=["in order", "by name"])
def test_dimensions_whose_sizes_differ_become_free(by_name: bool) -> None:
    x = image(2)
    found = free_sizes(
        Slim(), {"x": x} if by_name else x, None, given_ranges({"x": [ONE, FOUR, EIGHT]})
    )
    assert found is not None
    assert list(found["x"]) == [0]
    assert free_sizes(Slim(), x, None, given_ranges({"x": tuple(x.shape)})) is None


@pytest.mark.parametrize("by_name", [False, True], ids=["in order", "by name"])
@pytest.mark.parametrize(
    ("example", "shapes", "said"),
    [
        pytest.param(image(1), [ONE, FOUR, EIGHT], "and 1 in the example", id="an example of 1"),
        pytest.param(image(2), [(1, 4), (2, 4), (3, 4)], "it has 2 dimensions", id="rank"),
        pytest.param(image(2), [(2, 4, 9, 8)], "dimension 2 is 9 there and 8", id="another size"),
    ],
)
def test_a_range_has_to_fit_its_example(
    example: torch.Tensor, shapes: list[tuple[int, ...]], said: str, by_name: bool
) -> None:
    inputs = {"x": example} if by_name else (example,)
    with pytest.raises(InputError, match=said):
        free_sizes(Slim(), inputs, None, given_ranges({"x": shapes}))


def test_ranges_of_knobs_are_left_to_the_graph() -> None:
    given = given_ranges({"threshold": (1,), "level": [(0,), (1,), (2,)]})
    assert free_sizes(Skipping(), image(), None, given) is None
    assert free_sizes(Slim(), image(), None, given) is None


def test_ctrl_c_while_a_package_loads_is_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tensorrt_rtx")
    load = importlib.import_module

    def interrupted(name: str) -> object:
        if name != "tensorrt_rtx":
            return load(name)
        raise ImportError("initialization failed") from KeyboardInterrupt()

    monkeypatch.setattr(importlib, "import_module", interrupted)
    with pytest.raises(KeyboardInterrupt):
        load_builder("tensorrt-rtx")
