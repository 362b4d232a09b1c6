from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from dyncompile.data import Images, Splits, make_hard_digits
from dyncompile.errors import InputError


@pytest.fixture(scope="module")
def splits() -> Splits[Images]:
    return make_hard_digits(5, train=2000, validation=700, test=1000)


@pytest.fixture
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def groups_of(images: Images) -> Tensor:
    assert images.groups is not None
    return images.groups


def difficulty_of(images: Images) -> Tensor:
    assert images.difficulty is not None
    return images.difficulty


def test_images_are_coloured_and_of_the_sizes_asked_for(splits: Splits[Images]) -> None:
    for part, count in ((splits.train, 2000), (splits.validation, 700), (splits.test, 1000)):
        assert part.pixels.shape == (count, 3, 32, 32)
        assert part.pixels.dtype == torch.uint8
        assert len(part.labels) == len(groups_of(part)) == len(difficulty_of(part)) == count
        assert not torch.equal(part.pixels[:, 0], part.pixels[:, 1])


def test_no_written_digit_is_in_two_parts(splits: Splits[Images]) -> None:
    groups = [set(groups_of(p).tolist()) for p in (splits.train, splits.validation, splits.test)]
    assert [len(part) for part in groups] == [797, 500, 500]
    assert len(set.union(*groups)) == 1797


def test_written_digits_are_used_equally_often(splits: Splits[Images]) -> None:
    for part in (splits.train, splits.validation, splits.test):
        uses = groups_of(part).unique(return_counts=True)[1]  # type: ignore[no-untyped-call]
        assert uses.max() - uses.min() <= 1


def test_images_of_a_group_have_one_label(splits: Splits[Images]) -> None:
    pairs = set(zip(groups_of(splits.test).tolist(), splits.test.labels.tolist(), strict=True))
    assert len(pairs) == 500


def test_every_image_differs(splits: Splits[Images]) -> None:
    assert len({image.numpy().tobytes() for image in splits.train.pixels}) == 2000


@pytest.mark.usefixtures("threads")
def test_a_seed_gives_the_same_images_on_any_number_of_threads(splits: Splits[Images]) -> None:
    for count in (1, 3):
        torch.set_num_threads(count)
        again = make_hard_digits(5, train=1100, validation=0, test=0).train
        assert torch.equal(again.pixels, splits.train.pixels[:1100])
        assert torch.equal(groups_of(again), groups_of(splits.train)[:1100])
        assert torch.equal(difficulty_of(again), difficulty_of(splits.train)[:1100])


def test_another_seed_gives_other_images(splits: Splits[Images]) -> None:
    other = make_hard_digits(6, train=0, validation=0, test=20).test
    assert not torch.equal(other.pixels, splits.test.pixels[:20])


def test_easy_and_hard_images_exist_in_known_shares(splits: Splits[Images]) -> None:
    difficulty = difficulty_of(splits.train)
    assert 0 <= difficulty.min() < 0.02
    assert 0.98 < difficulty.max() <= 1
    for limit in (0.1, 0.3, 0.6, 0.9):
        share = (difficulty < limit).float().mean().item()
        assert share == pytest.approx(1 - (1 - limit) ** 1.2, abs=0.04)


def test_harder_images_are_noisier_and_their_digits_fainter(splits: Splits[Images]) -> None:
    images, difficulty = splits.train.pixels.float(), difficulty_of(splits.train)
    steps = (images[..., 1:] - images[..., :-1]).abs().mean((1, 2, 3))
    assert torch.corrcoef(torch.stack((steps, difficulty)))[0, 1] > 0.9
    # The middle of an easy image holds the digit: it stands out from the corners.
    contrast = (images[..., 10:22, 10:22].mean((2, 3)) - images[..., :3, :3].mean((2, 3))).abs()
    easy, hard = (contrast[chosen].mean() for chosen in (difficulty < 0.2, difficulty > 0.8))
    assert easy > 1.3 * hard


def test_easy_images_are_read_by_comparing_them_with_the_writing(splits: Splits[Images]) -> None:
    def outlines(images: Images) -> Tensor:
        grey = images.pixels.float().mean(1)
        grey = (grey - grey[:, :3, :3].mean((1, 2), keepdim=True)).abs().flatten(1)
        return torch.nn.functional.normalize(grey - grey.mean(1, keepdim=True), dim=1)

    easy = splits.test.pick((difficulty_of(splits.test) < 0.1).nonzero()[:, 0])
    hard = splits.test.pick((difficulty_of(splits.test) > 0.7).nonzero()[:, 0])
    known = splits.train.pick((difficulty_of(splits.train) < 0.3).nonzero()[:, 0])
    right = []
    for images in (easy, hard):
        nearest = (outlines(images) @ outlines(known).T).argmax(1)
        right.append((known.labels[nearest] == images.labels).float().mean().item())
    assert right[0] > 0.85
    assert right[1] < 0.45


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        pytest.param({"test": -1}, "test: -1 images cannot be made", id="negative count"),
        pytest.param({"seed": -2}, "seed: -2 is no seed", id="negative seed"),
    ],
)
def test_numbers_out_of_range_are_refused(settings: dict[str, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_hard_digits(**settings)
