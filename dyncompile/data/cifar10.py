"""CIFAR-10 from a folder, in either of the two forms it is published in.

Krizhevsky, "Learning multiple layers of features from tiny images", 2009.
"""

from __future__ import annotations

__all__ = ["read_cifar10"]

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from dyncompile.data.array_pickles import read_array_pickle
from dyncompile.data.images import Images
from dyncompile.data.splits import Splits, cut_in_proportion
from dyncompile.errors import ArtifactError

MEAN = (0.4914, 0.4822, 0.4465)
STD = (0.2470, 0.2435, 0.2616)
CLASSES = 10
SHAPE = (3, 32, 32)
PIXELS = 3 * 32 * 32

Batch = tuple[NDArray[np.uint8], NDArray[np.int64]]


def read_cifar10(
    folder: str | Path, seed: int = 0, *, validation: int = 5000, images_per_file: int = 10_000
) -> Splits[Images]:
    """Read CIFAR-10; nothing is downloaded.

    Args:
        folder: Where ``data_batch_1.bin`` to ``test_batch.bin`` and ``batches.meta.txt`` lie, or
            the pickles ``data_batch_1`` to ``test_batch`` and ``batches.meta``, of which only
            arrays, numbers and names are loaded; or the folder around ``cifar-10-batches-bin``
            or ``cifar-10-batches-py``.
        seed: Of the cut between training and validation.
        validation: How many of the training images validate, each class in proportion.
        images_per_file: What each of the six files has to hold.

    Returns:
        Images ``uint8[N, 3, 32, 32]``, with the mean and the deviation of each channel.

    Raises:
        ArtifactError: a file is missing, damaged, or something else.
        InputError: the validation part cannot be cut out.
    """
    here, form = _find(Path(folder))
    classes = form.read_names(_existing(here / form.names))
    files = [_existing(here / name) for name in form.batches]
    batches = [_checked(path, form.read_batch(path, images_per_file)) for path in files]
    train = _images(batches[:5], classes)
    rest, chosen = cut_in_proportion(train.labels, validation, seed, name="validation")
    return Splits(train.pick(rest), train.pick(chosen), _images(batches[5:], classes))


def _names_from_text(path: Path) -> tuple[str, ...]:
    lines = _bytes(path).decode(errors="replace").splitlines()
    return _ten_names(path, [line.strip() for line in lines if line.strip()])


def _names_from_pickle(path: Path) -> tuple[str, ...]:
    names = _entry(read_array_pickle(path), "label_names")
    found = names if isinstance(names, list) else []
    return _ten_names(path, [_text(name) for name in found])


def _text(name: object) -> str:
    return name.decode(errors="replace") if isinstance(name, bytes) else str(name)


def _ten_names(path: Path, names: list[str]) -> tuple[str, ...]:
    if len(names) != CLASSES:
        raise ArtifactError(
            f"{len(names)} names of classes found, {CLASSES} expected.",
            where=str(path),
            remedy="Get the file of CIFAR-10 again.",
        )
    return tuple(names)


def _batch_from_records(path: Path, images: int) -> Batch:
    """Read records of one byte for the label, then the pixels."""
    size, expected = path.stat().st_size, images * (1 + PIXELS)
    if size != expected:
        raise ArtifactError(
            f"this file is {'cut short' if size < expected else 'too long'}: {size:,} bytes, "
            f"where {images:,} images take {expected:,}.",
            where=str(path),
            remedy="Get the file again.",
        )
    records = np.frombuffer(_bytes(path), dtype=np.uint8).reshape(images, 1 + PIXELS)
    return records[:, 1:], records[:, 0].astype(np.int64)


def _batch_from_pickle(path: Path, images: int) -> Batch:
    batch = read_array_pickle(path)
    pixels, labels = _entry(batch, "data"), _entry(batch, "labels")
    if (
        not isinstance(pixels, np.ndarray)
        or pixels.dtype != np.uint8
        or pixels.shape[1:] != (PIXELS,)
        or not isinstance(labels, list)
        or not all(type(label) is int and abs(label) < 2**31 for label in labels)
    ):
        raise ArtifactError(
            f"this is no batch of CIFAR-10: 'data' as uint8[N, {PIXELS}] and a list 'labels' of "
            "whole numbers are expected.",
            where=str(path),
            remedy="Name the folder of CIFAR-10, not of CIFAR-100 or another set.",
        )
    if not len(pixels) == len(labels) == images:
        raise ArtifactError(
            f"{len(pixels):,} images and {len(labels):,} labels found, {images:,} expected.",
            where=str(path),
            remedy="Get the file again.",
        )
    return pixels, np.array(labels, dtype=np.int64)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ArtifactError(
            f"cannot be read: {error.strerror or error}.",
            where=str(path),
            remedy="Make the file readable.",
        ) from error


def _entry(found: object, name: str) -> object:
    """Return an entry of a dict of Python 2, whose keys are bytes, or of Python 3."""
    if not isinstance(found, dict):
        return None
    return found.get(name.encode(), found.get(name))


@dataclass(frozen=True)
class _Form:
    folder: str
    names: str
    ending: str
    read_names: Callable[[Path], tuple[str, ...]]
    read_batch: Callable[[Path, int], Batch]

    @property
    def batches(self) -> list[str]:
        stems = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]
        return [stem + self.ending for stem in stems]


FORMS = (
    _Form(
        "cifar-10-batches-bin", "batches.meta.txt", ".bin", _names_from_text, _batch_from_records
    ),
    _Form("cifar-10-batches-py", "batches.meta", "", _names_from_pickle, _batch_from_pickle),
)


def _find(folder: Path) -> tuple[Path, _Form]:
    if not folder.is_dir():
        raise ArtifactError(
            "there is no such folder.",
            where=str(folder),
            remedy="Name the folder that CIFAR-10 was unpacked in.",
        )
    for form in FORMS:
        for here in (folder, folder / form.folder):
            if any((here / name).is_file() for name in (form.names, *form.batches)):
                return here, form
    raise ArtifactError(
        "no file of CIFAR-10 lies here.",
        where=str(folder),
        remedy="Unpack cifar-10-binary.tar.gz or cifar-10-python.tar.gz in this folder.",
    )


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise ArtifactError(
            "this file of CIFAR-10 is missing.",
            where=str(path),
            remedy="Unpack the archive again, whole.",
        )
    return path


def _checked(path: Path, batch: Batch) -> Batch:
    wrong = np.flatnonzero((batch[1] < 0) | (batch[1] >= CLASSES))
    if len(wrong):
        raise ArtifactError(
            f"image {wrong[0]:,} has label {batch[1][wrong[0]]}, which is not in 0..{CLASSES - 1}.",
            where=str(path),
            remedy="Get the file again; of CIFAR-10, not CIFAR-100.",
        )
    return batch


def _images(batches: list[Batch], classes: tuple[str, ...]) -> Images:
    pixels, labels = (np.concatenate(part) for part in zip(*batches, strict=True))
    return Images(
        torch.from_numpy(pixels.reshape(-1, *SHAPE)),
        torch.from_numpy(labels),
        classes,
        mean=MEAN,
        std=STD,
    )
