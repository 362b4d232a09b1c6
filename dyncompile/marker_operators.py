"""The torch operators of the markers: what export sees of them, and their gradients.

Eager code needs them only for gradients to decisions; markers call plain torch otherwise.
Importing this module registers them with torch, once.
"""

from __future__ import annotations

__all__ = [
    "aligned_with",
    "budget_op",
    "gate_op",
    "hard_decision",
    "kept_channels",
    "picked",
    "switch_op",
]

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


def picked(index: Tensor, options: Sequence[Tensor]) -> Tensor:
    """Return the option that the index names, per sample."""
    chosen = options[-1]
    aligned = aligned_with(index, chosen)
    for number in reversed(range(len(options) - 1)):
        chosen = torch.where(aligned <= number, options[number], chosen)
    return chosen


def hard_decision(take: Tensor) -> Tensor:
    """Bool from bool, or from a float 0/1 that may be off by rounding; NaN is False."""
    return take if take.dtype == torch.bool else take > 0.5


def kept_channels(x: Tensor, level: Tensor, counts: Sequence[int], axis: int) -> Tensor:
    """Zero the channels from ``counts[level]`` on, per sample."""
    limit = torch.tensor(counts, device=x.device)[level.clamp(0, len(counts) - 1).flatten()]
    alive = torch.arange(x.shape[axis], device=x.device) < limit[:, None]
    sizes = [1] * x.ndim
    sizes[0], sizes[axis] = alive.shape
    return torch.where(alive.reshape(sizes), x, x.new_zeros(()))  # a number makes int64 of bool


def aligned_with(decision: Tensor, side: Tensor) -> Tensor:
    """Reshape a decision of shape [] or [N] so that it broadcasts along a side."""
    return decision.reshape(decision.shape + (1,) * (side.ndim - decision.ndim))


@torch.library.custom_op("dyncompile::gate", mutates_args=())
def gate_op(take: Tensor, on: Tensor, off: Tensor, name: str) -> Tensor:
    """The torch operator of ``gate``; ``name`` is the decision's, for export."""
    return torch.where(aligned_with(hard_decision(take), on), on, off)


@gate_op.register_fake
def _(take: Tensor, on: Tensor, off: Tensor, name: str) -> Tensor:
    del take, off, name
    return torch.empty_like(on)


def _keep_gate(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor, str], output: Tensor) -> None:
    del output
    ctx.save_for_backward(*inputs[:3])


def _gate_gradient(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor, Tensor, None]:
    take, on, off = ctx.saved_tensors
    open_ = aligned_with(hard_decision(take), on)
    to_take = None
    if ctx.needs_input_grad[0]:
        to_take = _per_decision(grad * (on - off), take.ndim).to(take.dtype)
    return to_take, torch.where(open_, grad, 0), torch.where(open_, 0, grad), None


gate_op.register_autograd(_gate_gradient, setup_context=_keep_gate)


@torch.library.custom_op("dyncompile::switch", mutates_args=())
def switch_op(index: Tensor, options: list[Tensor], name: str) -> Tensor:
    """The torch operator of ``switch``."""
    hard = index.argmax(-1) if index.is_floating_point() else index
    chosen = picked(hard, options)
    return chosen.clone() if chosen is options[-1] else chosen


@switch_op.register_fake
def _(index: Tensor, options: list[Tensor], name: str) -> Tensor:
    del index, name
    return torch.empty_like(options[0])


def _keep_switch(ctx: Any, inputs: tuple[Tensor, list[Tensor], str], output: Tensor) -> None:
    del output
    ctx.save_for_backward(inputs[0], *inputs[1])


def _switch_gradient(ctx: Any, grad: Tensor) -> tuple[Tensor | None, list[Tensor], None]:
    index, *options = ctx.saved_tensors
    hard = index.argmax(-1) if index.is_floating_point() else index
    aligned = aligned_with(hard.clamp(0, len(options) - 1), grad)
    to_index = None
    if ctx.needs_input_grad[0]:
        rank = index.ndim - 1
        to_index = torch.stack([_per_decision(grad * o, rank) for o in options], -1)
    return to_index, [torch.where(aligned == i, grad, 0) for i in range(len(options))], None


switch_op.register_autograd(_switch_gradient, setup_context=_keep_switch)


@torch.library.custom_op("dyncompile::channel_budget", mutates_args=())
def budget_op(x: Tensor, level: Tensor, counts: list[int], axis: int, name: str) -> Tensor:
    """The torch operator of ``channel_budget``."""
    return kept_channels(x, level, counts, axis)


@budget_op.register_fake
def _(x: Tensor, level: Tensor, counts: list[int], axis: int, name: str) -> Tensor:
    del level, counts, axis, name
    return torch.empty_like(x)


def _keep_budget(
    ctx: Any, inputs: tuple[Tensor, Tensor, list[int], int, str], output: Tensor
) -> None:
    del output
    _, level, ctx.counts, ctx.axis, _ = inputs
    ctx.save_for_backward(level)


def _budget_gradient(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None, None]:
    (level,) = ctx.saved_tensors
    return kept_channels(grad, level, ctx.counts, ctx.axis), None, None, None, None


budget_op.register_autograd(_budget_gradient, setup_context=_keep_budget)


def _per_decision(product: Tensor, rank: int) -> Tensor:
    """Sum over everything that one decision covers."""
    axes = tuple(range(rank, product.ndim))
    return product.sum(axes) if axes else product
