"""Factories that the command line has to refuse, each for its own reason."""

from __future__ import annotations

import sys
from collections.abc import Callable

import torch
from torch import Tensor, nn

import dyncompile

not_callable = 3


class _Network(nn.Module):
    """Eight numbers in, a gate in the middle."""

    def __init__(self, forward: Callable[[nn.Linear, Tensor], Tensor]) -> None:
        super().__init__()
        self.linear = nn.Linear(8, 8)
        self._forward = forward

    def forward(self, x: Tensor) -> Tensor:
        return self._forward(self.linear, x)


def good() -> nn.Module:
    return _Network(lambda f, x: dyncompile.gate(x.mean(1) > 0, f(x), x, name="skip"))


def not_a_module() -> dict[str, int]:
    return {}


def needs_arguments(width: int, *, depth: int) -> None:
    raise AssertionError(width, depth)


def raises() -> None:
    raise ValueError("the width is odd,\nand more")


def leaves() -> None:
    sys.exit("usage")


def unmarked() -> nn.Module:
    return _Network(lambda f, x: f(x).relu())


def python_if() -> nn.Module:
    return _Network(lambda f, x: dyncompile.gate(x.mean(1) > 0, f(x) if x.sum() > 0 else x, x))


def index_decision() -> nn.Module:
    return _Network(lambda f, x: dyncompile.gate(x.mean(1).long(), f(x), x, name="skip"))


def wide_decision() -> nn.Module:
    return _Network(lambda f, x: dyncompile.gate(x > 0, f(x), x, name="skip"))


def different_shapes() -> nn.Module:
    return _Network(lambda f, x: dyncompile.gate(x.mean(1) > 0, f(x)[:, :4], x, name="skip"))


def different_types() -> nn.Module:
    return _Network(lambda f, x: dyncompile.gate(x.mean(1) > 0, f(x).double(), x, name="skip"))


def fails() -> nn.Module:
    return _Network(lambda f, x: f(x[:, :3]))


def random_forward() -> nn.Module:
    """The artifact and the model cannot agree."""
    return _Network(
        lambda f, x: dyncompile.gate(x.mean(1) > 0, f(x), x, name="skip") + torch.randn(1, 8)
    )
