from __future__ import annotations

import pytest
import torch
from torch import Tensor

from dyncompile.data import Images, Splits
from dyncompile.demo.network import DigitsNet
from dyncompile.demo.training import choose_threshold, train


def test_the_seed_settles_the_weights(digits: Splits[Images]) -> None:
    def weights(seed: int) -> Tensor:
        model = train(digits.train.head(64), seed, epochs=1)
        return torch.cat([value.flatten().float() for value in model.state_dict().values()])

    state = torch.random.get_rng_state()
    first = weights(3)
    assert torch.equal(first, weights(3))
    assert not torch.equal(first, weights(4))
    assert torch.equal(torch.random.get_rng_state(), state)


def test_training_learns_the_weights_of_the_gates(digits: Splits[Images]) -> None:
    first, later = (train(digits.train.head(32), 0, epochs=epochs) for epochs in (1, 4))
    for before, after in zip(first.stages, later.stages, strict=True):
        for old, new in zip(
            before.skip.score.parameters(), after.skip.score.parameters(), strict=True
        ):
            assert not torch.equal(old, new)


def test_training_reports_its_progress(digits: Splits[Images]) -> None:
    told: list[tuple[str, int, int]] = []
    train(digits.train.head(64), 0, epochs=1, progress=lambda *now: told.append(now))
    assert told == [("epoch 1", 1, 2), ("epoch 1", 2, 2)]


class Rigged(DigitsNet):
    """Gets each of ten images right, but image 9 wrong, and less sure, at the first exit."""

    def __init__(self, wrong: float) -> None:
        super().__init__()
        self.wrong = wrong

    def heads(self, image: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        right = torch.eye(10) * 50
        hasty = right.clone()
        hasty[9] = torch.tensor([self.wrong, *[(1 - self.wrong) / 9] * 9]).log()
        assert len(image) == 10
        return [hasty, right, right], []


@pytest.mark.parametrize(
    ("tolerance", "threshold"),
    [pytest.param(0.0, 0.64, id="nothing-lost"), pytest.param(0.1, 0.0, id="one-of-ten-lost")],
)
def test_threshold_is_the_lowest_that_keeps_the_accuracy(
    tolerance: float, threshold: float
) -> None:
    pixels = torch.zeros(10, 1, 20, 20, dtype=torch.uint8)
    data = Images(pixels, torch.arange(10), tuple("0123456789"))
    assert choose_threshold(Rigged(0.635), data, tolerance=tolerance) == threshold
