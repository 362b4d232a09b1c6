"""Images to train and measure on."""

from __future__ import annotations

__all__ = [
    "ImageFolder",
    "Images",
    "Splits",
    "distort",
    "load_digits_images",
    "make_hard_digits",
    "read_cifar10",
    "read_image_folder",
    "shift_and_flip",
]

from dyncompile.data.augment import distort, shift_and_flip
from dyncompile.data.cifar10 import read_cifar10
from dyncompile.data.digits import load_digits_images
from dyncompile.data.hard_digits import make_hard_digits
from dyncompile.data.image_folder import ImageFolder, read_image_folder
from dyncompile.data.images import Images
from dyncompile.data.splits import Splits
