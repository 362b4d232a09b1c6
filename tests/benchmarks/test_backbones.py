"""Parameters and multiply-accumulates are those that torchvision publishes for its own."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import backbones

Build = Callable[[], nn.Module]

PUBLISHED = {
    "resnet18": (partial(backbones.resnet18, 1000), 224, 11_689_512, 1.814),
    "resnet101": (partial(backbones.resnet101, 1000, small=False), 224, 44_549_160, 7.801),
    "densenet201": (partial(backbones.densenet201, 1000, small=False), 224, 20_013_928, 4.291),
}


@pytest.mark.parametrize(
    ("build", "size", "parameters", "giga_macs"), PUBLISHED.values(), ids=PUBLISHED
)
def test_published_networks_have_the_published_size(
    build: Build, size: int, parameters: int, giga_macs: float
) -> None:
    with torch.device("meta"):
        net, x = build().eval(), torch.zeros(1, 3, size, size)
    with FlopCounterMode(display=False) as counter:
        scores = net(x)
    assert scores.shape == (1, 1000)
    assert sum(weight.numel() for weight in net.parameters()) == parameters
    assert counter.get_total_flops() / 2e9 == pytest.approx(giga_macs, abs=5e-4)


@pytest.mark.parametrize(
    "build",
    [backbones.resnet20, backbones.resnet101, backbones.densenet201],
    ids=lambda b: b.__name__,
)
def test_networks_for_small_images_end_at_their_last_resolution(build: Build) -> None:
    with torch.device("meta"):
        net, x = build().eval(), torch.zeros(2, 3, 32, 32)
    assert isinstance(net, backbones.ResNet | backbones.DenseNet)
    assert net(x).shape == (2, backbones.CLASSES)
    widths = []
    x = net.stem(x)
    for block in net.blocks:
        x = block(x)
        widths.append(x.shape[1])
    assert tuple(widths) == net.block_widths
    assert x.shape[2] == (8 if build is backbones.resnet20 else 4)


@torch.no_grad()
def test_a_dense_layer_hands_on_what_came_in() -> None:
    net = backbones.densenet201(growth=4, depths=(2, 1)).eval()
    layer, x = net.blocks[0], torch.randn(1, 8, 4, 4)
    found: Tensor = layer(x)
    assert found.shape == (1, 12, 4, 4)
    torch.testing.assert_close(found[:, :8], x, rtol=0, atol=0)
