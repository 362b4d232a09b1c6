"""What capture and verification need of a PyTorch module besides its forward."""

from __future__ import annotations

__all__ = ["evaluating", "running_example", "unwrapped", "without_parametrizations"]

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy

import torch
from torch import nn
from torch.nn.parameter import is_lazy
from torch.nn.utils import parametrize

from dyncompile.errors import DyncompileError, InputError, one_line


def unwrapped(module: nn.Module) -> nn.Module:
    """Return what ``torch.compile`` was given; any other module as it is."""
    inner = getattr(module, "_orig_mod", None)
    return inner if isinstance(inner, nn.Module) else module


def without_parametrizations(module: nn.Module) -> nn.Module:
    """Return a copy whose parametrized tensors are plain, with the values they have now.

    So what makes a weight is not computed again in each call. A module without
    parametrizations is returned as it is.
    """
    if not any(parametrize.is_parametrized(part) for part in module.modules()):
        return module
    plain = deepcopy(module)
    for part in list(plain.modules()):
        if parametrize.is_parametrized(part):
            _make_plain(part)
    return plain


def _make_plain(part: nn.Module) -> None:
    # Not by remove_parametrizations: a copy shares its class with what it was copied from, and
    # that takes the tensors out of the class.
    assert isinstance(part.parametrizations, nn.ModuleDict)
    with torch.no_grad():
        values = {name: getattr(part, name).clone() for name in part.parametrizations}
    kind = parametrize.type_before_parametrizations(part)
    del part.parametrizations
    part.__class__ = kind
    for name, value in values.items():
        part.register_parameter(name, nn.Parameter(value, requires_grad=False))


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


@contextmanager
def running_example(net: nn.Module) -> Iterator[None]:
    """Let the block run a network on an example: in evaluation mode, without gradients.

    Raises:
        InputError: it fails, whatever its forward raises.
    """
    with torch.no_grad(), evaluating(net):
        try:
            yield
        except DyncompileError:
            raise
        except Exception as error:  # whatever the user's forward raises
            raise InputError(
                f"it fails on the example: {one_line(error)}.",
                where=type(net).__name__,
                remedy="Give an example that it can run, on its device and of its type.",
            ) from error
