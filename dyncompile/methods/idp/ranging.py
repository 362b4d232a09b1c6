"""Which weights a range of levels trains, so that the ranges before it stay as they are."""

from __future__ import annotations

__all__ = ["check_ranges", "held_in_range"]

from copy import deepcopy
from typing import cast

import torch
from torch import Tensor, nn

from dyncompile.errors import InputError
from dyncompile.methods.idp.counts import IncompleteLayer, count_at
from dyncompile.methods.idp.looking import WeightedLayer
from dyncompile.methods.idp.network import IncompleteNet
from dyncompile.methods.idp.norms import BatchNorm
from dyncompile.methods.idp.ranged import PerRange
from dyncompile.methods.idp.scaling import along_input, along_output, scale_of
from dyncompile.modules import evaluating


def held_in_range(net: IncompleteNet, number: int, *, across: bool = False) -> dict[str, Tensor]:
    """Return what stays as it is while a range is trained, by the name of the parameter.

    A range owns the channels between its end and that of the range before. It trains the weights
    from channels it owns to channels it owns, and its own copies of the first and last layer.
    What is neither a weighted layer nor a batch normalisation is trained by the first range.

    Args:
        net: With ranges.
        number: Of the range.
        across: Whether it also trains what leads from its channels to earlier ones, and back;
            no earlier range reads these weights.

    Returns:
        Bool tensors in the shapes of the parameters, true where they are held.
    """
    held = {
        name: torch.full_like(each, number > 0, dtype=torch.bool)
        for name, each in net.named_parameters()
    }
    owner = _Owner(net, number, across)
    for prefix, part in net.named_modules():
        if isinstance(part, PerRange):
            for name, _ in part.named_parameters(prefix):
                held[name].fill_(not name.startswith(f"{prefix}.copies.{number}."))
        elif isinstance(part, WeightedLayer) and not _is_copy(net, prefix):
            held.update(owner.of_layer(prefix, part))
        elif isinstance(part, BatchNorm):
            held.update(owner.of_norm(prefix, part))
    return {name: held[name] for name, _ in net.named_parameters()}  # shared ones once


def _is_copy(net: IncompleteNet, name: str) -> bool:
    holder = name.rsplit(".", 2)[0]
    return isinstance(net.get_submodule(holder), PerRange)


class _Owner:
    """Says of each parameter what a range may not change."""

    def __init__(self, net: IncompleteNet, number: int, across: bool) -> None:
        self._layers = {f"backbone.{layer.name}": layer for layer in net.layers}
        self._low = net.ratios[net.ranges[number - 1][-1]] if number else 0.0
        self._high = net.ratios[net.ranges[number][-1]]
        self._multiple = cast("int", net.layers[0].multiple)
        self._across = across

    def of_layer(self, prefix: str, layer: nn.Module) -> dict[str, Tensor]:
        weight = layer.weight
        assert isinstance(weight, Tensor)
        is_linear = isinstance(layer, nn.Linear)
        outputs = layer.out_features if is_linear else layer.out_channels
        assert isinstance(outputs, int)
        out = self._places(outputs, weight.device)
        rows = [along_output(layer, each).expand_as(weight) for each in out]
        columns = rows
        if known := self._layers.get(prefix):
            read = self._places(known.channels, weight.device, known)
            columns = [along_input(layer, each).expand_as(weight) for each in read]
        own, reached = 0, 1
        free = rows[own] & columns[own]
        if self._across:
            free = rows[reached] & columns[reached] & (rows[own] | columns[own])
        inner = "parametrizations.weight.original" if scale_of(layer) else "weight"
        held = {f"{prefix}.{inner}": ~free}
        if isinstance(layer.bias, Tensor):
            held[f"{prefix}.bias"] = ~out[own]
        return held

    def of_norm(self, prefix: str, norm: BatchNorm) -> dict[str, Tensor]:
        if not norm.affine:
            return {}
        own, _ = self._places(norm.num_features, norm.weight.device)
        return {f"{prefix}.{name}": ~own for name in ("weight", "bias")}

    def _places(
        self, channels: int, device: torch.device, layer: IncompleteLayer | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return which channels the range owns, and which it reaches."""
        features = layer.features if layer else 1
        low = count_at(self._low, channels, self._multiple) if self._low else 0
        high = count_at(self._high, channels, self._multiple)
        place = torch.arange(channels * features, device=device) // features
        return (place >= low) & (place < high), place < high


def check_ranges(net: IncompleteNet, example: Tensor) -> None:
    """Change what each range trains, and see that the ranges before it do not notice.

    Raises:
        InputError: one does.
    """
    net = deepcopy(net)
    if example.is_floating_point():  # of zeros nothing would be noticed
        generator = torch.Generator().manual_seed(0)
        example = torch.randn(example.shape, generator=generator).to(example)
    with torch.no_grad(), evaluating(net):
        for number in range(1, len(net.ranges)):
            level = net.ranges[number - 1][-1]
            before = net(example, level)
            named = dict(net.named_parameters())
            for name, mask in held_in_range(net, number, across=True).items():
                named[name].copy_(named[name].where(mask, named[name] + 1))
            if not torch.allclose(net(example, level), before, rtol=1e-4, atol=1e-6):
                raise InputError(
                    "what one range trains would change what the ranges before it compute.",
                    where="ranges",
                    remedy="Leave them out: they need a network without concatenation, complete"
                    " layers in the middle, or normalisation over all channels.",
                )
