"""Mean and variance of each level, measured."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

from dyncompile.errors import InputError
from dyncompile.methods import idp
from tests.methods.idp.networks import images, network, norms, patterns, state


class One(nn.Module):
    """A normalisation of what a cut layer gives."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(4, 4, bias=False), nn.Linear(4, 3, bias=False), nn.BatchNorm1d(3), nn.ReLU()
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.layers(x)
        return scores


def test_they_are_averages_over_batches_of_what_each_level_gives() -> None:
    net = idp.convert(One(), example=torch.ones(1, 4), ratios=(0.5, 1.0))
    x = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
    idp.recalibrate(net, TensorDataset(x, torch.zeros(60).long()), batch_size=20, seed=3)
    x = x[torch.randperm(60, generator=torch.Generator().manual_seed(3))]
    layers = [net.backbone.get_submodule(f"layers.{n}") for n in range(2)]
    first, second = (layer.weight.detach() for layer in layers)  # type: ignore[operator]
    batches = [x[20 * n :][:20] for n in range(3)]
    for level, kept in enumerate((2, 4)):
        given = [(y @ first.T)[:, :kept] @ second[:, :kept].T for y in batches]
        norm = norms(net)[0].at(level)
        torch.testing.assert_close(
            norm.running_mean, torch.stack([y.mean(0) for y in given]).mean(0)
        )
        torch.testing.assert_close(norm.running_var, torch.stack([y.var(0) for y in given]).mean(0))
        assert norm.momentum == 0.1


def test_nothing_else_changes_and_the_same_call_gives_the_same() -> None:
    net = idp.convert(network(), example=images(), profile="linear").train()
    before = state(net)
    idp.recalibrate(net, patterns(), batch_size=32)
    assert not any(part.training for part in net.modules())
    after = state(net)
    moved = {key for key in after if not torch.equal(after[key], before[key])}
    assert moved == {k for k in after if "running_" in k or "num_batches" in k}
    idp.recalibrate(net, patterns(), batch_size=32)
    assert all(torch.equal(value, after[key]) for key, value in net.state_dict().items())


def test_levels_that_need_it_come_closer_to_batch_statistics() -> None:
    net, data = idp.convert(network("resnet"), example=images()), patterns()
    x, _ = data.tensors

    def distances() -> list[float]:
        found = []
        for level in range(4):
            by_batch = idp.convert(network("resnet"), example=images()).train()
            with torch.no_grad():
                found.append(float((by_batch(x, level) - net.eval()(x, level)).abs().mean()))
        return found

    before = distances()
    idp.recalibrate(net, data, batch_size=96)
    assert all(now < 0.1 * was for now, was in zip(distances(), before, strict=True))


def test_one_sample_that_is_left_over_is_left_out() -> None:
    net = idp.convert(One(), example=torch.ones(1, 4))
    idp.recalibrate(net, TensorDataset(torch.randn(9, 4), torch.zeros(9).long()), batch_size=4)
    assert int(norms(net)[0].at(0).num_batches_tracked or 0) == 2


def test_progress_names_the_level() -> None:
    told: list[tuple[str, int, int]] = []
    net = idp.convert(network(), example=images(), ratios=(0.5, 1.0))
    idp.recalibrate(
        net, patterns(), samples=40, batch_size=20, progress=lambda *told_: told.append(told_)
    )
    assert told == [(f"level {n}", done, 40) for n in range(2) for done in (20, 40)]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        pytest.param({"samples": 1}, "samples: 1 samples have no variance", id="samples"),
        pytest.param({"batch_size": 1.5}, "batch_size: 1.5 samples", id="batch size"),
        pytest.param({"data": patterns(1)}, "data: one sample has no variance", id="one sample"),
    ],
)
def test_what_has_no_variance_is_refused(options: dict[str, Any], said: str) -> None:
    net = idp.convert(network(), example=images())
    with pytest.raises(InputError, match=said):
        idp.recalibrate(net, **{"data": patterns(8), **options})


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"seed": "a"}, id="seed"),
        pytest.param({"workers": -1}, id="workers"),
    ],
)
def test_options_that_are_no_numbers_are_refused(options: dict[str, Any]) -> None:
    (name,) = options
    with pytest.raises(InputError, match=f"{name}: .* is no whole number from 0"):
        idp.recalibrate(idp.convert(network(), example=images()), patterns(8), **options)


def test_a_network_without_batch_normalisation_is_refused() -> None:
    net = idp.convert(network("perceptron"), example=images())
    with pytest.raises(InputError, match="Unnormalised: it has no batch normalisation"):
        idp.recalibrate(net, patterns(8))


def test_when_it_fails_the_statistics_are_what_they_were() -> None:
    net = idp.convert(network(), example=images())
    before = state(net)

    def stop(part: str, done: int, total: int) -> None:
        del done, total
        if part == "level 2":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        idp.recalibrate(net, patterns(), progress=stop)
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert not any(part.training for part in net.modules())


def test_the_progress_of_recalibrating_can_be_called() -> None:
    net = idp.convert(network("plain"), example=images())
    with pytest.raises(InputError, match=r"^progress: this is int"):
        idp.recalibrate(net, patterns(8), progress=3)  # type: ignore[arg-type]
