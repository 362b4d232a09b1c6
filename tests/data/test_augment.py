from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from dyncompile.data import distort, shift_and_flip


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def shifted(image: Tensor, down: int, right: int) -> Tensor:
    height, width = image.shape[1:]
    padded = torch.nn.functional.pad(image, (2, 2, 2, 2))
    return padded[:, 2 - down : 2 - down + height, 2 - right : 2 - right + width]


def test_images_are_shifted_and_mirrored_in_all_ways_and_no_other() -> None:
    image = torch.arange(1.0, 61).reshape(3, 4, 5)
    ways = {
        tuple(shifted(each, down, right).flatten().tolist())
        for each in (image, image.flip(2))
        for down in range(-2, 3)
        for right in range(-2, 3)
    }
    drawn = shift_and_flip(image.expand(2000, -1, -1, -1), pixels=2)
    assert {tuple(each.flatten().tolist()) for each in drawn} == ways


def test_nothing_is_mirrored_without_flip() -> None:
    image = torch.arange(60.0).reshape(1, 3, 4, 5).expand(50, -1, -1, -1)
    assert torch.equal(shift_and_flip(image, pixels=0, flip=False), image)


def test_no_distortion_changes_nothing() -> None:
    images = torch.rand(4, 2, 6, 8)
    still = distort(images, turn=0, shift=0, scale=0)
    assert torch.allclose(still, images, atol=1e-5, rtol=0)


def test_distortions_stay_within_their_limits() -> None:
    dot = torch.zeros(500, 1, 21, 21)
    dot[:, :, 10, 10] = 1
    moved = distort(dot, turn=0.2, shift=2 / 21, scale=0.1)
    rows, columns = moved.sum((1, 3)), moved.sum((1, 2))
    place = torch.arange(21.0) - 10
    for profile in (rows, columns):
        middle = (profile * place).sum(1) / profile.sum(1)
        assert 1.5 < middle.abs().max() < 2.7
        assert middle.abs().mean() > 0.5


@pytest.mark.parametrize(
    "augment",
    [pytest.param(shift_and_flip, id="shift and flip"), pytest.param(distort, id="distort")],
)
def test_the_seed_of_torch_decides(augment: Callable[[Tensor], Tensor]) -> None:
    images = torch.rand(5, 3, 8, 8)
    drawn = []
    for seed in (7, 7, 8):
        torch.manual_seed(seed)
        drawn.append(augment(images))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    assert drawn[0].shape == images.shape
    assert drawn[0].dtype == images.dtype
