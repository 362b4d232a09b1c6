from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.utils.data import DataLoader, Subset

from dyncompile.data import Images
from dyncompile.errors import InputError


def some_images(count: int = 7) -> Images:
    pixels = torch.randint(256, (count, 3, 4, 5), generator=torch.Generator().manual_seed(0))
    return Images(
        pixels.to(torch.uint8),
        torch.arange(count) % 3,
        ("a", "b", "c"),
        groups=torch.arange(count),
        mean=(0.1, 0.2, 0.3),
        std=(0.5, 1.0, 2.0),
    )


def test_elements_are_normalised_by_channel() -> None:
    images = some_images()
    sample, label = images[4]
    expected = (images.pixels[4, 2].float() / 255 - 0.3) / 2
    assert torch.allclose(sample[2], expected, atol=1e-6, rtol=0)
    assert label == 1


def test_one_mean_and_deviation_serve_all_channels() -> None:
    pixels = torch.full((2, 3, 4, 4), 255, dtype=torch.uint8)
    images = Images(pixels, torch.zeros(2, dtype=torch.int64), ("a",), mean=0.5, std=0.25)
    assert torch.equal(images.floats(), torch.full((2, 3, 4, 4), 2.0))


def test_a_plain_data_loader_puts_batches_together() -> None:
    images = some_images()
    batches = list(DataLoader(images, batch_size=4))
    assert [len(labels) for _, labels in batches] == [4, 3]
    assert torch.equal(torch.cat([batch for batch, _ in batches]), images.floats())
    assert torch.equal(torch.cat([labels for _, labels in batches]), images.labels)


def test_a_subset_of_torch_takes_them() -> None:
    images = some_images()
    ((batch, labels),) = DataLoader(Subset(images, [5, 1]), batch_size=2)
    assert torch.equal(batch, images.floats([5, 1]))
    assert labels.tolist() == [2, 1]


def test_picked_images_keep_all_that_belongs_to_them() -> None:
    images = some_images()
    picked = images.pick(torch.tensor([6, 2]))
    assert torch.equal(picked.floats(), images.floats([6, 2]))
    assert picked.labels.tolist() == [0, 2]
    assert picked.groups is not None
    assert picked.groups.tolist() == [6, 2]
    assert picked.difficulty is None
    assert (picked.classes, picked.std) == (images.classes, images.std)


def test_the_head_of_few_images_is_all_of_them() -> None:
    images = some_images()
    assert len(images.head(3)) == 3
    assert len(images.head(100)) == len(images)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        pytest.param("pixels", torch.zeros(7, 3, 4, 5), "pixels: torch.float32", id="floats"),
        pytest.param("labels", torch.zeros(7), "labels: torch.float32", id="float labels"),
        pytest.param(
            "labels", torch.zeros(6, dtype=torch.int64), "pixels: .* 6 labels", id="few labels"
        ),
        pytest.param("labels", torch.arange(7), "labels from 0 to 6 .* 3 classes", id="no class"),
        pytest.param("labels", torch.arange(7) - 5, "labels from -5 to 1", id="negative label"),
        pytest.param("groups", torch.arange(8), r"groups: .*\[8\] .* 7 labels", id="more groups"),
        pytest.param("groups", torch.zeros(7), r"groups: torch.float32\[7\]", id="float groups"),
        pytest.param("groups", torch.arange(14).reshape(7, 2), r"\[7, 2\]", id="pairs of groups"),
        pytest.param("difficulty", torch.zeros(1), "difficulty: ", id="one difficulty"),
        pytest.param("difficulty", torch.zeros(7).double(), "float64", id="double difficulty"),
        pytest.param("groups", torch.tensor(3), r"groups: torch.int64\[\]", id="one group"),
        pytest.param("pixels", [[0]], "pixels: list does not go", id="lists"),
        pytest.param("mean", (0.1, 0.2), "mean: .* 3 channels", id="two means"),
        pytest.param("mean", float("nan"), "mean: nan", id="no mean"),
        pytest.param("std", (0.2, 0.0, 0.2), "std: .* all above 0", id="no deviation"),
    ],
)
def test_what_does_not_go_together_is_refused(name: str, content: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(some_images(), **{name: content})  # type: ignore[arg-type]


def test_images_are_compared_by_identity() -> None:
    images = some_images()
    assert images == images  # noqa: PLR0124 - what is tested
    assert images != some_images()
