from __future__ import annotations

from itertools import product

import pytest
import torch
from torch import Tensor

from dyncompile import markers
from dyncompile.demo.network import DigitsNet
from dyncompile.demo.static import StaticPath

NEVER = torch.full((2,), torch.inf)
DECISIONS = ("skip1", "exit1", "skip2", "exit2", "skip3")
OPTIONS = [
    *product((0, 1), (1,)),
    *product((0, 1), (0,), (0, 1), (1,)),
    *product((0, 1), (0,), (0, 1), (0,), (0, 1)),
]


@torch.no_grad()
@pytest.mark.parametrize("options", OPTIONS, ids=lambda some: "-".join(map(str, some)))
def test_static_path_equals_the_forced_path(
    model: DigitsNet, images: Tensor, options: tuple[int, ...]
) -> None:
    path = dict(zip(DECISIONS, options, strict=False))
    with markers.follow(path):
        dynamic = model(images, NEVER)
    (static,) = StaticPath(model, path)(images)
    with_scores, *scores = StaticPath(model, path, scores=True)(images)
    assert torch.equal(static, dynamic)
    assert torch.equal(with_scores, dynamic)
    assert len(scores) == len(path)
