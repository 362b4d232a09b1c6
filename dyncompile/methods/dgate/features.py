"""What named modules of a backbone return, and what was computed until then."""

from __future__ import annotations

__all__ = ["Taps", "exit_macs", "macs_until", "pooled"]

import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Generic, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d
from torch.utils.flop_counter import FlopCounterMode

from dyncompile.modules import evaluating

if TYPE_CHECKING:
    from dyncompile.methods.dgate.gates import DecisionGates

Seen = TypeVar("Seen")


class Taps(Generic[Seen]):
    """Read what modules return, while the block runs; nothing of them is changed.

    Only what the thread that entered the block runs is read: others may run the same modules.

    Args:
        backbone: The modules are inside of it.
        after: Their names.
        read: Called with what a module returns, at once: what comes later may change it in place.

    Attributes:
        seen: What ``read`` returned, by the name of the module, in the order they ended; a list,
            for a module may run more than once.
    """

    def __init__(
        self, backbone: nn.Module, after: Sequence[str], read: Callable[[Tensor], Seen]
    ) -> None:
        self._modules = [(name, backbone.get_submodule(name)) for name in after]
        self._read = read
        self._hooks = ExitStack()
        self._thread = 0
        self.seen: list[tuple[str, Seen]] = []

    def __enter__(self) -> Taps[Seen]:
        self._thread = _this_thread()
        for name, module in self._modules:
            hook = module.register_forward_hook(self._reader(name))
            self._hooks.callback(hook.remove)
        return self

    def __exit__(self, *_: object) -> None:
        self._hooks.close()

    def _reader(self, name: str) -> Callable[[nn.Module, object, Tensor], None]:
        def read(module: nn.Module, inputs: object, output: Tensor) -> None:
            del module, inputs
            if _this_thread() == self._thread:
                self.seen.append((name, self._read(output)))

        return read


def _this_thread() -> int:
    """Return which thread runs this; while torch traces, one runs everything."""
    return 0 if torch.compiler.is_compiling() else threading.get_ident()


def pooled(features: Tensor, side: int = 1) -> Tensor:
    """Return features as a linear gate takes them, ``float[N, F]``.

    What the backbone does to them in place later does not reach the result, nor its gradient.

    Args:
        features: ``float[N, C, H, W]``, averaged to a grid; or ``float[N, F]``, as they are.
        side: Of the grid; 1 averages over the whole image.
    """
    if features.ndim == 2:
        return features.clone()
    if side == 1:
        return features.mean((2, 3))
    if features.requires_grad:
        features = features.clone()  # kept for the gradient
    return adaptive_avg_pool2d(features, side).flatten(1)


def macs_until(backbone: nn.Module, after: Sequence[str], x: Tensor) -> list[int]:
    """Return the multiply-accumulates until each module ends, and of the whole backbone.

    Those of convolutions and matrix products count. Work that runs before the module ends
    counts as work before it.
    """
    with torch.no_grad(), evaluating(backbone), FlopCounterMode(display=False) as counter:
        with Taps(backbone, after, lambda _: counter.get_total_flops()) as taps:
            backbone(x)
        seen = dict(taps.seen)
    return [flops // 2 for flops in (*(seen[name] for name in after), counter.get_total_flops())]


def exit_macs(net: DecisionGates, x: Tensor) -> list[int]:
    """Return the multiply-accumulates of one sample that leaves at each exit.

    Args:
        net: With K gates.
        x: Samples, as the backbone takes them; the first is run.

    Returns:
        K + 1 numbers, the gates that the sample met counted in; the last is the dense network's.
    """
    *until, total = macs_until(net.backbone, net.after, x[:1])
    spent, macs = 0, []
    for gate, before in zip(net.gates, until, strict=True):
        weight = gate.weight
        assert isinstance(weight, Tensor)
        spent += weight.numel()
        macs.append(before + spent)
    return [*macs, total + spent]
