"""Batch normalisation with statistics of each level."""

from __future__ import annotations

__all__ = ["LevelNorm", "with_level_norms"]

from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from dyncompile.markers import per_level

BatchNorm = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d


class LevelNorm(nn.Module):
    """A batch normalisation for each level, with one weight and bias, or with those of each level.

    Args:
        norm: What it begins as, at every level.
        count: How many levels there are.
        switchable: Whether weight and bias are of each level too (Yu et al., "Slimmable neural
            networks", ICLR 2019); otherwise only mean and variance are.

    Attributes:
        levels: The normalisations.
        switchable: Whether they have weights of their own.
    """

    def __init__(self, norm: BatchNorm, count: int, *, switchable: bool) -> None:
        super().__init__()
        norms = [deepcopy(norm) for _ in range(count)]
        if not switchable:
            for each in norms:
                each.weight, each.bias = norms[0].weight, norms[0].bias
        self.levels = nn.ModuleList(norms)
        self.switchable = switchable and norm.affine
        self.train(norm.training)

    @property
    def weight(self) -> Tensor:
        """Weight of the last level."""
        return self.at(-1).weight

    @property
    def bias(self) -> Tensor:
        """Bias of the last level."""
        return self.at(-1).bias

    def at(self, level: int) -> BatchNorm:
        """Return the normalisation of a level."""
        norm = self.levels[level]
        assert isinstance(norm, BatchNorm)
        return norm

    def learn_from(self, level: int, other: int) -> None:
        """Give a level the mean and variance of another."""
        theirs = dict(self.at(other).named_buffers())
        with torch.no_grad():
            for name, buffer in self.at(level).named_buffers():
                buffer.copy_(theirs[name])

    def forward(self, x: Tensor, level: Tensor | int | None = -1) -> Tensor:
        """Normalise; in training by the batch, in evaluation by what is known of the level.

        Args:
            x: ``float[N, C, ...]``.
            level: ``int64[]``, or its number. None is between levels: nothing is learned then
                of mean and variance, and in evaluation the last level counts.
        """
        if isinstance(level, Tensor):
            return per_level(level, lambda k: self.at(k)(x), len(self.levels), name="level")  # type: ignore[no-any-return]
        if level is None and self.training:
            norm = self.at(-1)
            return F.batch_norm(x, None, None, norm.weight, norm.bias, True, 0.0, norm.eps)
        normalised: Tensor = self.at(-1 if level is None else level)(x)
        return normalised


def with_level_norms(root: nn.Module, count: int, *, switchable: bool) -> None:
    """Put a ``LevelNorm`` in the place of each batch normalisation that keeps statistics."""
    known: dict[nn.Module, LevelNorm] = {}
    for name, norm in list(root.named_modules(remove_duplicate=False)):
        if name and isinstance(norm, BatchNorm) and norm.track_running_stats:
            if norm not in known:
                known[norm] = LevelNorm(norm, count, switchable=switchable)
            parent, _, last = name.rpartition(".")
            setattr(root.get_submodule(parent), last, known[norm])
