"""Backbones to put gates into, and what a network with gates does, written in numpy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from dyncompile import backbones
from dyncompile.methods.dgate.converting import convert
from dyncompile.methods.dgate.gates import DecisionGates

Array = NDArray[np.floating[Any]]

CLASSES = 4


class Branching(nn.Module):
    """Functional forward, modules in a dict, features changed in place right behind a module."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.ModuleDict(
            {
                "first": nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6)),
                "left": nn.Conv2d(6, 5, 3, 2, 1),
                "right": nn.Conv2d(6, 5, 1, 2),
            }
        )
        self.head = nn.Linear(5, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu_(self.parts["first"](x))
        x = torch.tanh(self.parts["left"](x) * self.parts["right"](x))
        scores: Tensor = self.head(F.avg_pool2d(x, 4)[..., 0, 0])
        return scores


class Concatenating(nn.Module):
    """Each layer reads all before it, as in DenseNet, from a list kept in forward."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv2d(3 + 2 * n, 2, 3, padding=1) for n in range(3))
        self.head = nn.Linear(9, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        kept = [x]
        for layer in self.layers:
            kept.append(layer(torch.cat(kept, 1)).relu())
        scores: Tensor = self.head(torch.cat(kept, 1).mean((2, 3)))
        return scores


class Flat(nn.Module):
    """Features [N, C], the first of which are changed in place behind their module."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(12, 7), nn.ReLU(inplace=True), nn.Linear(7, 6))
        self.head = nn.Linear(6, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.head(self.inner(x).tanh())
        return scores


@dataclass(frozen=True)
class Case:
    """A backbone, where its gates are, and what it takes."""

    build: Callable[[], nn.Module]
    after: tuple[str, ...]
    shape: tuple[int, ...] = (3, 8, 8)
    pool: int = 1


CASES = {
    "resnet": Case(lambda: backbones.cifar_resnet(8, CLASSES, width=4), ("stem", "blocks.1")),
    "densenet": Case(
        lambda: backbones.densenet201(CLASSES, growth=3, depths=(1, 1)), ("blocks.0", "blocks.1")
    ),
    "coarse grid": Case(Branching, ("parts.first.1", "parts.left"), pool=2),
    "branching": Case(Branching, ("parts.first.1", "parts.right")),
    "concatenating": Case(Concatenating, ("layers.0", "layers.1", "layers.2")),
    "flat": Case(Flat, ("inner.0", "inner.2"), (12,)),
}


def backbone(name: str) -> nn.Module:
    """Build a network with seeded weights and seeded statistics, in evaluation mode."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        net = CASES[name].build()
        for part in net.modules():
            if isinstance(part, (nn.BatchNorm1d, nn.BatchNorm2d)):
                part.running_mean = torch.randn_like(cast("Tensor", part.running_mean)) / 10
                part.running_var = torch.rand_like(cast("Tensor", part.running_var)) + 0.5
    return net.eval()


def images(name: str, count: int, seed: int = 0) -> Tensor:
    """Draw what a network takes."""
    return torch.randn(count, *CASES[name].shape, generator=torch.Generator().manual_seed(seed))


def gated(name: str, score: str = "margin") -> DecisionGates:
    """Build a network with seeded gates."""
    case = CASES[name]
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(1)
        net = convert(
            backbone(name), case.after, example=images(name, 1), score=score, pool=case.pool
        )
    return net.eval()


def thresholds_inside(net: DecisionGates, x: Tensor) -> list[float]:
    """Return a threshold per gate, between the scores of two samples in the middle."""
    with torch.no_grad():
        return [float(score.quantile(0.5)) for score in net.scores(net.heads(x))]


# --- what it should do --------------------------------------------------------------------------


def score_by_hand(name: str, logits: Array, weight: Array, earlier: Sequence[Array]) -> float:
    """Return the score of one sample, from the definition."""
    odds = np.exp(logits - logits.max())
    probabilities = odds / odds.sum()
    if name == "margin":
        return float(max(logits))
    if name == "distance":
        return float(max(u / np.linalg.norm(w) for u, w in zip(logits, weight, strict=True)))
    if name == "softmax":
        return float(max(probabilities))
    if name == "entropy":
        return float(-sum(p * np.log(p) for p in probabilities if p > 0))
    count = 0
    for before in reversed(earlier):
        if before.argmax() != logits.argmax():
            break
        count += 1
    return float(count)


class Left(Exception):  # noqa: N818 - no error
    """Raised where a sample leaves."""


class Stopping:
    """The same network, one sample at a time, that really stops where a gate fires.

    Args:
        net: Whose weights it uses.
        thresholds: Of each gate.
    """

    def __init__(self, net: DecisionGates, thresholds: Sequence[float]) -> None:
        self.net, self.thresholds = net, thresholds
        self.ran: list[str] = []

    def __call__(self, x: Tensor) -> tuple[int, Array]:
        """Return the number of the exit, and the logits there; ``ran`` is what ran until then."""
        earlier: list[Array] = []
        self.ran = []
        hooks = [
            module.register_forward_hook(lambda *_, name=name: self.ran.append(name))
            for name, module in self.net.backbone.named_modules()
        ]
        for number, name in enumerate(self.net.after):
            module = self.net.backbone.get_submodule(name)
            hooks.append(module.register_forward_hook(self._gate(number, earlier)))
        try:
            with torch.no_grad():
                return len(self.thresholds), self.net.backbone(x[None])[0].numpy()
        except Left:
            return len(earlier) - 1, earlier[-1]
        finally:
            for hook in hooks:
                hook.remove()

    def _gate(self, number: int, earlier: list[Array]) -> Callable[..., None]:
        gate = cast("nn.Linear", self.net.gates[number])
        weight, bias = gate.weight.detach().numpy(), gate.bias.detach().numpy()
        side, threshold = self.net.pool, self.thresholds[number]

        def decide(module: nn.Module, inputs: object, output: Tensor) -> None:
            del module, inputs
            logits = weight @ _pooled(output[0].numpy(), side) + bias
            score = score_by_hand(self.net.score.name, logits, weight, earlier)
            earlier.append(logits)
            if score <= threshold if self.net.score.name == "entropy" else score >= threshold:
                raise Left

        return decide


def _pooled(features: Array, side: int) -> Array:
    if features.ndim == 1:
        return features
    channels, height, width = features.shape
    cells = features.reshape(channels, side, height // side, side, width // side)
    return cast("Array", cells.mean((2, 4)).reshape(-1))
