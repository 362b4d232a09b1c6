from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from dyncompile.data import ImageFolder, read_image_folder
from dyncompile.data.decoding import UnreadableImageError, decode, middle_box, random_box
from dyncompile.errors import ArtifactError, DyncompileError, InputError

COLOURS = {"cat": (250, 10, 10), "dog": (10, 250, 10), "fish": (10, 10, 250)}
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def write_classes(folder: Path, each: int, ending: str = "JPEG") -> None:
    for name, colour in COLOURS.items():
        (folder / name).mkdir(parents=True)
        for number in range(each):
            size = (40 + 3 * number, 30)
            Image.new("RGB", size, colour).save(folder / name / f"{name}_{number}.{ending}")


def seen_colour(sample: torch.Tensor) -> int:
    """Return the channel that is strongest all over the image."""
    pixels = sample * torch.tensor(STD).reshape(3, 1, 1) + torch.tensor(MEAN).reshape(3, 1, 1)
    (channel,) = pixels.argmax(0).unique().tolist()  # type: ignore[no-untyped-call]
    return int(channel)


@pytest.mark.parametrize("vary", [False, True], ids=["still", "varied"])
@pytest.mark.parametrize("ending", ["JPEG", "png"])
def test_images_come_with_the_label_of_their_folder(
    tmp_path: Path, ending: str, vary: bool
) -> None:
    write_classes(tmp_path, 2, ending)
    (tmp_path / "dog" / "notes.txt").write_text("no image")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "dog" / f"._dog_0.{ending}").write_text("what a file manager left")
    data = ImageFolder.found_in(tmp_path, size=24, vary=vary)
    assert data.classes == ("cat", "dog", "fish")
    assert data.labels.tolist() == [0, 0, 1, 1, 2, 2]
    for sample, label in (data[index] for index in range(len(data))):
        assert (sample.shape, sample.dtype) == ((3, 24, 24), torch.float32)
        assert seen_colour(sample) == label


def test_elements_are_normalised(tmp_path: Path) -> None:
    write_classes(tmp_path, 1, "png")
    sample, _ = ImageFolder.found_in(tmp_path, size=8)[0]
    expected = torch.tensor(
        [(c / 255 - m) / s for c, m, s in zip((250, 10, 10), MEAN, STD, strict=True)]
    )
    assert torch.allclose(sample, expected.reshape(3, 1, 1).expand(3, 8, 8), atol=1e-5, rtol=0)


def test_the_middle_is_what_resizing_and_cutting_gives(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    smooth = random.integers(256, size=(5, 6, 3), dtype=np.uint8)
    image = Image.fromarray(smooth).resize((126, 96), Image.Resampling.BICUBIC)
    image.save(tmp_path / "a.png")
    shorter = image.resize((84, 64), Image.Resampling.BILINEAR)
    cut = np.asarray(shorter.crop((14, 4, 70, 60)), dtype=np.int64)
    taken = decode(str(tmp_path / "a.png"), 56, middle_box).astype(np.int64)
    assert np.abs(taken - cut).max() <= 1


@pytest.mark.parametrize(
    ("width", "height"),
    [
        pytest.param(50, 40, id="usual"),
        pytest.param(1, 1, id="one pixel"),
        pytest.param(500, 3, id="wide"),
        pytest.param(3, 500, id="high"),
    ],
)
def test_random_parts_lie_inside_the_image(width: int, height: int) -> None:
    for _ in range(300):
        left, top, right, bottom = random_box(width, height)
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height
        assert 3 / 4 - 1e-6 <= (right - left) / (bottom - top) <= 4 / 3 + 1e-6


def test_random_parts_are_of_8_to_100_percent_of_the_area() -> None:
    boxes = [random_box(80, 80) for _ in range(500)]
    shares = [(right - left) * (bottom - top) / 6400 for left, top, right, bottom in boxes]
    assert 0.08 <= min(shares) < 0.12
    assert 0.85 < max(shares) <= 1


def test_varied_elements_differ_each_time_and_are_mirrored_half_of_the_time(
    tmp_path: Path,
) -> None:
    (tmp_path / "a").mkdir()
    slope = np.repeat(np.arange(0, 240, 4, dtype=np.uint8)[None, :, None], 60, axis=0)
    Image.fromarray(np.repeat(slope, 3, axis=2)).save(tmp_path / "a" / "slope.png")
    data = ImageFolder.found_in(tmp_path, size=16, vary=True)
    drawn = [data[0][0] for _ in range(100)]
    assert len({each.numpy().tobytes() for each in drawn}) > 90
    rising = sum(bool(each[0, 8, -1] > each[0, 8, 0]) for each in drawn)
    assert 30 < rising < 70


def in_workers(data: ImageFolder) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    with warnings.catch_warnings():
        # torch warns where cores are fewer, and Python 3.12 where a process has threads.
        warnings.simplefilter("ignore")
        yield from DataLoader(data, batch_size=4, num_workers=2)


def test_workers_of_a_data_loader_give_the_same(tmp_path: Path) -> None:
    write_classes(tmp_path, 3)
    data = ImageFolder.found_in(tmp_path, size=16)
    batches = list(in_workers(data))
    assert torch.equal(
        torch.cat([batch for batch, _ in batches]), torch.stack([data[i][0] for i in range(9)])
    )
    assert torch.equal(torch.cat([labels for _, labels in batches]), data.labels)


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:300])


def no_image(path: Path) -> None:
    path.write_text("cat")


@pytest.mark.parametrize("spoil", [truncated, no_image, Path.unlink])
def test_an_image_that_cannot_be_read_is_named(
    tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    write_classes(tmp_path, 2)
    data = ImageFolder.found_in(tmp_path, size=16)
    spoil(tmp_path / "cat" / "cat_1.JPEG")
    with pytest.raises(UnreadableImageError) as refused:
        data[1]
    said = str(refused.value)
    assert said.startswith(f"{tmp_path / 'cat' / 'cat_1.JPEG'}: this image cannot be read (")
    assert said.endswith("). Replace the file, or remove it.")
    assert "\n" not in said
    assert refused.value.where == str(tmp_path / "cat" / "cat_1.JPEG")


def test_an_unreadable_image_is_named_in_one_line_by_workers_too(tmp_path: Path) -> None:
    write_classes(tmp_path, 2)
    data = ImageFolder.found_in(tmp_path, size=16)
    no_image(tmp_path / "dog" / "dog_0.JPEG")
    with pytest.raises(UnreadableImageError) as alone:
        data[2]
    with pytest.raises(UnreadableImageError) as in_worker:
        list(in_workers(data))
    assert str(in_worker.value) == str(alone.value)


def test_grey_in_16_bits_is_grey(tmp_path: Path) -> None:
    values = np.linspace(0, 65535, 256, dtype=np.uint16).repeat(256).reshape(256, 256)
    Image.fromarray(values).save(tmp_path / "grey.png")
    Image.fromarray((values >> 8).astype(np.uint8)).save(tmp_path / "plain.png")
    grey, plain = (
        decode(str(tmp_path / f"{name}.png"), 16, middle_box) for name in ("grey", "plain")
    )
    assert np.array_equal(grey, plain)


def test_pixels_without_a_known_white_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "depth.tiff"
    Image.fromarray(np.ones((8, 8), np.float32)).save(file)
    with pytest.raises(UnreadableImageError, match="its pixels have 32 bits"):
        decode(str(file), 4, middle_box)


def test_a_large_folder_is_shown_in_short(tmp_path: Path) -> None:
    write_classes(tmp_path, 1)
    assert "cat" not in repr(ImageFolder.found_in(tmp_path))


def test_a_folder_that_cannot_be_listed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Path) -> Iterator[Path]:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(ArtifactError, match="cannot be read: Permission denied"):
        ImageFolder.found_in(tmp_path)


def test_val_tests_and_training_images_are_divided(tmp_path: Path) -> None:
    write_classes(tmp_path / "train", 6)
    write_classes(tmp_path / "val", 2)
    splits = read_image_folder(tmp_path, validation=6, size=16)
    parts = (splits.train, splits.validation, splits.test)
    assert [part.labels.bincount().tolist() for part in parts] == [[4] * 3, [2] * 3, [2] * 3]
    assert [part.vary for part in parts] == [True, False, False]
    assert all("/val/" in Path(file).as_posix() for file in splits.test.files)
    assert len({*splits.train.files, *splits.validation.files}) == 18
    assert len(read_image_folder(tmp_path, validation=6, test=3).test) == 3


def test_one_folder_of_classes_is_divided_in_three(tmp_path: Path) -> None:
    write_classes(tmp_path, 6)
    splits = read_image_folder(tmp_path, validation=3, test=6, size=16)
    parts = (splits.train, splits.validation, splits.test)
    assert [part.labels.bincount().tolist() for part in parts] == [[3] * 3, [1] * 3, [2] * 3]
    assert len({file for part in parts for file in part.files}) == 18
    assert all(
        Path(file).parent.name == part.classes[label]
        for part in parts
        for file, label in zip(part.files, part.labels.tolist(), strict=True)
    )


def test_picked_images_keep_their_labels(tmp_path: Path) -> None:
    write_classes(tmp_path, 2)
    data = ImageFolder.found_in(tmp_path, size=16)
    assert torch.equal(data.pick(torch.tensor([5, 0]))[0][0], data[5][0])
    assert data.pick(torch.tensor([5, 0])).labels.tolist() == [2, 0]
    assert len(data.head(4)) == 4


def one_class_emptied(folder: Path) -> None:
    write_classes(folder, 2)
    for file in (folder / "dog").iterdir():
        file.unlink()


def without_folders(folder: Path) -> None:
    folder.mkdir()
    (folder / "a.png").write_bytes(b"")


def only_train(folder: Path) -> None:
    write_classes(folder / "train", 2)


def other_classes_in_val(folder: Path) -> None:
    write_classes(folder / "train", 4)
    write_classes(folder / "val", 2)
    (folder / "val" / "dog").rename(folder / "val" / "wolf")


def as_it_should_be(folder: Path) -> None:
    write_classes(folder, 2)


def nothing(_: Path) -> None:
    pass


@pytest.mark.parametrize(
    ("write", "settings", "kind", "message"),
    [
        (nothing, {}, ArtifactError, "data: there is no such folder. Name a folder"),
        (without_folders, {}, ArtifactError, "data: this folder has no folders of classes"),
        (one_class_emptied, {}, ArtifactError, "data/dog: this class has no images"),
        (only_train, {}, ArtifactError, "data/train: this class has no images.*name the folder"),
        (other_classes_in_val, {}, ArtifactError, "data: the class 'dog' is only in 'train'"),
        (as_it_should_be, {}, InputError, "test: how many images test has to be said .* 6 images"),
        (as_it_should_be, {"test": 6}, InputError, "test: 6 images cannot be cut out of 6"),
        (as_it_should_be, {"test": 0, "validation": 5}, InputError, "validation: 5 images cannot"),
        (as_it_should_be, {"size": 0}, InputError, "size: images of 0 pixels"),
    ],
    ids=[
        "missing folder",
        "no classes",
        "class without images",
        "train alone",
        "different classes",
        "no test size",
        "nothing left",
        "no such validation size",
        "no size",
    ],
)
def test_folders_that_do_not_fit_are_refused(
    tmp_path: Path,
    write: Callable[[Path], None],
    settings: dict[str, int],
    kind: type[DyncompileError],
    message: str,
) -> None:
    write(tmp_path / "data")
    with pytest.raises(kind) as refused:
        read_image_folder(tmp_path / "data", **{"validation": 3, **settings})
    said = str(refused.value).replace("\\", "/")
    assert re.search(message, said), said
    assert "\n" not in said
