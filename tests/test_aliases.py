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


class InBranches(nn.Module):
    """A decision of two names, whose copies in branches have one each."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(8, 8) for _ in range(4)])

    def forward(self, x: Tensor) -> Tensor:
        a, b, c, d = self.layers
        outer = (3 * x.sum()).long()
        index = (2 * a(x).sum()).long()
        one = switch(index, [b(x), x, x.neg()], name="first")
        other = switch(index, [c(x), d(x), x], name="second")
        result: Tensor = switch(outer, [one, other, x], name="outer")
        return result


def test_copies_of_a_decision_have_the_same_names(tmp_path: Path) -> None:
    torch.manual_seed(0)
    path = tmp_path / "net.onnx"
    report = dyncompile.export(InBranches(), torch.randn(1, 8), path, telemetry=True)
    assert report is not None
    inner = [one for one in dyncompile.load(path).decisions if one.name != "outer"]
    assert [(one.name, [other for other, _ in one.aliases]) for one in inner] == [
        ("first", ["second"])
    ]
