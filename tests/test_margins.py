from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Literal

import numpy as np
import onnx_ir as ir
import pytest
import torch
from torch import Tensor, nn

import dyncompile
from dyncompile import artifact
from dyncompile.manifest import Decision, Side
from dyncompile.margins import fetch_scores
from dyncompile.passes.decision_values import values_by_name
from dyncompile.probe import Probe
from dyncompile.verify import verify
from tests.support import parse

F32 = np.float32

UNTYPED = """main (float[2] x, bool outer) => (float[2] y) {
    y = If (outer) <
        then_branch = on () => (float[2] y1) {
            zero = Constant <value = int64 {0}> ()
            score = Gather (x, zero)
            limit = Constant <value = float {1.0}> ()
            take = Greater (score, limit)
            y1 = If (take) <
                then_branch = inner_on () => (float[2] y11) { y11 = Exp (x) },
                else_branch = inner_off () => (float[2] y10) { y10 = Neg (x) }>
        },
        else_branch = off () => (float[2] y0) { y0 = Abs (x) }>
}"""


class Bounded(nn.Module):
    """A gate under an exit, with a score of its own."""

    knobs: Mapping[str, dyncompile.Threshold] = {}

    def __init__(self) -> None:
        super().__init__()
        self.limit = nn.Parameter(torch.tensor([1.0]))

    def forward(self, x: Tensor) -> Tensor:
        take = x.exp().log()[:, 0] > self.limit
        y = dyncompile.gate(take, x * 2, x, name="inner")
        return dyncompile.gate(x[:, 1] > 0, y * 3, x, name="outer")


@pytest.mark.parametrize(
    ("outer", "margin"), [(True, 0.2), (False, np.inf)], ids=["reached", "not reached"]
)
def test_a_score_without_a_type_is_fetched_from_its_branch(outer: bool, margin: float) -> None:
    model = parse(UNTYPED)
    decision = Decision("inner", "gate", ("take",), (("outer", 1),), (Side(0, 0), Side(0, 0)))
    assert values_by_name(model)["score"].dtype is None
    scores = fetch_scores(model, decision)
    with ExitStack() as stack:
        fetched = Probe(model, stack)({"x": np.asarray([1.25, 0], F32), "outer": np.asarray(outer)})
    assert scores.margin(fetched) == pytest.approx(margin)


@pytest.mark.parametrize("target", ["onnx", "marked"])
def test_a_near_tie_of_a_file_is_reported(
    target: Literal["onnx", "marked"], tmp_path: Path
) -> None:
    module, path = Bounded(), tmp_path / "net.onnx"
    dyncompile.export(module, (torch.ones(1, 4),), path, target=target, verify=False)
    model, manifest = artifact.read(path)
    assert manifest is not None
    weight = values_by_name(model)["limit"]
    weight.const_value = ir.tensor(np.asarray([1 + 2e-5], F32), name="limit")
    artifact.write(model, manifest, path)
    model, _ = artifact.read(path)
    sample = np.asarray([[1 + 1e-5, 5, 0.5, 0.5]], F32)
    (tie,) = verify(model, manifest, module, [{"x": sample}]).near_ties
    assert (tie.decision, tie.sample) == ("inner", 0)
    assert tie.margin == pytest.approx(1e-5, rel=0.05)
