from __future__ import annotations

import os
import pickle
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from dyncompile.data import Images, Splits, read_cifar10
from dyncompile.errors import ArtifactError, DyncompileError, InputError
from tests.data.cifar10_files import (
    IMAGES,
    NAMES,
    drawn_batches,
    pickled_by_python2,
    write_binary,
    write_python,
)

FORMS = [
    pytest.param(write_binary, "cifar-10-batches-bin", id="binary"),
    pytest.param(write_python, "cifar-10-batches-py", id="python"),
]
Write = Callable[[Path], None]


def read(folder: Path, *, validation: int = 20) -> Splits[Images]:
    return read_cifar10(folder, validation=validation, images_per_file=IMAGES)


@pytest.mark.parametrize(("write", "name"), FORMS)
def test_all_images_are_read(tmp_path: Path, write: Write, name: str) -> None:
    write(tmp_path / name)
    splits = read(tmp_path)
    parts = (splits.train, splits.validation, splits.test)
    assert [len(part) for part in parts] == [80, 20, 20]
    assert all(part.classes == NAMES for part in parts)
    pixels, labels = drawn_batches()["test_batch"]
    assert np.array_equal(splits.test.pixels.numpy(), pixels.reshape(-1, 3, 32, 32))
    assert splits.test.labels.tolist() == labels
    known = {
        image.tobytes(): label
        for name, batch in drawn_batches().items()
        if name != "test_batch"
        for image, label in zip(*batch, strict=True)
    }
    found = {
        image.numpy().tobytes(): label
        for part in parts[:2]
        for image, label in zip(part.pixels, part.labels.tolist(), strict=True)
    }
    assert found == known
    assert splits.validation.labels.bincount().tolist() == [2] * 10


@pytest.mark.parametrize("protocol", [2, 4, 5], ids=["protocol 2", "protocol 4", "protocol 5"])
def test_pickles_written_again_by_python_3_are_read(tmp_path: Path, protocol: int) -> None:
    write_python(tmp_path)
    pixels, labels = drawn_batches()["test_batch"]
    again = pickle.dumps({b"data": pixels, "labels": labels}, protocol=protocol)
    (tmp_path / "test_batch").write_bytes(again)
    assert np.array_equal(read(tmp_path).test.pixels.numpy().reshape(IMAGES, -1), pixels)


@pytest.mark.parametrize(("write", "name"), FORMS)
def test_the_folder_itself_may_be_named(tmp_path: Path, write: Write, name: str) -> None:
    write(tmp_path / name)
    inside, around = read(tmp_path / name), read(tmp_path)
    assert torch.equal(inside.train.pixels, around.train.pixels)


def test_channels_have_their_own_mean(tmp_path: Path) -> None:
    write_binary(tmp_path)
    sample, _ = read(tmp_path).test[0]
    red = torch.from_numpy(drawn_batches()["test_batch"][0][0, :1024]).reshape(32, 32)
    assert torch.allclose(sample[0], (red / 255 - 0.4914) / 0.2470, atol=1e-5, rtol=0)


def test_sizes_are_those_published_unless_said_otherwise(tmp_path: Path) -> None:
    write_binary(tmp_path)
    with pytest.raises(ArtifactError, match=r"cut short: 61,460 bytes, where 10,000 .* 30,730,000"):
        read_cifar10(tmp_path)


def test_a_pickle_that_runs_something_is_refused(tmp_path: Path) -> None:
    class Planted:
        def __reduce__(self) -> tuple[object, ...]:
            return os.mkdir, (str(tmp_path / "run"),)

    write_python(tmp_path)
    pixels, labels = drawn_batches()["data_batch_3"]
    planted = {b"data": pixels, b"labels": labels, b"more": Planted()}
    (tmp_path / "data_batch_3").write_bytes(pickled_by_python2(planted))
    with pytest.raises(ArtifactError) as refused:
        read(tmp_path)
    assert not (tmp_path / "run").exists()
    called = f"{os.mkdir.__module__}.mkdir"
    expected = f"{tmp_path / 'data_batch_3'}: this pickle would run {called!r}; nothing was run."
    assert str(refused.value).startswith(expected)
    assert "\n" not in str(refused.value)


def removed(path: Path) -> None:
    path.unlink()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def lengthened(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0" * 100)


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def given_another_label(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[3 * 3073] = 57
    path.write_bytes(content)


def pickled(content: object) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_bytes(pickled_by_python2(content))

    return write


PIXELS = np.zeros((IMAGES, 3072), np.uint8)
BAD_FILES = [
    (write_binary, "data_batch_4.bin", removed, "this file of CIFAR-10 is missing"),
    (write_binary, "batches.meta.txt", removed, "this file of CIFAR-10 is missing"),
    (write_binary, "data_batch_2.bin", cut, "cut short: 61,360 bytes, where 20 .* take 61,460"),
    (write_binary, "test_batch.bin", lengthened, "too long: 61,560 bytes"),
    (write_binary, "data_batch_5.bin", given_another_label, "image 3 has label 57"),
    (write_binary, "batches.meta.txt", emptied, "0 names of classes found, 10 expected"),
    (write_python, "test_batch", removed, "this file of CIFAR-10 is missing"),
    (write_python, "data_batch_1", cut, "no pickle of arrays, or it is damaged"),
    (write_python, "data_batch_1", emptied, "no pickle of arrays, or it is damaged"),
    (write_python, "data_batch_1", lengthened, "more bytes follow the end"),
    (write_python, "batches.meta", pickled({b"label_names": [b"cat"]}), "1 names of classes"),
    (write_python, "batches.meta", pickled([b"cat"]), "0 names of classes"),
    (write_python, "data_batch_2", pickled([1, 2]), "this is no batch of CIFAR-10"),
    (
        write_python,
        "data_batch_2",
        pickled({b"data": PIXELS, b"fine_labels": [0] * IMAGES}),
        "this is no batch of CIFAR-10.*not of CIFAR-100",
    ),
    (
        write_python,
        "data_batch_2",
        pickled({b"data": PIXELS, b"labels": [b"cat"] * IMAGES}),
        "this is no batch of CIFAR-10",
    ),
    (
        write_python,
        "data_batch_2",
        pickled({b"data": PIXELS[:7], b"labels": [0] * 7}),
        "7 images and 7 labels found, 20 expected",
    ),
    (
        write_python,
        "data_batch_2",
        pickled({b"data": PIXELS, b"labels": [0] * 19 + [-1]}),
        "image 19 has label -1",
    ),
]


@pytest.mark.parametrize(
    ("write", "name", "spoil", "message"),
    BAD_FILES,
    ids=[f"{name}-{number}" for number, (_, name, _, _) in enumerate(BAD_FILES)],
)
def test_bad_files_are_named(
    tmp_path: Path, write: Write, name: str, spoil: Write, message: str
) -> None:
    write(tmp_path)
    spoil(tmp_path / name)
    with pytest.raises(ArtifactError) as refused:
        read(tmp_path)
    said = str(refused.value)
    assert said.startswith(f"{tmp_path / name}: ")
    assert re.search(message, said)
    assert "\n" not in said


@pytest.mark.parametrize(
    ("folder", "kind", "message"),
    [
        pytest.param("none", ArtifactError, "there is no such folder", id="missing folder"),
        pytest.param("empty", ArtifactError, "no file of CIFAR-10 lies here", id="other folder"),
        pytest.param("data", InputError, "validation: 100 images cannot", id="all images"),
    ],
)
def test_what_is_not_there_is_refused(
    tmp_path: Path, folder: str, kind: type[DyncompileError], message: str
) -> None:
    (tmp_path / "empty").mkdir()
    write_binary(tmp_path / "data")
    with pytest.raises(kind, match=message):
        read(tmp_path / folder, validation=100)
