"""Batches changed at random while training; seeded by torch's global generator."""

from __future__ import annotations

__all__ = ["distort", "shift_and_flip"]

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812


def shift_and_flip(images: Tensor, *, pixels: int = 4, flip: bool = True) -> Tensor:
    """Shift each image by up to so many pixels either way, and mirror every other one.

    What comes in at the border is 0. The usual augmentation of CIFAR-10 (He et al., "Deep
    residual learning for image recognition", 2016, section 4.2).

    Args:
        images: ``float[N, C, H, W]``.
        pixels: Largest shift, down or up and right or left.
        flip: Whether half of the images, drawn at random, are mirrored left to right.
    """
    count, _, height, width = images.shape
    device = images.device
    down, right = torch.randint(2 * pixels + 1, (2, count, 1), device=device)
    rows = down + torch.arange(height, device=device)
    columns = torch.arange(width, device=device).expand(count, -1)
    if flip:
        mirrored = torch.rand(count, 1, device=device) < 0.5
        columns = torch.where(mirrored, columns.flip(1), columns)
    columns = right + columns
    padded = F.pad(images, (pixels,) * 4).permute(0, 2, 3, 1)
    number = torch.arange(count, device=device)[:, None, None]
    return padded[number, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2).contiguous()


def distort(
    images: Tensor, *, turn: float = 0.2, shift: float = 0.075, scale: float = 0.1
) -> Tensor:
    """Turn, shift and scale each image at random; what comes in at the border is 0.

    Args:
        images: ``float[N, C, H, W]``.
        turn: Largest angle, in radians.
        shift: Largest shift, as a share of the height and of the width.
        scale: Largest change of size, as a share.
    """
    turns, across, down, scales = torch.rand(4, len(images), device=images.device) * 2 - 1
    scales = 1 + scale * scales
    cos, sin = scales * (turn * turns).cos(), scales * (turn * turns).sin()
    rows = (cos, -sin, 2 * shift * across, sin, cos, 2 * shift * down)
    grid = F.affine_grid(
        torch.stack(rows, 1).reshape(-1, 2, 3), list(images.shape), align_corners=False
    )
    return F.grid_sample(images, grid, align_corners=False)
