"""Artifacts of every kind, with inputs and knobs to run them on, in Python and in C++."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import dyncompile
from benchmarks.engine_networks import MARKERS, marker_network
from dyncompile.knobs import Knob, Levels, Threshold
from dyncompile.markers import early_exit, gate, switch

Array = NDArray[Any]
Feeds = Mapping[str, Array]
Point = Mapping[str, Any]

TYPES = {
    "bool": torch.bool,
    "float16": torch.float16,
    "float32": torch.float32,
    "float64": torch.float64,
    "int8": torch.int8,
    "int16": torch.int16,
    "int32": torch.int32,
    "int64": torch.int64,
    "uint8": torch.uint8,
    "uint16": torch.uint16,
    "uint32": torch.uint32,
    "uint64": torch.uint64,
}


@dataclass(frozen=True)
class Case:
    """How an artifact is exported, and where it is run."""

    network: Callable[[], nn.Module]
    examples: Mapping[str, Tensor]
    points: Sequence[Point] = ({},)
    options: Mapping[str, Any] = field(default_factory=dict)
    batches: Sequence[int] = (1,)

    def export(self, path: Path) -> Path:
        """Write the artifact."""
        dyncompile.export(self.network(), self.examples, path, **self.options)
        return path

    def feeds(self) -> list[Feeds]:
        """Return inputs to run it on; none has two in a row alike."""
        rng = np.random.default_rng(0)
        return [
            {name: _drawn(rng, tensor, batch) for name, tensor in self.examples.items()}
            for batch in self.batches
            for _ in range(2)
        ]


def _drawn(rng: np.random.Generator, tensor: Tensor, batch: int) -> Array:
    shape = tuple(tensor.shape)
    shape = (batch, *shape[1:]) if batch > 1 else shape
    dtype = tensor.numpy().dtype
    if dtype.kind in "iub":
        return rng.integers(0, 2, shape).astype(dtype)
    return rng.standard_normal(shape).astype(dtype)


class Turned(nn.Module):
    """A tensor of any type, turned around or not, and its first elements."""

    def forward(self, x: Tensor, take: Tensor) -> tuple[Tensor, Tensor]:
        """Return two tensors of the type of ``x``."""
        return gate(take, x.flip(0), x, name="turn"), x[:2]


class Exits(nn.Module):
    """Two exits inside of each other and a block that may be skipped, a threshold each."""

    def __init__(self) -> None:
        super().__init__()
        self.knobs: dict[str, Knob] = {
            "thresholds": Threshold((0.3, 0.4), 0, 1),
            "level": Levels(("fast", "best"), 1),
        }
        self.layers = nn.ModuleList(nn.Linear(6, 6) for _ in range(6))

    def forward(self, x: Tensor, thresholds: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``float[1, 6]`` and ``float[1]``."""
        first, second, third, head, other, last = self.layers
        x = first(x).tanh()
        x = gate(x.mean() > 0, x + second(x), x, name="block")
        early = head(x)
        x = switch(level, [third(x), third(x).relu() + x], name="effort")
        middle = other(x)
        confident = [scores.softmax(-1).amax(-1) for scores in (early, middle)]
        late = early_exit(confident[1] > thresholds[1], middle, last(x), name="exit2")
        scores: Tensor = early_exit(confident[0] > thresholds[0], early, late, name="exit1")
        return scores, scores.amax(-1)


class Batched(nn.Module):
    """A block that a knob skips, for batches of any size."""

    def __init__(self, width: int = 5) -> None:
        super().__init__()
        self.knobs = {"level": Levels((0, 1))}
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(2))

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        """Return a tensor of the shape of ``x``."""
        first, second = self.layers
        x = first(x)
        found: Tensor = gate(level > 0, x + second(x).relu(), x, name="block")
        return found


def _seeded(network: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        torch.manual_seed(zlib.crc32(network.__name__.encode()))
        return network().eval()

    return build


def _marker(name: str) -> Case:
    net, x = marker_network(name)
    knob = net.knobs["knob"]
    thresholds = (-np.inf, 0.1, 0.3, np.inf)
    values: Sequence[float] = range(len(knob.values)) if isinstance(knob, Levels) else thresholds
    return Case(lambda: net, {"x": x}, [{"knob": value} for value in values])


def _exits(**options: object) -> Case:
    points: list[Point] = [
        {},
        {"level": 0},
        {"thresholds": [0.0, 1.0]},
        {"thresholds": [np.inf, 0.0], "level": 0},
        {"thresholds": [np.inf, np.inf]},
        {"thresholds": 0.25},
    ]
    return Case(_seeded(Exits), {"x": torch.randn(1, 6)}, points, options)


def _turned(dtype: torch.dtype) -> Case:
    take = torch.tensor(data=True)
    x = torch.ones(3, 2, dtype=torch.int64).to(dtype)
    return Case(Turned, {"x": x, "take": take})


_BATCH = {"dynamic_shapes": {"x": {0: torch.export.Dim("batch", min=2, max=9)}}}

CASES: dict[str, Callable[[], Case]] = {
    **{name: partial(_marker, name) for name in MARKERS},
    **{f"of {name}": partial(_turned, dtype) for name, dtype in TYPES.items()},
    "exits": _exits,
    "telemetry": lambda: _exits(telemetry=True),
    "knobs with defaults": lambda: _exits(default_knobs=True),
    "weights in a second file": lambda: Case(
        _seeded(lambda: Batched(32)), {"x": torch.randn(1, 32)}, options={"external_data": True}
    ),
    "a batch of any size": lambda: Case(
        _seeded(Batched), {"x": torch.randn(2, 5)}, [{}, {"level": 0}], _BATCH, batches=(2, 3, 7)
    ),
}
