"""What capture and verification need of a PyTorch module besides its forward."""

from __future__ import annotations

__all__ = ["evaluating", "unwrapped"]

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn.parameter import is_lazy


def unwrapped(module: nn.Module) -> nn.Module:
    """Return what ``torch.compile`` was given; any other module as it is."""
    inner = getattr(module, "_orig_mod", None)
    return inner if isinstance(inner, nn.Module) else module


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Put every part of a model in evaluation mode; modes and buffers are put back."""
    modes = [(part, part.training) for part in module.modules()]
    buffers = [
        (part, name, buffer, buffer.detach().clone())
        for part in module.modules()
        for name, buffer in part.named_buffers(recurse=False)
        if not is_lazy(buffer)
    ]
    module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training
        with torch.no_grad():
            for part, name, buffer, before in buffers:
                setattr(part, name, buffer)
                if not torch.equal(buffer, before):
                    buffer.copy_(before)
