from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from dyncompile import markers
from dyncompile.data import Images, Splits
from dyncompile.demo.network import SKIPS, DigitsNet, confidence, spell
from dyncompile.knobs import Threshold

NEVER = torch.full((2,), math.inf)
ALWAYS = torch.full((2,), -math.inf)


def test_the_knob_is_one_threshold_per_exit() -> None:
    assert DigitsNet().knobs == {"threshold": Threshold((0.8, 0.8), low=0, high=1)}


@torch.no_grad()
def test_exits_act_on_their_thresholds(model: DigitsNet, images: Tensor) -> None:
    (first, second, last), _ = model.heads(images)
    assert torch.equal(model(images, ALWAYS), first)
    assert torch.equal(model(images, torch.tensor([math.inf, -math.inf])), second)
    assert torch.equal(model(images, NEVER), last)
    confident = confidence(first)
    middle = confident.sort().values[3:5].mean()
    mixed = model(images, torch.stack([middle, torch.tensor(math.inf)]))
    assert torch.equal(mixed, torch.where((confident > middle)[:, None], first, last))


@torch.no_grad()
@pytest.mark.parametrize("name", SKIPS)
def test_gates_act(model: DigitsNet, images: Tensor, name: str) -> None:
    with markers.follow({name: 1}):
        run = model(images, NEVER)
    with markers.follow({name: 0}):
        skipped = model(images, NEVER)
    with markers.follow() as free:
        chosen = model(images, NEVER)
    assert not torch.allclose(run, skipped)
    takes = torch.from_numpy(free[name]).bool()[:, None]
    torch.testing.assert_close(chosen, torch.where(takes, run, skipped))


@torch.no_grad()
def test_gates_decide_per_sample(model: DigitsNet, digits: Splits[Images]) -> None:
    with markers.follow() as decisions:
        model(digits.test.floats(slice(100)), NEVER)
    shares = [decisions[name].mean() for name in SKIPS]
    assert any(0 < share < 1 for share in shares)


@pytest.mark.parametrize(
    ("path", "blocks", "place"),
    [
        pytest.param({"skip1": 0, "exit1": 1}, "-", "exit 1", id="first-exit"),
        pytest.param(
            {"skip1": 1, "exit1": 0, "skip2": 0, "exit2": 1}, "1 -", "exit 2", id="second-exit"
        ),
        pytest.param(dict.fromkeys(SKIPS, 1), "1 2 3", "the end", id="no-exit"),
    ],
)
def test_a_path_is_spelt(path: dict[str, int], blocks: str, place: str) -> None:
    assert spell(path) == (blocks, place)
