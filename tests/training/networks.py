"""A small network and small data to train it on."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from dyncompile.data import Images
from dyncompile.training import Recipe

SHORT = Recipe(epochs=3, lr=0.05, batch_size=16)


def network(seed: int = 0) -> nn.Sequential:
    """Return a network with everything that has a state or draws at random."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU()),
            nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Dropout(0.1)),
            nn.Linear(32, 3),
        )


def images(count: int = 49, seed: int = 0) -> Images:
    """Return noise with a bright bar; its place is the class."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        labels = torch.randint(3, (count,))
        pixels = torch.randint(100, (count, 1, 9, 9), dtype=torch.uint8)
        for image, label in zip(pixels, labels.tolist(), strict=True):
            image[:, 3 * label : 3 * label + 3] += 100
    return Images(pixels, labels, ("top", "middle", "bottom"))


def one_by_one(data: Images) -> TensorDataset:
    """Return the same as a dataset that knows no batches."""
    return TensorDataset(data.floats(), data.labels)


def weights(model: nn.Module) -> Tensor:
    """Return all numbers of a model as one row."""
    return torch.cat([value.flatten().double() for value in model.state_dict().values()])


def noisy(batch: Tensor) -> Tensor:
    """Return a batch with noise on it."""
    return batch + 0.1 * torch.randn_like(batch)
