"""Images in folders of classes, as ImageNet has them, decoded when they are asked for."""

from __future__ import annotations

__all__ = ["ImageFolder", "read_image_folder"]

from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import Dataset

from dyncompile.data.decoding import decode, middle_box, random_box
from dyncompile.data.splits import Splits, cut_in_proportion
from dyncompile.errors import ArtifactError, InputError

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
ENDINGS = {".jpeg", ".jpg", ".png", ".bmp", ".webp", ".ppm", ".gif", ".tif", ".tiff"}


@dataclass(frozen=True, eq=False)
class ImageFolder(Dataset[tuple[Tensor, Tensor]]):
    """Image files and their labels, decoded lazily; ``DataLoader`` may use workers.

    An element is ``(float32[3, size, size], int64[])``: the middle of the image, which is
    ``size`` wide where the shorter side is resized to ``size * 8 / 7``, less ``mean``, over
    ``std``. Where ``vary`` is set, a random part of the image instead, mirrored half of the time.

    Attributes:
        files: Paths of the images.
        labels: ``int64[N]``.
        classes: Names of the classes, in order of their number.
        size: Height and width of an element.
        vary: Whether an element is drawn anew each time, for training.
        mean: Taken off each channel, where 255 counts as 1.
        std: Each channel is divided by it then.
    """

    files: tuple[str, ...] = field(repr=False)
    labels: Tensor
    classes: tuple[str, ...] = field(repr=False)
    size: int = 224
    vary: bool = False
    mean: tuple[float, float, float] = MEAN
    std: tuple[float, float, float] = STD

    @classmethod
    def found_in(cls, folder: str | Path, *, size: int = 224, vary: bool = False) -> ImageFolder:
        """List ``folder/<class>/<image>``; the classes are numbered in the order of their names.

        Raises:
            ArtifactError: the folder is missing or holds no classes, or one has no images.
            InputError: the size is not positive.
        """
        if size < 1:
            raise InputError(
                f"images of {size} pixels cannot be made.",
                where="size",
                remedy="Give at least 1; 224 is usual.",
            )
        folders = _class_folders(Path(folder))
        found = [_image_files(each) for each in folders]
        labels = torch.arange(len(folders)).repeat_interleave(
            torch.tensor([len(files) for files in found])
        )
        return cls(
            tuple(file for files in found for file in files),
            labels,
            tuple(each.name for each in folders),
            size=size,
            vary=vary,
        )

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        box_of = random_box if self.vary else middle_box
        pixels = torch.from_numpy(decode(self.files[index], self.size, box_of)).permute(2, 0, 1)
        if self.vary and torch.rand(()) < 0.5:
            pixels = pixels.flip(2)
        mean, std = (torch.tensor(each).reshape(-1, 1, 1) for each in (self.mean, self.std))
        return ((pixels.float() / 255 - mean) / std).contiguous(), self.labels[index]

    def pick(self, indices: Tensor) -> ImageFolder:
        """Return the images of these numbers, ``int64[n]``."""
        files = tuple(self.files[index] for index in indices.tolist())
        return replace(self, files=files, labels=self.labels[indices])

    def head(self, count: int) -> ImageFolder:
        """Return the first ``count`` images."""
        return self.pick(torch.arange(min(count, len(self))))


def read_image_folder(
    folder: str | Path, seed: int = 0, *, validation: int, test: int | None = None, size: int = 224
) -> Splits[ImageFolder]:
    """Split a folder ``train/<class>/<image>`` and ``val/<class>/<image>``, or one of classes.

    Args:
        folder: With ``train`` and ``val`` in it, images of ``val`` are for testing; otherwise
            images of all parts come from the same folders of classes.
        seed: Of the split.
        validation: How many images validate; they are cut out of those to train on, each class
            in proportion.
        test: How many images test, each class in proportion. None takes all of ``val``.
        size: Height and width of an element.

    Returns:
        The parts; training images vary.

    Raises:
        ArtifactError: a folder is missing, holds no classes, or one has no images; or ``train``
            and ``val`` do not have the same classes.
        InputError: there are not that many images.
    """
    root = Path(folder)
    if (root / "train").is_dir() and (root / "val").is_dir():
        every, held_out = (
            ImageFolder.found_in(root / part, size=size) for part in ("train", "val")
        )
        _check_same_classes(root, every, held_out)
        if test is not None:
            held_out = held_out.pick(cut_in_proportion(held_out.labels, test, seed, name="test")[1])
    else:
        found = ImageFolder.found_in(root, size=size)
        if test is None:
            raise InputError(
                f"how many images test has to be said where {str(root)!r} has no folders 'train' "
                "and 'val'.",
                where="test",
                remedy=f"Give a number; there are {len(found):,} images.",
            )
        rest, drawn = cut_in_proportion(found.labels, test, seed, name="test")
        every, held_out = found.pick(rest), found.pick(drawn)
    rest, chosen = cut_in_proportion(every.labels, validation, seed, name="validation")
    return Splits(replace(every.pick(rest), vary=True), every.pick(chosen), held_out)


def _class_folders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise ArtifactError(
            "there is no such folder.",
            where=str(folder),
            remedy="Name a folder that has one folder of images for each class.",
        )
    found = [each for each in _listed(folder) if each.is_dir()]
    if not found:
        raise ArtifactError(
            "this folder has no folders of classes.",
            where=str(folder),
            remedy="Put the images of each class in a folder of its own, named after the class.",
        )
    return found


def _image_files(folder: Path) -> list[str]:
    files = [str(each) for each in _listed(folder) if each.suffix.lower() in ENDINGS]
    if not files:
        raise ArtifactError(
            "this class has no images.",
            where=str(folder),
            remedy="Put some there, remove the folder, or name the folder that the folders of "
            "classes lie in.",
        )
    return files


def _listed(folder: Path) -> list[Path]:
    """Return what lies in a folder, in order, but for hidden files."""
    try:
        return sorted(each for each in folder.iterdir() if not each.name.startswith("."))
    except OSError as error:
        raise ArtifactError(
            f"cannot be read: {error.strerror or error}.",
            where=str(folder),
            remedy="Make the folder readable.",
        ) from error


def _check_same_classes(root: Path, train: ImageFolder, val: ImageFolder) -> None:
    only = sorted(set(train.classes) ^ set(val.classes))
    if only:
        raise ArtifactError(
            f"the class {only[0]!r} is only in {'train' if only[0] in train.classes else 'val'!r}.",
            where=str(root),
            remedy="Have the same folders of classes in 'train' and 'val'.",
        )
