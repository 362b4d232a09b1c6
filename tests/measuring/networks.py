"""Networks that the tests of ``bench`` measure; also read as a file by ``--against``."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from dyncompile import Levels, Threshold, early_exit, gate, switch

WIDTH, CLASSES = 6, 3


class Exits(nn.Module):
    """A gate, and two exits of which the second lies behind the first."""

    knobs: ClassVar = {"threshold": Threshold((0.5, 0.5), 0, 1)}

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.block = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.middle, self.tail = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.heads = nn.ModuleList([nn.Linear(WIDTH, CLASSES) for _ in range(3)])

    def forward(self, x: Tensor, threshold: Tensor) -> Tensor:
        x = self.stem(x)
        x = gate(x[:, 0] > 0, x + self.block(x).relu(), x, name="block")
        first = self.heads[0](x)
        x = self.middle(x).relu()
        second = self.heads[1](x)
        last = self.heads[2](self.tail(x).relu())
        deep = early_exit(_sure(second, threshold[1]), second, last, name="second")
        y: Tensor = early_exit(_sure(first, threshold[0]), first, deep, name="first")
        return y


class Conditional(nn.Module):
    """The same with ``torch.cond``."""

    def __init__(self, net: Exits) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor, threshold: Tensor) -> Tensor:
        net = self.net

        def late(x: Tensor, first: Tensor) -> Tensor:
            del first
            x = net.middle(x).relu()
            second = net.heads[1](x)
            y: Tensor = torch.cond(
                _sure(second, threshold[1]).reshape(()),
                lambda _, second: second.clone(),
                lambda x, _: net.heads[2](net.tail(x).relu()),
                (x, second),
            )
            return y

        x = net.stem(x)
        x = torch.cond(
            (x[:, 0] > 0).reshape(()),
            lambda x: x + net.block(x).relu(),
            lambda x: x.clone(),
            (x,),
        )
        first = net.heads[0](x)
        sure = _sure(first, threshold[0]).reshape(())
        y: Tensor = torch.cond(sure, lambda _, first: first.clone(), late, (x, first))
        return y


class Ladder(nn.Module):
    """A switch that follows from a knob, and a gate that does not."""

    knobs: ClassVar = {"level": Levels((0.25, 0.5, 1.0))}

    def __init__(self) -> None:
        super().__init__()
        self.rungs = nn.ModuleList([nn.Linear(WIDTH, WIDTH) for _ in range(3)])
        self.block = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor, level: Tensor) -> dict[str, Tensor]:
        steps = [self.rungs[0](x)]
        for k in (1, 2):
            steps.append(self.rungs[k](steps[-1].relu()))
        y: Tensor = switch(level, steps, name="rungs")
        gated: Tensor = gate(y.sum() > 0, y + self.block(y), y, name="block")
        return {"y": gated, "size": y.abs().sum()}


class Masked(nn.Module):
    """A gate, and a product with a decision that has no marker."""

    def __init__(self) -> None:
        super().__init__()
        self.block, self.masked = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        x = gate(x.sum() > 0, x + self.block(x), x, name="block")
        y: Tensor = x + self.masked(x) * (x.mean() > 0.2).to(x.dtype)
        return y


def _sure(logits: Tensor, threshold: Tensor) -> Tensor:
    return logits.softmax(-1).amax(-1) > threshold


def exits() -> Exits:
    """Return the network that the artifact is made from."""
    torch.manual_seed(1)
    net = Exits()
    with torch.no_grad():
        for parameter in net.heads.parameters():
            parameter.mul_(3)
    return net.eval()


def others() -> Exits:
    """Return the same network with other weights."""
    torch.manual_seed(2)
    return Exits().eval()


def ladder() -> Ladder:
    """Return a network with levels."""
    torch.manual_seed(3)
    return Ladder().eval()
