"""One decision that goes by several names: the artifact has one, the model forces all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import dyncompile
from dyncompile import Levels, gate, per_level, switch


class Layers(nn.Module):
    """Three layers and a forward that is given."""

    def __init__(self, forward: Callable[[nn.ModuleList, Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(8, 8) for _ in range(3)])
        self.given = forward

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        return self.given(self.layers, x, level)


def run(layer: nn.Module, x: Tensor) -> Tensor:
    result: Tensor = layer(x)
    return result


def computed_alike(layers: nn.ModuleList, x: Tensor, level: Tensor) -> Tensor:
    """Each option asks the same question, and the exporter sees that it is the same."""
    return switch(
        level,
        [gate(x.mean(1) > 0, run(layers[k], x), x, name=f"n{k}") for k in range(3)],
        name="level",
    )


def made_outside(layers: nn.ModuleList, x: Tensor, level: Tensor) -> Tensor:
    """A decision is made once and used, unnamed, at every level."""
    take = x.mean(1) > 0
    return per_level(level, lambda k: gate(take, run(layers[k], x), x))


def opposites(layers: nn.ModuleList, x: Tensor, level: Tensor) -> Tensor:
    """A decision and its opposite, in different branches."""
    take = x.mean(1) > 0
    x = gate(take, run(layers[0], x), x, name="straight")
    return per_level(
        level, lambda k: gate(~take, run(layers[k], x), torch.tanh(x), name=f"turned{k}")
    )


@pytest.mark.parametrize("forward", [computed_alike, made_outside, opposites])
def test_every_name_can_be_forced(
    forward: Callable[[nn.ModuleList, Tensor, Tensor], Tensor], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    model, path = Layers(forward), tmp_path / "net.onnx"
    knobs = {"level": Levels((1, 2, 3))}
    report = dyncompile.export(model, torch.randn(1, 8), path, knobs)
    assert report is not None
    assert report.complete
    assert not report.unforced
    known = {d.name for d in dyncompile.load(path).decisions}
    known |= {name for d in dyncompile.load(path).decisions for name, _ in d.aliases}
    for level in range(3):
        with dyncompile.follow() as taken:
            model(torch.randn(1, 8), torch.tensor(level))
        assert set(taken) <= known
