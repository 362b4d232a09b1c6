"""A small network with gates, trained for a second on noisy patterns of four classes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import Dataset

from dyncompile.methods.dgate.converting import convert
from dyncompile.methods.dgate.gates import DecisionGates
from dyncompile.training import one_thread

CLASSES = 4
SHAPE = (3, 8, 8)


@dataclass(frozen=True)
class Patterns(Dataset[tuple[Tensor, Tensor]]):
    """Elements are an image and its class; ``groups`` as in a dataset that has them."""

    images: Tensor
    labels: Tensor
    groups: Tensor | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.images[index], self.labels[index]


def patterns(count: int, seed: int) -> Patterns:
    """Draw patterns under more or less noise."""
    rng = torch.Generator().manual_seed(seed)
    each = torch.randn(CLASSES, *SHAPE, generator=torch.Generator().manual_seed(0))
    labels = torch.randint(0, CLASSES, (count,), generator=rng)
    noise = 3 * torch.rand(count, 1, 1, 1, generator=rng)
    return Patterns(each[labels] + noise * torch.randn(count, *SHAPE, generator=rng), labels)


def trained(score: str = "margin") -> DecisionGates:
    """Return a copy of the network, in evaluation mode, with two gates of this score."""
    net = _untrained(score)
    net.load_state_dict(_weights())
    return net.eval()


def _untrained(score: str) -> DecisionGates:
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        backbone = nn.Sequential(
            *(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU()),
            *(nn.Conv2d(8, 16, 3, padding=1), nn.ReLU()),
            *(nn.Conv2d(16, 16, 3, padding=1), nn.ReLU()),
            *(nn.Flatten(), nn.Linear(256, CLASSES)),
        )
        return convert(backbone, ["1", "3"], example=torch.zeros(1, *SHAPE), score=score)


@cache
def _weights() -> dict[str, Tensor]:
    with one_thread():
        return _train(_untrained("margin").train())


def _train(net: DecisionGates) -> dict[str, Tensor]:
    data = patterns(1024, seed=1)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    for step in range(64):
        batch = slice(step % 8 * 128, (step % 8 + 1) * 128)
        heads = net.heads(data.images[batch])
        loss = torch.stack([cross_entropy(logits, data.labels[batch]) for logits in heads]).sum()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return net.state_dict()
