"""The static network of a level: what is left where a chain of layers goes without channels."""

from __future__ import annotations

__all__ = ["compact"]

import copy
from typing import Any

import torch
from torch import Tensor, nn

from dyncompile.methods.idp import IncompleteNet
from dyncompile.methods.idp.norms import LevelNorm

Weighted = nn.Conv2d | nn.Linear


@torch.no_grad()
def compact(net: IncompleteNet, level: int) -> nn.Module:
    """Return a network without budgets that gives what a level gives, with none of what it drops.

    Args:
        net: Its backbone is a chain: each layer reads what the one before returns, normalised.
        level: Its number.
    """
    chain = copy.deepcopy(net.backbone)
    kept = {layer.name: layer.counts[level] for layer in net.layers}
    layers = {name: part for name, part in chain.named_modules() if isinstance(part, Weighted)}
    reading = {name: kept.get(name, _inputs(layer)) for name, layer in layers.items()}
    last = list(layers.values())[-1]
    returning = [*list(reading.values())[1:], len(last.weight)]
    read_next = dict(zip(layers, returning, strict=True))
    count = 0
    for name, part in list(chain.named_modules()):
        if isinstance(part, Weighted):
            count = read_next[name]
            chain.set_submodule(name, _cut(part, count, reading[name]))
        elif isinstance(part, LevelNorm):
            chain.set_submodule(name, _cut_norm(part.at(level), count))
    return chain.eval()


def _inputs(layer: Weighted) -> int:
    return layer.in_features if isinstance(layer, nn.Linear) else layer.in_channels


def _cut(layer: Weighted, returned: int, read: int) -> Weighted:
    """Return a layer of the first channels, with the weight that the given one computes with."""
    bias = layer.bias
    found: Weighted
    if isinstance(layer, nn.Linear):
        found = nn.Linear(read, returned, bias is not None)
    else:
        same: Any = {name: getattr(layer, name) for name in ("kernel_size", "stride", "padding")}
        found = nn.Conv2d(read, returned, bias=bias is not None, **same)
    found.weight.copy_(layer.weight[:returned, :read])
    if bias is not None and found.bias is not None:
        found.bias.copy_(bias[:returned])
    return found


def _cut_norm(norm: nn.Module, count: int) -> nn.Module:
    assert isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d)
    found = type(norm)(count, eps=norm.eps)
    for name, value in norm.state_dict().items():
        own = found.state_dict()[name]
        own.copy_(value[:count] if isinstance(value, Tensor) and value.ndim else value)
    return found
