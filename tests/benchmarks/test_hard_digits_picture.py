from __future__ import annotations

import torch
from PIL import Image

from benchmarks.hard_digits_picture import GAP, MARGIN, ROWS, SCALE, draw_grid
from dyncompile.data import Images


def test_each_place_has_the_image_of_its_class_and_difficulty() -> None:
    labels = torch.arange(3).repeat(5)
    difficulty = torch.linspace(0, 1, 5).repeat_interleave(3)
    shades = (torch.arange(15) * 10 + 40).to(torch.uint8)
    pixels = shades[:, None, None, None].expand(15, 3, 6, 6)
    grid = draw_grid(Images(pixels, labels, ("a", "b", "c"), difficulty=difficulty))
    assert isinstance(grid, Image.Image)
    step = SCALE * 6 + GAP
    for row, wanted in enumerate(ROWS):
        for column in range(3):
            nearest = (difficulty[labels == column] - wanted).abs().argmin()
            shade = int(shades[labels == column][nearest])
            place = (MARGIN + column * step + 5, GAP + row * step + 5)
            assert grid.getpixel(place) == (shade, shade, shade)
