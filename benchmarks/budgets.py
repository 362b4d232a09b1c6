"""What a width costs in a file that has all of them: ``python -m benchmarks.budgets``.

Four levels, 25 to 100 % of the channels. Every ratio is a median of quotients, measured in turns
against a static network of that width. See ``harness.py``.
"""

from __future__ import annotations

__all__ = ["GROUPS", "main"]

from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor

from benchmarks.budgets_networks import Network, conv_layers, linear_layers
from benchmarks.budgets_rows import LINEAR, layers_rows, own_slices_rows, switch_rows
from benchmarks.harness import Bench, Row, command, image
from dyncompile import backbones

CONVS = ((64, 32), (128, 16), (256, 14), (256, 8))
WITH_PEERS = ((64, 32),)
SAMPLES = (1, 16)
FEATURES = 64


def convs(bench: Bench) -> Iterator[Row]:
    """Eight convolutions."""
    for width, size in CONVS[:1] if bench.quick else CONVS:
        network = _convs(bench, width, size)
        yield from layers_rows(bench, network, peers=(width, size) in WITH_PEERS)


def linears(bench: Bench) -> Iterator[Row]:
    """Four linear layers."""
    width = 256 if bench.quick else 1024
    for samples in SAMPLES[:1] if bench.quick else SAMPLES:
        title, x = f"4x linear {width} M{samples}", _features(samples)
        network = Network.of(title, linear_layers, width, x)
        peers = samples == 1 and not bench.quick
        yield from layers_rows(bench, network, target=LINEAR, peers=peers)


def vgg16(bench: Bench) -> Iterator[Row]:
    """VGG-16 as in the paper on incomplete dot products."""
    width = 16 if bench.quick else 64
    network = Network.of("VGG-16", lambda width: backbones.vgg16(width=width), width, image(32))
    yield from switch_rows(bench, network, saving=True)


def resnet20(bench: Bench) -> Iterator[Row]:
    """A small network with residual adds."""
    depth = 8 if bench.quick else 20
    network = Network.of(
        f"ResNet-{depth}", lambda width: backbones.cifar_resnet(depth, width=width), 16, image(32)
    )
    yield from switch_rows(bench, network)


def mobilenet(bench: Bench) -> Iterator[Row]:
    """A small network with depthwise convolutions."""
    width = 16 if bench.quick else 64
    network = Network.of(
        "MobileNet", lambda width: backbones.mobilenet(width=width), width, image(32)
    )
    yield from switch_rows(bench, network)


def own_slices(bench: Bench) -> Iterator[Row]:
    """Widths that the author slices."""
    yield from own_slices_rows(bench, _convs(bench, *CONVS[0]))


GROUPS = {
    "convs": convs,
    "linears": linears,
    "vgg16": vgg16,
    "resnet20": resnet20,
    "mobilenet": mobilenet,
    "own-slices": own_slices,
}


def _convs(bench: Bench, width: int, size: int) -> Network:
    hidden = 1 if bench.quick else 8
    build = partial(conv_layers, hidden=hidden)
    return Network.of(f"{hidden}x conv3x3 C{width} S{size}", build, width, image(size))


def _features(samples: int) -> Tensor:
    return torch.randn(samples, FEATURES, generator=torch.Generator().manual_seed(0))


main = command(
    "benchmarks.budgets",
    GROUPS,
    about="Print what each width costs against the static network of that width.",
)

if __name__ == "__main__":
    main()
