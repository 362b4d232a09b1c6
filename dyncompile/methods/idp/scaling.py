"""A profile on a weight: a coefficient for each input channel."""

from __future__ import annotations

__all__ = [
    "Scale",
    "along_input",
    "along_output",
    "input_channels",
    "scale_of",
    "scale_weight",
]

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


def input_channels(layer: nn.Module) -> int:
    """Return how many channels, or features, a convolution or linear layer reads."""
    count = layer.in_features if isinstance(layer, nn.Linear) else layer.in_channels
    assert isinstance(count, int)
    return count


def along_input(layer: nn.Module, values: Tensor) -> Tensor:
    """Return one value per input channel in a shape that broadcasts to the weight of a layer.

    Args:
        layer: A convolution, also grouped or transposed, or a linear layer.
        values: ``T[C]``.
    """
    weight = layer.weight
    assert isinstance(weight, Tensor)
    ones = [1] * (weight.ndim - 2)
    if isinstance(layer, TRANSPOSED):
        return values.reshape(-1, 1, *ones)
    groups = getattr(layer, "groups", 1)
    if groups == 1:
        return values.reshape(1, -1, *ones)
    of_group = values.reshape(groups, weight.shape[1])
    return of_group.repeat_interleave(weight.shape[0] // groups, 0).reshape(
        *weight.shape[:2], *ones
    )


def along_output(layer: nn.Module, values: Tensor) -> Tensor:
    """Return one value per output channel in a shape that broadcasts to the weight of a layer."""
    weight = layer.weight
    assert isinstance(weight, Tensor)
    ones = [1] * (weight.ndim - 2)
    if not isinstance(layer, TRANSPOSED):
        return values.reshape(-1, 1, *ones)
    groups = int(layer.groups)
    of_group = values.reshape(groups, weight.shape[1])
    return of_group.repeat_interleave(weight.shape[0] // groups, 0).reshape(
        *weight.shape[:2], *ones
    )


class Scale(nn.Module):
    """Multiplies a weight by the coefficients of its input channels.

    Args:
        coefficients: In a shape that broadcasts to the weight.

    Attributes:
        kept: Bool, in the same shape: input channels outside of it get 0. None keeps all.
        straight: Whether the gradient passes as if nothing were multiplied.
    """

    coefficients: Tensor

    def __init__(self, coefficients: Tensor) -> None:
        super().__init__()
        self.register_buffer("coefficients", coefficients)
        self.kept: Tensor | None = None
        self.straight = False

    def reset(self) -> None:
        """Multiply, and nothing else."""
        self.kept, self.straight = None, False

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight that the layer computes with."""
        if not self.straight:
            return self.coefficients * weight
        scaled = self.coefficients * weight.detach()
        if self.kept is not None:
            scaled = scaled.where(self.kept, 0)
        return scaled + (weight - weight.detach())


def scale_weight(layer: nn.Module, coefficients: Tensor) -> None:
    """Put a profile on the weight of a layer.

    Args:
        layer: A convolution or a linear layer.
        coefficients: One for each input channel, ``float[C]``.
    """
    weight = layer.weight
    assert isinstance(weight, Tensor)
    values = coefficients.to(weight.device, weight.dtype)
    with torch.no_grad():
        scale = Scale(along_input(layer, values).clone())
        parametrize.register_parametrization(layer, "weight", scale)


def scale_of(layer: nn.Module) -> Scale | None:
    """Return the profile on the weight of a layer."""
    if not parametrize.is_parametrized(layer, "weight"):
        return None
    parts = layer.parametrizations["weight"]  # type: ignore[index]
    return next((part for part in parts if isinstance(part, Scale)), None)
