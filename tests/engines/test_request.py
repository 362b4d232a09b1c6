from __future__ import annotations

from pathlib import Path

import pytest

from dyncompile.engine_file import Binding
from dyncompile.engines.request import BuildRequest, BuildResult, LazyNode, ShapeRange

FULL = BuildRequest(
    flavor="tensorrt",
    model=Path("net.onnx"),
    plan=Path("a b/net.engine"),
    chips=("sm89", "sm120"),
    ranges=(ShapeRange("x", (1, 3), (4, 3), (8, 3)),),
    values=(ShapeRange("level", (0,), (1,), (3,)),),
    memory=1 << 30,
    timing_cache=Path("times"),
    lazy=(LazyNode("conv", ("outer", "inner"), in_inner_loop=True), LazyNode("fc", ("outer",))),
)


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(FULL, id="all fields"),
        pytest.param(BuildRequest("tensorrt-rtx", Path("m"), Path("p")), id="the least"),
    ],
)
def test_a_request_survives_the_way_to_the_builder(request_: BuildRequest) -> None:
    text = request_.to_json()
    assert "\n" not in text
    assert BuildRequest.from_json(text) == request_


def test_a_result_survives_the_way_back() -> None:
    result = BuildResult(
        version="1.7",
        inputs=(Binding("x", "float32", (-1, 3), "device"), Binding("k", "int64", (), "host")),
        outputs=(Binding("y", "float16", (-1, 10), "device"),),
        seconds=0.5,
        layers=7,
        repaired=("conv",),
        untraced=("if_y",),
        warnings=("one\ntwo",),
        peak_memory=1 << 30,
    )
    text = result.to_json()
    assert "\n" not in text
    assert BuildResult.from_json(text) == result
