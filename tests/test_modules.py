"""Parametrized tensors made plain."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize

from dyncompile.modules import without_parametrizations


class Doubled(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * x


def network() -> nn.Module:
    """Two parametrized layers, one of them twice, one at two tensors."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        layer = nn.Linear(4, 4)
        parametrize.register_parametrization(layer, "weight", Doubled())
        parametrize.register_parametrization(layer, "weight", Doubled())
        parametrize.register_parametrization(layer, "bias", Doubled())
        normed = parametrizations.weight_norm(nn.Linear(4, 4))
        return nn.Sequential(layer, normed, nn.Linear(4, 4), layer)


def test_a_plain_network_stays_the_same_object() -> None:
    net = nn.Sequential(nn.Linear(4, 4))
    assert without_parametrizations(net) is net


def test_parametrized_tensors_become_what_they_are_now() -> None:
    net, x = network(), torch.ones(1, 4)
    plain = without_parametrizations(net)
    assert torch.equal(plain(x), net(x))
    assert [type(part) for part in plain.modules()] == [nn.Sequential, *[nn.Linear] * 3]
    assert plain.get_submodule("0") is plain.get_submodule("3")
    assert sorted(plain.state_dict()) == [
        f"{n}.{name}" for n in range(4) for name in ("bias", "weight")
    ]


def test_the_network_goes_on_as_it_was() -> None:
    net, x = network(), torch.ones(1, 4)
    before = net(x)
    plain = without_parametrizations(net)
    with torch.no_grad():
        for parameter in plain.parameters():
            parameter.zero_()
    assert torch.equal(net(x), before)
    assert parametrize.is_parametrized(net.get_submodule("0"), "weight")
    net(x).sum().backward()
    assert all(parameter.grad is not None for parameter in net.parameters())


def test_the_mode_and_buffers_stay() -> None:
    net = nn.Sequential(network(), nn.BatchNorm1d(4)).eval()
    plain = without_parametrizations(net)
    assert not any(part.training for part in plain.modules())
    assert dict(plain.named_buffers()).keys() == dict(net.named_buffers()).keys()
