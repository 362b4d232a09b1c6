"""Networks with decision gates mean the same in every form; nothing is timed here."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from benchmarks import networks, published
from dyncompile import backbones

Backbone = backbones.ResNet | backbones.DenseNet


def _resnet() -> Backbone:
    return backbones.ResNet(backbones.small_stem(4), (4, 8), (2, 2), bottleneck=True)


def _densenet() -> Backbone:
    return backbones.densenet201(growth=4, depths=(2, 2))


@pytest.fixture(params=[_resnet, _densenet], ids=["resnet", "densenet"])
def build(request: pytest.FixtureRequest) -> Callable[[], Backbone]:
    build: Callable[[], Backbone] = request.param
    return build


@pytest.fixture
def net(build: Callable[[], Backbone]) -> networks.DecisionGates:
    return networks.seeded(lambda: networks.DecisionGates(build(), (1, 3)))


@pytest.fixture
def x() -> torch.Tensor:
    return torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("last", range(3), ids=str)
@torch.no_grad()
def test_thresholds_of_infinity_force_an_exit_in_every_form(
    net: networks.DecisionGates, last: int, x: torch.Tensor
) -> None:
    threshold = net.forcing(last)
    static = networks.StaticExit(net, last)(x)
    forms: list[nn.Module] = [networks.ScoredExits(net), networks.CondScoredExits(net)]
    for form in forms:
        torch.testing.assert_close(form(x, threshold), static, rtol=0, atol=0)


@torch.no_grad()
def test_the_last_exit_is_the_network_without_gates(
    net: networks.DecisionGates, build: Callable[[], Backbone], x: torch.Tensor
) -> None:
    alone = networks.seeded(build)
    parts = [part for segment in net.segments for part in segment.children()] + [net.heads[-1]]
    for found, kept in zip([alone.stem, *alone.blocks, alone.classifier], parts, strict=True):
        found.load_state_dict(kept.state_dict())
    static = networks.StaticExit(net, 2)(x)
    torch.testing.assert_close(alone(x), static, rtol=0, atol=0)


@torch.no_grad()
def test_a_sample_leaves_where_its_largest_score_exceeds_the_threshold(
    net: networks.DecisionGates, x: torch.Tensor
) -> None:
    first, second = (networks.StaticExit(net, last)(x) for last in (0, 1))
    model = networks.ScoredExits(net)
    for margin, expected in ((-1e-3, first), (1e-3, second)):
        threshold = torch.stack([first.amax() + margin, second.amax() - 1])
        torch.testing.assert_close(model(x, threshold), expected, rtol=0, atol=0)


def test_shares_make_the_mean_work_what_is_asked(
    net: networks.DecisionGates, x: torch.Tensor
) -> None:
    gated = published.Gated("Tiny, 2 exits", net, 0.3)
    work = [published.macs(networks.StaticExit(net, last), x) for last in range(3)]
    shares = gated.shares(x)
    assert sum(shares) == pytest.approx(1)
    assert shares[0] == shares[1]
    mean = sum(share * macs for share, macs in zip(shares, work, strict=True))
    assert mean / work[-1] == pytest.approx(0.7)
