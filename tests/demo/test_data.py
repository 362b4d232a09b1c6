from __future__ import annotations

import torch

from dyncompile.demo.data import Digits, distort


def test_splits_are_disjoint_and_have_every_digit(digits: Digits) -> None:
    splits = (digits.train, digits.validation, digits.test)
    assert [len(split) for split in splits] == [897, 400, 500]
    assert all(set(split.labels.tolist()) == set(range(10)) for split in splits)
    assert all(split.images.min() >= 0 and split.images.max() <= 1 for split in splits)
    seen = [image.numpy().tobytes() for split in splits for image in split.images]
    assert len(set(seen)) == len(seen) == 1797


def test_distorted_images_differ_a_little(digits: Digits) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        distorted = distort(digits.test.images)
    assert distorted.shape == digits.test.images.shape
    assert 0.01 < (distorted - digits.test.images).abs().mean() < 0.3
