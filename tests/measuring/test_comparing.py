from __future__ import annotations

import numpy as np
import pytest
import torch

from dyncompile import artifact
from dyncompile.errors import VerificationError
from dyncompile.measuring.comparing import NearTies, check_same
from dyncompile.measuring.findings import Setup
from tests.measuring.conftest import Made
from tests.measuring.networks import exits
from tests.support import Array

ONE = np.array([[1.0, 2.0]], np.float32)


@pytest.mark.parametrize("shift", [0.0, 0.01], ids=["at the score", "beside it"])
def test_a_threshold_at_the_score_is_a_near_tie(made: Made, shift: float) -> None:
    net, x = exits(), torch.from_numpy(made.x[:1])
    with torch.no_grad():
        h = net.stem(x)
        if h[0, 0] > 0:
            h += net.block(h).relu()
        scores = net.heads[0](h).softmax(-1)
    model, manifest = artifact.read(made.net)
    assert manifest is not None
    near_ties = NearTies(model, manifest.decisions, Setup(1, ("CPUExecutionProvider",)))
    threshold = np.array([float(scores.max()) + shift, 0.0], np.float32)
    assert near_ties({"x": made.x[:1], "threshold": threshold}) is (shift == 0.0)


@pytest.mark.parametrize(
    ("other", "problem"),
    [
        ([], "gives float32[1, 2], it nothing"),
        ([ONE.astype(np.float64)], "it float64[1, 2]"),
        ([ONE[0]], "it float32[2]"),
        ([ONE + np.float32(0.01)], "differ by 0.005 of the largest element"),
        ([ONE * np.float32(np.nan)], "differ by inf"),
    ],
    ids=["number", "type", "shape", "values", "nan"],
)
def test_other_outputs_are_refused(other: list[Array], problem: str) -> None:
    with pytest.raises(VerificationError) as caught:
        check_same([ONE], other, "it", "sample 0")
    assert problem in str(caught.value)


def test_rounding_is_no_difference() -> None:
    check_same([ONE], [ONE * np.float32(1 + 1e-5)], "it", "sample 0")
