"""Digits made hard to read, each to another degree: the set that dynamic networks are measured on.

Every image shows one of scikit-learn's handwritten digits, in colour, at a random place, size and
angle, among pieces of other digits, faint and noisy. How much of each is drawn at random between
nothing and a limit that grows with the ``difficulty`` of the image, so easy and hard images lie
side by side. The handwriting is split before images are made of it: no digit that someone wrote is
in two parts, neither as the digit to be read nor as clutter.
"""

from __future__ import annotations

__all__ = ["make_hard_digits"]

import math

import numpy as np
import torch
from torch import Generator, Tensor
from torch.nn import functional as F  # noqa: N812

from dyncompile.data.digits import load_digits_images
from dyncompile.data.images import Images
from dyncompile.data.splits import Splits
from dyncompile.errors import InputError

SIDE = 32
PIECES = 6
CHUNK = 1000


def make_hard_digits(
    seed: int = 0, *, train: int = 40_000, validation: int = 10_000, test: int = 12_000
) -> Splits[Images]:
    """Make images ``uint8[N, 3, 32, 32]`` of 797, 500 and 500 handwritten digits.

    Within a part, each written digit is used equally often, and no two images that are neighbours
    show the same one. ``groups`` tells which one it is, by a number that is unique over the parts:
    images of one group are not independent. ``difficulty`` is drawn from Beta(1, 1.2). Fewer
    images of a seed are the first of more. A seed gives the same images on any number of threads.

    Args:
        seed: Of the split of the handwriting and of all that is random in the images.
        train: Images to train on.
        validation: Images to choose and calibrate by.
        test: Images to measure on.

    Raises:
        InputError: a number is out of range.
    """
    for name, count in (("train", train), ("validation", validation), ("test", test)):
        if count < 0:
            raise InputError(
                f"{count} images cannot be made.", where=name, remedy="Give a number from 0 up."
            )
    written = load_digits_images(seed, validation=500)
    offsets = np.cumsum([0, len(written.train), len(written.validation)]).tolist()
    return Splits(
        _make_part(written.train, train, (seed, 0), offsets[0]),
        _make_part(written.validation, validation, (seed, 1), offsets[1]),
        _make_part(written.test, test, (seed, 2), offsets[2]),
    )


def _make_part(written: Images, count: int, seed: tuple[int, int], first_group: int) -> Images:
    digits, halves = _glyphs(written)
    shown = torch.arange(count) % len(written)
    pixels = torch.empty(count, 3, SIDE, SIDE, dtype=torch.uint8)
    difficulty = torch.empty(count)
    for start in range(0, count, CHUNK):
        part = slice(start, start + CHUNK)
        # Drawn whole even where its end is not needed: fewer images are the first of more.
        digit = digits[torch.arange(start, start + CHUNK) % len(digits)]
        state = np.random.SeedSequence((*seed, start // CHUNK)).generate_state(1, np.uint64)
        random = Generator().manual_seed(int(state[0]))
        hard = 1 - _uniform(random, 0, 1, CHUNK) ** (1 / 1.2)
        kept = count - start
        pixels[part] = _make_images(digit, halves, hard, random)[:kept]
        difficulty[part] = hard[:kept]
    return Images(
        pixels,
        written.labels[shown],
        written.classes,
        groups=first_group + shown,
        difficulty=difficulty,
    )


def _make_images(digit: Tensor, halves: Tensor, hard: Tensor, random: Generator) -> Tensor:
    count = len(digit)
    ink = _draw_digit(digit, hard, random)
    ink = torch.maximum(ink, _draw_clutter(halves, hard, random))
    ink *= (1 - 0.85 * hard * _uniform(random, 0, 1, count))[:, None, None, None]
    images = _colour(ink, random) + _noise(hard, random)
    return (images.clamp(0, 1) * 255).round().to(torch.uint8)


def _glyphs(written: Images) -> tuple[Tensor, Tensor]:
    """Return the written digits enlarged, ``float[N, 1, 32, 32]``, and their four halves each."""
    small = written.pixels.float() / 255
    masks = torch.ones(4, 1, 8, 8)
    masks[0, :, :4] = masks[1, :, 4:] = 0
    masks[2, :, :, :4] = masks[3, :, :, 4:] = 0
    return _enlarge(small), _enlarge((small[:, None] * masks).flatten(0, 1))


def _enlarge(small: Tensor) -> Tensor:
    return F.interpolate(small, size=(SIDE, SIDE), mode="bicubic").clamp(0, 1)


def _draw_digit(digit: Tensor, hard: Tensor, random: Generator) -> Tensor:
    """Place the digits to be read: the harder, the smaller, the more turned and the further out."""
    count = len(digit)
    size = 26 - 14 * hard * _uniform(random, 0, 1, count)
    turn = (0.1 + 0.7 * hard) * _uniform(random, -1, 1, count)
    reach = ((SIDE - size) / 2 + 2 * hard) * (0.2 + 0.8 * hard)
    return _stamp(digit, size, turn, reach * _uniform(random, -1, 1, 2, count))


def _draw_clutter(halves: Tensor, hard: Tensor, random: Generator) -> Tensor:
    """Scatter halves of other digits around the middle, six in the hardest images."""
    strength = _uniform(random, 0.5, 1, PIECES, len(hard))
    strength *= _uniform(random, 0, 1, PIECES, len(hard)) < hard
    clutter = torch.zeros(PIECES, len(hard), 1, SIDE, SIDE)
    there = strength > 0
    count = int(there.sum())
    piece = halves[torch.randint(len(halves), (count,), generator=random)]
    size, turn = _uniform(random, 10, 18, count), _uniform(random, -3.1, 3.1, count)
    angle, distance = _uniform(random, 0, 2 * math.pi, count), _uniform(random, 9, 16, count)
    place = distance * torch.stack((angle.cos(), angle.sin()))
    clutter[there] = strength[there][:, None, None, None] * _stamp(piece, size, turn, place)
    return clutter.amax(0)


def _stamp(glyphs: Tensor, size: Tensor, turn: Tensor, place: Tensor) -> Tensor:
    """Draw glyphs on empty images.

    Args:
        glyphs: ``float[n, 1, 32, 32]``.
        size: Side of the box of each, in pixels.
        turn: Angle of each, in radians.
        place: ``float[2, n]``, where the middle of each lies: pixels right of and below the
            middle of the image.
    """
    cos, sin = turn.cos() * SIDE / size, turn.sin() * SIDE / size
    right, down = place / (SIDE / 2)
    rows = (cos, -sin, sin * down - cos * right, sin, cos, -sin * right - cos * down)
    grid = F.affine_grid(
        torch.stack(rows, 1).reshape(-1, 2, 3), list(glyphs.shape), align_corners=False
    )
    return F.grid_sample(glyphs, grid, align_corners=False)


def _colour(ink: Tensor, random: Generator) -> Tensor:
    """Draw ink of one colour on paper of another; dark ink on light paper, or light on dark."""
    count = len(ink)
    paper = _uniform(random, 0.2, 0.8, count, 3)
    towards = torch.where(paper.mean(1, keepdim=True) > 0.5, -1.0, 1.0)
    change = towards * _uniform(random, 0.35, 0.6, count, 3)
    return paper[:, :, None, None] + change[:, :, None, None] * ink


def _noise(hard: Tensor, random: Generator) -> Tensor:
    """Return clouds of colour, and noise of single pixels."""
    count = len(hard)
    small = torch.randn(count, 3, 6, 6, generator=random)
    clouds = F.interpolate(small, size=(SIDE, SIDE), mode="bicubic")
    grain = torch.randn(count, 3, SIDE, SIDE, generator=random)
    strong = hard[:, None, None, None]
    return 0.08 * strong * clouds + (0.01 + 0.13 * strong) * grain


def _uniform(random: Generator, low: float, high: float, *shape: int) -> Tensor:
    return low + (high - low) * torch.rand(*shape, generator=random)
