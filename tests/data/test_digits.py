from __future__ import annotations

import pytest
import torch
from sklearn.datasets import load_digits

from dyncompile.data import load_digits_images
from dyncompile.errors import InputError


def test_parts_are_disjoint_and_have_every_digit() -> None:
    splits = load_digits_images(1, validation=400)
    parts = (splits.train, splits.validation, splits.test)
    assert [len(part) for part in parts] == [897, 400, 500]
    assert all(set(part.labels.tolist()) == set(range(10)) for part in parts)
    seen = {image.numpy().tobytes() for part in parts for image in part.pixels}
    assert len(seen) == 1797


def test_pixels_are_those_of_scikit_learn_in_0_to_1() -> None:
    images = load_digits_images(scaling=(0, 1)).test.floats()
    known = torch.tensor(load_digits().images / 16, dtype=torch.float32)
    nearest = torch.cdist(images.flatten(1), known.flatten(1)).amin(1)
    assert nearest.max() < 8 * 0.5 / 255 + 1e-6


def test_enlarged_digits_have_equal_channels() -> None:
    images = load_digits_images(side=20, channels=3).validation
    assert images.pixels.shape == (300, 3, 20, 20)
    assert torch.equal(images.pixels[:, 0], images.pixels[:, 2])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        pytest.param({"side": 7}, "side: digits with side 7 cannot be made", id="too small"),
        pytest.param({"channels": 0}, "channels: digits with channels 0", id="no channels"),
        pytest.param({"test": 1797}, "test: 1,797 images cannot", id="nothing to train on"),
        pytest.param({"validation": 1297}, "validation: 1,297 images", id="all the rest"),
    ],
)
def test_numbers_out_of_range_are_refused(settings: dict[str, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_digits_images(**settings)  # type: ignore[arg-type]
