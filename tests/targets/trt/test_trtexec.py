from __future__ import annotations

import shlex
from pathlib import Path

import onnx_ir as ir
import pytest

from dyncompile.targets.trt.trtexec import trtexec_lines
from tests.support import parse

FIXED = parse("main (float[1,4] x, int64 level) => (float[1,4] y) { y = Relu (x) }")
FREE = parse("""main (float[N,4] x, float[2,M] z) => (float[N,4] y) { y = Relu (x) }""")


def words(model: ir.Model, **ranges: tuple[tuple[int, ...], ...]) -> list[str]:
    known = {name: (least, best, most) for name, (least, best, most) in ranges.items()}
    line, *_ = trtexec_lines(model, Path("a b/net.onnx"), known)
    return shlex.split(line)


def test_a_file_of_fixed_sizes_needs_no_shapes() -> None:
    files = ["--onnx=a b/net.onnx", "--saveEngine=a b/net.plan"]
    assert words(FIXED) == ["trtexec", *files, "--skipInference"]


def test_free_sizes_are_given_where_they_are_known_and_one_otherwise() -> None:
    known = words(FREE, x=((1, 4), (2, 4), (8, 4)))
    assert known[3:6] == [
        "--minShapes=x:1x4,z:2x1",
        "--optShapes=x:2x4,z:2x1",
        "--maxShapes=x:8x4,z:2x1",
    ]


@pytest.mark.parametrize(
    ("ranges", "named"),
    [
        pytest.param({}, "x, z", id="none known"),
        pytest.param({"x": ((1, 4),) * 3}, "z", id="one known"),
        pytest.param({"x": ((1, 4),) * 3, "z": ((2, 3),) * 3}, None, id="all known"),
    ],
)
def test_what_has_to_be_filled_in_is_said(ranges: dict[str, tuple[()]], named: str | None) -> None:
    _, *notes = trtexec_lines(FREE, Path("net.onnx"), ranges)  # type: ignore[arg-type]
    asked = [note for note in notes if "fill in" in note]
    assert len(asked) == (named is not None)
    assert all(f"sizes of {named} that are free" in note for note in asked)


def test_names_that_hold_what_separates_them_are_quoted() -> None:
    model = parse("main (float[N,4] x) => (float[N,4] y) { y = Relu (x) }")
    model.graph.inputs[0].name = "in:0"
    assert "--minShapes='in:0':1x4" in words(model)
