"""Sizes are those of the papers, or of torchvision where it publishes them for the same shape."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from dyncompile import backbones
from dyncompile.backbones import Backbone
from dyncompile.errors import InputError

Build = Callable[..., Backbone]


def _bottlenecks(classes: int, channels: int) -> Backbone:
    stem = backbones.small_stem(4, channels)
    return backbones.ResNet(stem, (4, 8), (1, 2), bottleneck=True, classes=classes)


PUBLISHED: dict[str, tuple[Build, int, float]] = {
    "resnet18": (backbones.resnet18, 11_689_512, 1.814),
    "resnet101": (partial(backbones.resnet101, small=False), 44_549_160, 7.801),
    "densenet201": (partial(backbones.densenet201, small=False), 20_013_928, 4.291),
    "alexnet": (partial(backbones.alexnet, small=False), 61_100_840, 0.714),
    "squeezenet": (partial(backbones.squeezenet, small=False), 1_235_496, 0.349),
}

# Image size of each network, channels of its stem and its blocks, resolution after the last.
RESNET101 = [256] * 3 + [512] * 4 + [1024] * 23 + [2048] * 3
FIRES = [128, 128, 256, 256, 384, 384, 512, 512]
SHAPES: dict[str, tuple[Build, int, list[int], int]] = {
    "resnet20": (partial(backbones.cifar_resnet, 20), 32, [16] * 4 + [32] * 3 + [64] * 3, 8),
    "resnet18": (backbones.resnet18, 224, [64] * 3 + [128] * 2 + [256] * 2 + [512] * 2, 7),
    "resnet101": (backbones.resnet101, 32, [64, *RESNET101], 4),
    "resnet101-large": (partial(backbones.resnet101, small=False), 224, [64, *RESNET101], 7),
    "densenet": (
        partial(backbones.densenet201, growth=4, depths=(2, 1, 2)),
        32,
        [8, 12, 16, 8, 12, 6, 10, 14],
        8,
    ),
    "vgg16": (backbones.vgg16, 32, [64] * 2 + [128] * 2 + [256] * 3 + [512] * 6, 1),
    "mobilenet": (backbones.mobilenet, 32, [64] * 2 + [128] * 2 + [256] * 3, 8),
    "alexnet": (backbones.alexnet, 32, [64, 192, 384, 256, 256], 3),
    "alexnet-large": (partial(backbones.alexnet, small=False), 224, [64, 192, 384, 256, 256], 6),
    "squeezenet": (backbones.squeezenet, 32, [64, *FIRES], 8),
    "squeezenet-large": (partial(backbones.squeezenet, small=False), 224, [64, *FIRES], 13),
    "mlp": (backbones.mlp, 28, [100, 100], 0),
    "small-cnn": (backbones.small_cnn, 32, [16, 16, 32, 32, 64], 8),
    "small-cnn-tiny-image": (backbones.small_cnn, 8, [16, 16, 32, 32, 64], 2),
}

TINY: dict[str, tuple[Build, int]] = {
    "resnet": (partial(backbones.cifar_resnet, 8, width=4), 8),
    "bottlenecks": (_bottlenecks, 8),
    "densenet": (partial(backbones.densenet201, growth=4, depths=(2, 2)), 8),
    "vgg16": (partial(backbones.vgg16, width=8), 32),
    "mobilenet": (partial(backbones.mobilenet, width=8), 8),
    "alexnet": (backbones.alexnet, 32),
    "squeezenet": (backbones.squeezenet, 8),
    "mlp": (partial(backbones.mlp, size=8), 8),
    "small-cnn": (partial(backbones.small_cnn, width=8), 8),
}

# What the first block of each consists of.
PARTS: dict[str, dict[str, list[str]]] = {
    "resnet": {"residual": ["conv1", "norm1", "relu1", "conv2", "norm2"], "shortcut": []},
    "bottlenecks": {
        "residual": ["conv1", "norm1", "relu1", "conv2", "norm2", "relu2", "conv3", "norm3"],
        "shortcut": ["conv", "norm"],
    },
    "densenet": {"layers": ["norm1", "relu1", "conv1", "norm2", "relu2", "conv2"]},
    "vgg16": {"conv": [], "norm": [], "relu": [], "pool": []},
    "mobilenet": {
        "depthwise": [],
        "norm1": [],
        "relu1": [],
        "pointwise": [],
        "norm2": [],
        "relu2": [],
    },
    "alexnet": {"conv": [], "relu": [], "pool": []},
    "squeezenet": {"fire": ["squeeze", "expand1", "expand3"]},
    "mlp": {"linear": [], "relu": []},
    "small-cnn": {"conv": [], "norm": [], "relu": [], "pool": []},
}


def parameters(net: nn.Module) -> int:
    return sum(weight.numel() for weight in net.parameters())


def macs(net: nn.Module, channels: int, size: int) -> int:
    with FlopCounterMode(display=False) as counter:
        net.eval()(torch.zeros(1, channels, size, size, device="meta"))
    return int(counter.get_total_flops()) // 2


def made(name: str) -> Backbone:
    torch.manual_seed(0)
    return TINY[name][0](3, channels=1)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


# --- sizes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("build", "count", "giga_macs"), PUBLISHED.values(), ids=PUBLISHED)
def test_networks_for_224_pixels_have_the_published_size(
    build: Build, count: int, giga_macs: float
) -> None:
    with torch.device("meta"):
        net = build(1000)
    assert parameters(net) == count
    assert macs(net, 3, 224) / 1e9 == pytest.approx(giga_macs, abs=5e-4)


@pytest.mark.parametrize(
    ("depth", "millions"), [(20, 0.27), (32, 0.46), (44, 0.66), (56, 0.85), (110, 1.7)], ids=str
)
def test_cifar_resnets_have_the_published_size_and_two_projections(
    depth: int, millions: float
) -> None:
    with torch.device("meta"):
        net = backbones.cifar_resnet(depth)
    projections = sum(parameters(block.get_submodule("shortcut")) for block in net.blocks)
    assert projections == 16 * 32 + 2 * 32 + 32 * 64 + 2 * 64
    assert round((parameters(net) - projections) / 1e6, 2 if millions < 1 else 1) == millions


def test_resnet20_needs_41_million_macs() -> None:
    with torch.device("meta"):
        net = backbones.cifar_resnet(20)
    halving = 16 * 32 * 9 * 16**2 + 32 * 64 * 9 * 8**2
    alike = 6 * (16 * 32) ** 2 * 9 + 5 * (32 * 16) ** 2 * 9 + 5 * (64 * 8) ** 2 * 9
    projections = 16 * 32 * 16**2 + 32 * 64 * 8**2
    assert macs(net, 3, 32) == 3 * 16 * 9 * 32**2 + alike + halving + projections + 640
    assert round(macs(net, 3, 32) / 1e6) == 41


def test_vgg16_has_the_convolutions_of_the_paper() -> None:
    with torch.device("meta"):
        net = backbones.vgg16()
    convs = [layer for layer in net.modules() if isinstance(layer, nn.Conv2d)]
    assert len(convs) == 13
    biases = sum(conv.out_channels for conv in convs)  # as Keras counts, without its top
    assert sum(parameters(conv) for conv in convs) + biases == 14_714_688
    assert macs(net, 3, 32) / 1e6 == pytest.approx(313.5, abs=0.05)


def test_mobilenet_has_the_work_that_the_formula_of_the_paper_gives() -> None:
    with torch.device("meta"):
        net = backbones.mobilenet()
    sides = {(64, 64): 32, (64, 128): 16, (128, 128): 16, (128, 256): 8, (256, 256): 8}
    layers = [(64, 64), (64, 128), (128, 128), (128, 256), (256, 256), (256, 256)]
    separable = sum((9 * m + m * n) * sides[m, n] ** 2 for m, n in layers)
    assert macs(net, 3, 32) == 3 * 64 * 9 * 32**2 + separable + 256 * 10


def test_the_perceptron_is_784_100_100_10() -> None:
    net = backbones.mlp()
    layers = [layer for layer in net.modules() if isinstance(layer, nn.Linear)]
    sizes = [(layer.in_features, layer.out_features) for layer in layers]
    assert sizes == [(784, 100), (100, 100), (100, 10)]


# --- shapes and names ------------------------------------------------------------------------


@pytest.mark.parametrize(("build", "size", "widths", "side"), SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("channels", [1, 3], ids=["grey", "colour"])
def test_stem_blocks_and_classifier_run_once_in_order(
    build: Build, size: int, widths: list[int], side: int, channels: int
) -> None:
    with torch.device("meta"):
        net, x = build(7, channels=channels).eval(), torch.zeros(2, channels, size, size)
    names = ["stem", *(f"blocks.{number}" for number in range(len(widths) - 1)), "classifier"]
    seen: list[tuple[str, torch.Size]] = []

    def note(name: str, _module: nn.Module, _inputs: object, output: Tensor) -> None:
        seen.append((name, output.shape))

    for name in names:
        net.get_submodule(name).register_forward_hook(partial(note, name))
    assert [name for name, _ in net.named_children()] == ["stem", "blocks", "classifier"]
    assert len(net.blocks) == len(widths) - 1
    net(x)
    assert [name for name, _ in seen] == names
    assert [shape[:2] for _, shape in seen] == [(2, width) for width in [*widths, 7]]
    assert seen[-2][1][2:] in {(), (side, side)}
    assert seen[-1][1] == (2, 7)


@pytest.mark.parametrize("name", TINY, ids=str)
def test_parts_of_a_block_keep_their_names(name: str) -> None:
    found = {
        part: [inner for inner, _ in module.named_children()]
        for part, module in made(name).blocks[0].named_children()
    }
    assert found == PARTS[name]


def test_resnets_and_densenets_say_how_wide_their_blocks_are() -> None:
    for name in ("resnet", "bottlenecks", "densenet"):
        net = made(name)
        assert isinstance(net, backbones.ResNet | backbones.DenseNet)
        x, widths = net.stem(torch.zeros(1, 1, 8, 8)), []
        for block in net.blocks:
            x = block(x)
            widths.append(x.shape[1])
        assert tuple(widths) == net.block_widths


@torch.no_grad()
def test_walking_a_resnet_is_running_it_where_every_block_is_run() -> None:
    net, x = made("resnet").eval(), torch.randn(2, 1, 8, 8)
    assert isinstance(net, backbones.ResNet)
    numbers = []

    def run(number: int, block: backbones.Block, x: Tensor) -> Tensor:
        numbers.append(number)
        found: Tensor = block(x)
        return found

    torch.testing.assert_close(net.walk(x, run), net(x), rtol=0, atol=0)
    assert numbers == list(range(net.gates)) == [0]


@torch.no_grad()
def test_a_dense_layer_hands_on_what_came_in() -> None:
    net = backbones.densenet201(growth=4, depths=(2, 1)).eval()
    layer, x = net.blocks[0], torch.randn(1, 8, 4, 4)
    found: Tensor = layer(x)
    assert found.shape == (1, 12, 4, 4)
    torch.testing.assert_close(found[:, :8], x, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("depth", "said"),
    [(18, "14 or 20"), (21, "20 or 26"), (2, "8 or 14"), (0, "8 or 14"), (-4, "8 or 14")],
    ids=str,
)
def test_other_depths_than_6n_and_2_are_refused(depth: int, said: str) -> None:
    with pytest.raises(InputError, match=rf"^depth {depth}: .* {said}\.$"):
        backbones.cifar_resnet(depth)


# --- weights ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TINY, ids=str)
def test_weights_begin_as_the_papers_have_them(name: str) -> None:
    net = made(name)
    layers = [layer for layer in net.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    for layer in layers:
        variance = 1e-4 if layer is layers[-1] else 2 / layer.weight[0].numel()
        spread = 6 / layer.weight.numel() ** 0.5  # four deviations of a sample's variance
        assert layer.weight.var().item() / variance == pytest.approx(1, abs=spread)
        assert layer.bias is None or not layer.bias.any()
    norms = (nn.BatchNorm1d, nn.BatchNorm2d)
    for norm in (module for module in net.modules() if isinstance(module, norms)):
        assert (norm.weight == 1).all()
        assert not norm.bias.any()


def test_one_seed_gives_the_same_weights_again() -> None:
    first, again = made("small-cnn").state_dict(), made("small-cnn").state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)


@pytest.mark.parametrize("name", TINY, ids=str)
def test_a_network_learns_a_batch(name: str) -> None:
    net, size = made(name), TINY[name][1]
    for layer in net.modules():
        layer.train(not isinstance(layer, nn.Dropout))  # dropout alone would move the loss
    x, labels = torch.randn(3, 1, size, size), torch.arange(3)
    rate = {"alexnet": 2e-4, "squeezenet": 1e-3}.get(name, 1e-2)  # these are not normalised
    optimizer = torch.optim.Adam(net.parameters(), rate)
    losses = []
    for _ in range(8):
        loss: Tensor = nn.functional.cross_entropy(net(x), labels)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


# --- import ----------------------------------------------------------------------------------


def test_importing_the_networks_loads_torch_and_nothing_else_that_is_large() -> None:
    program = "import sys, dyncompile.backbones; print(*sys.modules)"
    command = [sys.executable, "-c", program]
    loaded = set(subprocess.check_output(command, text=True).split())
    assert "torch" in loaded
    assert not loaded & {
        *("dyncompile.markers", "dyncompile.exporting", "ignite", "matplotlib", "onnx", "onnx_ir"),
        *("onnxruntime", "onnxscript", "PIL", "sklearn", "torchvision"),
    }
