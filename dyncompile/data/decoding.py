"""One image file: the part of it that is asked for, at the size that is asked for."""

from __future__ import annotations

__all__ = ["UnreadableImageError", "decode", "middle_box", "random_box"]

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from dyncompile.errors import ArtifactError, one_line
from dyncompile.worker_errors import WorkerError

if TYPE_CHECKING:
    from PIL.Image import Image as OpenImage

Box = tuple[float, float, float, float]


class UnreadableImageError(WorkerError, ArtifactError):
    """An image file cannot be read; made from ``path: problem``."""

    REMEDY = "Replace the file, or remove it."


def decode(path: str, size: int, box_of: Callable[[int, int], Box]) -> NDArray[np.uint8]:
    """Return a part of an image, resized: ``uint8[size, size, 3]``.

    Args:
        path: Any format that Pillow reads; colours become RGB, and of grey in 16 bits the
            upper 8 count.
        size: Height and width of what is returned.
        box_of: From width and height to the part taken: its left, upper, right and lower edge.

    Raises:
        UnreadableImageError: the file is missing, or no image; or its pixels have 32 bits, so that
            nothing says which number is white.
    """
    from PIL import Image

    try:
        with Image.open(path) as file:
            image = _in_colours(file)
    except Exception as error:  # a damaged image may raise anything
        raise UnreadableImageError(
            f"{path}: this image cannot be read ({one_line(error)})."
        ) from error
    box = box_of(image.width, image.height)
    return np.array(image.resize((size, size), Image.Resampling.BILINEAR, box=box))


def _in_colours(image: OpenImage) -> OpenImage:
    from PIL import Image

    if image.mode in {"I", "F"}:
        raise ValueError("its pixels have 32 bits")
    if image.mode.startswith("I;16"):  # Pillow would take all above 255 for white
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    return image.convert("RGB")


def middle_box(width: int, height: int) -> Box:
    """Return the square in the middle, 7/8 as wide as the shorter side: 224 of 256 pixels."""
    side = min(width, height) * 7 / 8
    left, top = (width - side) / 2, (height - side) / 2
    return left, top, left + side, top + side


def random_box(width: int, height: int) -> Box:
    """Draw a part of 8 to 100 % of the area, from 3:4 to 4:3, from torch's global generator.

    Szegedy et al., "Going deeper with convolutions", 2015, section 6. Where none of ten draws fits,
    the largest part in the middle that has an allowed shape is taken.
    """
    area, shape, across, down = torch.rand(4, 10).double().tolist()
    for draw in range(10):
        ratio = math.exp((2 * shape[draw] - 1) * math.log(4 / 3))
        pixels = width * height * (0.08 + 0.92 * area[draw])
        wide, high = math.sqrt(pixels * ratio), math.sqrt(pixels / ratio)
        if wide <= width and high <= height:
            left, top = across[draw] * (width - wide), down[draw] * (height - high)
            return left, top, min(left + wide, width), min(top + high, height)
    wide, high = min(width, height * 4 / 3), min(height, width * 4 / 3)
    left, top = (width - wide) / 2, (height - high) / 2
    return left, top, left + wide, top + high
