"""The benchmarked networks mean the same in every form; nothing is timed here."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from benchmarks import networks

PATHS = [(True, True, True), (True, False, True), (False, False, False)]


@pytest.fixture(scope="module")
def resnet() -> networks.ResNet:
    def build() -> networks.ResNet:
        stem = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, padding=1))
        return networks.ResNet(stem, (4, 8), (2, 2), bottleneck=False)

    return networks.seeded(build)


@pytest.fixture(scope="module")
def bottleneck() -> networks.ResNet:
    def build() -> networks.ResNet:
        stem = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, padding=1))
        return networks.ResNet(stem, (4,), (3,), bottleneck=True, gate_all=True)

    return networks.seeded(build)


@pytest.fixture(scope="module")
def exits() -> networks.ExitNet:
    return networks.seeded(lambda: networks.ExitNet(4, exits=3))


@pytest.fixture
def image() -> torch.Tensor:
    return torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def test_downsampling_blocks_are_not_gated_unless_asked(
    resnet: networks.ResNet, bottleneck: networks.ResNet
) -> None:
    assert resnet.is_gated == (True, True, False, True)
    assert bottleneck.is_gated == (True, True, True)


@pytest.mark.parametrize(
    ("build", "gates"), [(networks.resnet18, 5), (networks.resnet20, 7)], ids=["18", "20"]
)
def test_published_networks_have_the_stated_gates(
    build: Callable[[], networks.ResNet], gates: int
) -> None:
    assert build().gates == gates


def test_resnet101_scales_in_depth() -> None:
    assert networks.resnet101(width=4).gates == 33
    assert networks.resnet101(times=4, width=4).gates == 132


def test_weights_depend_on_the_seed_alone(exits: networks.ExitNet) -> None:
    again = networks.seeded(lambda: networks.ExitNet(4, exits=3))
    for ours, theirs in zip(exits.state_dict().values(), again.state_dict().values(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


@pytest.mark.parametrize("path", PATHS, ids=["on", "half", "off"])
@pytest.mark.parametrize("name", ["resnet", "bottleneck"])
@torch.no_grad()
def test_a_gated_path_equals_the_static_network_of_that_path(
    name: str, path: tuple[bool, ...], image: torch.Tensor, request: pytest.FixtureRequest
) -> None:
    net = request.getfixturevalue(name)
    static = networks.StaticResNet(net, path)(image)
    gated = networks.GatedResNet(net)(image, torch.tensor(path))
    assert static.shape == (1, networks.CLASSES)
    torch.testing.assert_close(gated, static, rtol=0, atol=0)


@pytest.mark.parametrize("last", range(3), ids=str)
@torch.no_grad()
def test_every_form_of_an_exit_gives_the_scores_of_that_exit(
    exits: networks.ExitNet, last: int, image: torch.Tensor
) -> None:
    leave = torch.arange(2) == last
    threshold = torch.where(leave, -torch.inf, torch.inf)
    static = networks.StaticExit(exits, last)(image)
    scored, compared = networks.StaticScoredExit(exits, last)(image, threshold)
    assert static.shape == (1, networks.CLASSES)
    assert compared.tolist() == leave[: last + 1].tolist()
    for found in [
        scored,
        networks.GatedExits(exits)(image, leave),
        networks.ScoredExits(exits)(image, threshold),
        networks.AnytimeExits(exits)(image, torch.tensor(last)),
    ]:
        torch.testing.assert_close(found, static, rtol=0, atol=0)
