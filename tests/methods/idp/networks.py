"""Networks to cut, and what they do when their layers read less, written out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from dyncompile import backbones
from dyncompile.methods.idp.looking import WeightedLayer
from dyncompile.methods.idp.norms import LevelNorm
from dyncompile.training import Recipe

CLASSES = 3
SHORT = Recipe(epochs=2, lr=0.05, batch_size=16)


class Plain(nn.Module):
    """Convolutions, normalised, and a linear layer on a flattened map."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.body = nn.Sequential(nn.Conv2d(8, 12, 3, 2, 1), nn.BatchNorm2d(12), nn.ReLU())
        self.head = nn.Linear(12 * 4, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.body(self.stem(x)).flatten(1)
        scores: Tensor = self.head(nn.functional.dropout(x, 0.2, self.training))
        return scores


class Unnormalised(nn.Module):
    """A perceptron as in the paper, without batch normalisation."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.Flatten(), nn.Linear(48, 10), nn.ReLU()),
            *(nn.Linear(10, 10), nn.ReLU(), nn.Linear(10, CLASSES)),
        )

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.layers(x)
        return scores


class Grouped(nn.Module):
    """Convolutions in groups, transposed, and both; groups of one channel and of several."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 8, 1),
            nn.Conv2d(8, 16, 3, padding=1, groups=8),
            nn.Conv2d(16, 12, 1, groups=2),
            nn.ConvTranspose2d(12, 6, 2, 2),
            nn.ConvTranspose2d(6, 8, 2, 2, groups=2),
        )
        self.head = nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.head(self.layers(x).mean((2, 3)))
        return scores


class Tokens(nn.Module):
    """Linear layers on [N, T, C]."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(4, 10), nn.GELU(), nn.Linear(10, 7), nn.GELU(), nn.Linear(7, CLASSES)
        )

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.layers(x.flatten(1, 2)).mean(1)
        return scores


BUILDERS: dict[str, Callable[[], nn.Module]] = {
    "plain": Plain,
    "perceptron": Unnormalised,
    "grouped": Grouped,
    "tokens": Tokens,
    "resnet": lambda: backbones.cifar_resnet(8, CLASSES, width=4),
    "densenet": lambda: backbones.densenet201(CLASSES, growth=3, depths=(1, 1)),
    "mobilenet": lambda: backbones.mobilenet(CLASSES, width=4),
}


def network(name: str = "plain") -> nn.Module:
    """Build a network with seeded weights and statistics, in evaluation mode."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        net = BUILDERS[name]()
        for part in net.modules():
            if isinstance(part, (nn.BatchNorm1d, nn.BatchNorm2d)):
                part.running_mean = torch.randn_like(cast("Tensor", part.running_mean)) / 10
                part.running_var = torch.rand_like(cast("Tensor", part.running_var)) + 0.5
    return net.eval()


def images(count: int = 2, seed: int = 0) -> Tensor:
    """Draw ``float32[count, 3, 4, 4]``."""
    return torch.randn(count, 3, 4, 4, generator=torch.Generator().manual_seed(seed))


def patterns(count: int = 96, seed: int = 1) -> TensorDataset:
    """Draw patterns of three classes under noise."""
    rng = torch.Generator().manual_seed(seed)
    each = torch.randn(CLASSES, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    labels = torch.randint(0, CLASSES, (count,), generator=rng)
    return TensorDataset(each[labels] + torch.randn(count, 3, 4, 4, generator=rng), labels)


def state(net: nn.Module) -> dict[str, Tensor]:
    """Return a copy of what a network holds."""
    return {name: value.clone() for name, value in net.state_dict().items()}


def share_right(net: Callable[[Tensor], Tensor], data: TensorDataset) -> float:
    """Return how often a network is right."""
    x, labels = data.tensors
    with torch.no_grad():
        return float((net(x).argmax(1) == labels).float().mean())


# --- what it should do --------------------------------------------------------------------------


def cut_by_hand(
    net: nn.Module,
    counts: Mapping[str, int],
    profile: Callable[[int], Sequence[float]],
    x: Tensor,
) -> Tensor:
    """Run an ordinary network whose layers, by name, read their first input channels alone.

    What the others hold is made NaN before it is thrown away, and weights are multiplied one
    input channel at a time.
    """
    hooks = []
    for name, count in counts.items():
        layer = net.get_submodule(name)
        assert isinstance(layer, WeightedLayer)
        hooks.append(layer.register_forward_hook(_doing(layer, count, profile)))
    try:
        with torch.no_grad():
            result: Tensor = net(x)
    finally:
        for hook in hooks:
            hook.remove()
    return result


def _doing(layer: Any, count: int, profile: Callable[[int], Sequence[float]]) -> Any:  # noqa: ANN401
    def do(module: nn.Module, args: tuple[Tensor], output: Tensor) -> Tensor:
        del module
        x = args[0].movedim(-1, 1) if isinstance(layer, nn.Linear) else args[0]
        summed = torch.zeros_like(output)
        gammas = profile(x.shape[1])
        for channel in range(count):
            alone = torch.zeros_like(x)
            alone[:, channel] = gammas[channel] * x[:, channel]
            given = alone.movedim(1, -1) if isinstance(layer, nn.Linear) else alone
            summed += _without_bias(layer, given)
        if layer.bias is None:
            return summed
        shape = [-1] if isinstance(layer, nn.Linear) else [1, -1, 1, 1]
        biased: Tensor = summed + layer.bias.reshape(shape)
        return biased

    return do


def _without_bias(layer: Any, x: Tensor) -> Tensor:  # noqa: ANN401
    bias, layer.bias = layer.bias, None
    try:
        result: Tensor = layer.forward(x)
    finally:
        layer.bias = bias
    return result


def norms(net: nn.Module) -> list[LevelNorm]:
    """Return the normalisations of levels."""
    return [part for part in net.modules() if isinstance(part, LevelNorm)]
