"""Networks that classify images, to put decisions into: written out, with random weights.

| builder | image | source |
|---|---|---|
| ``cifar_resnet`` | 32 | He, Zhang, Ren, Sun: Deep residual learning, CVPR 2016, section 4.2 |
| ``resnet18`` | 224 | the same, table 1 |
| ``resnet101`` | 32, 224 | the same, table 1 |
| ``densenet201`` | 32, 224 | Huang, Liu, van der Maaten, Weinberger: DenseNet, CVPR 2017 |
| ``vgg16`` | 32 | Simonyan, Zisserman: Very deep convolutional networks, ICLR 2015 |
| ``mobilenet`` | 32 | Howard et al.: MobileNets, 2017, as small as McDanel et al. have it |
| ``alexnet`` | 32, 224 | Krizhevsky: One weird trick, 2014 |
| ``squeezenet`` | 32, 224 | Iandola et al.: SqueezeNet, 2016, version 1.1 |
| ``mlp`` | 28 | McDanel, Teerapittayanon, Kung: Incomplete dot products, 2017 |
| ``small_cnn`` | 8 to 32 | ours |

Each takes ``float[N, channels, H, W]``, with ``channels=1`` for grey images, and returns
``float[N, classes]``. The size of the image is the one it is made for; where the docstring does
not say otherwise, a larger one will do.

Each has the same parts, in the order they run: ``stem``, ``blocks.0``, ``blocks.1``, ...,
``classifier``. What a block returns is what the next one reads, and nothing else, so a network can
be left or cut after any of them.

Convolutions and linear layers begin as He et al. (2015) have it: normal, with variance 2 over the
inputs of a sum; the last layer with deviation 0.01, as in AlexNet, VGG and SqueezeNet; biases 0.
Every normalisation begins with scale 1.
"""

from __future__ import annotations

__all__ = [
    "CLASSES",
    "Backbone",
    "Block",
    "DenseLayer",
    "DenseNet",
    "Fire",
    "ResNet",
    "Transition",
    "alexnet",
    "cifar_resnet",
    "conv_block",
    "densenet201",
    "mlp",
    "mobilenet",
    "pooled_head",
    "resnet18",
    "resnet101",
    "small_cnn",
    "small_stem",
    "squeezenet",
    "vgg16",
]

import math
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn

from dyncompile.errors import InputError

CLASSES = 10


class Backbone(nn.Module):
    """Stem, blocks, classifier, one after the other.

    Args:
        stem: From the image to the first block.
        blocks: Each reads what the one before returns.
        classifier: From the last block to ``float[N, classes]``.
    """

    def __init__(self, stem: nn.Module, blocks: Iterable[nn.Module], classifier: nn.Module) -> None:
        super().__init__()
        self.stem = stem
        self.blocks = nn.Sequential(*blocks)
        self.classifier = classifier
        _initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``float[N, classes]``."""
        scores: Tensor = self.classifier(self.blocks(self.stem(x)))
        return scores


# --- ResNet ----------------------------------------------------------------------------------


class Block(nn.Module):
    """A residual block, open to a gate: ``join`` is the work, ``shortcut`` what is left.

    The shortcut is a projection where the shape changes. The stride of a bottleneck is on its
    3x3 convolution.

    Args:
        width_in: Channels of the input.
        width: Channels inside.
        stride: Divides the resolution.
        bottleneck: 1x1, 3x3, 1x1, and four times wider outside; otherwise two 3x3.
    """

    def __init__(self, width_in: int, width: int, stride: int, *, bottleneck: bool) -> None:
        super().__init__()
        width_out = 4 * width if bottleneck else width
        if bottleneck:
            self.residual = _named(
                conv1=_conv(width_in, width, 1),
                norm1=nn.BatchNorm2d(width),
                relu1=nn.ReLU(),
                conv2=_conv(width, width, 3, stride),
                norm2=nn.BatchNorm2d(width),
                relu2=nn.ReLU(),
                conv3=_conv(width, width_out, 1),
                norm3=nn.BatchNorm2d(width_out),
            )
        else:
            self.residual = _named(
                conv1=_conv(width_in, width, 3, stride),
                norm1=nn.BatchNorm2d(width),
                relu1=nn.ReLU(),
                conv2=_conv(width, width),
                norm2=nn.BatchNorm2d(width),
            )
        self.keeps_shape = stride == 1 and width_in == width_out
        self.shortcut: nn.Module = nn.Identity()
        if not self.keeps_shape:
            conv, norm = _conv(width_in, width_out, 1, stride), nn.BatchNorm2d(width_out)
            self.shortcut = _named(conv=conv, norm=norm)
        self.width_out = width_out

    @property
    def last_scale(self) -> Tensor:
        """Scale of the last normalisation, small in trained networks."""
        scale = self.residual[-1].weight
        assert isinstance(scale, Tensor)
        return scale

    def join(self, x: Tensor, shortcut: Tensor) -> Tensor:
        """Add the residual to what the shortcut carries."""
        return torch.relu(self.residual(x) + shortcut)

    def forward(self, x: Tensor) -> Tensor:
        """Run the whole block."""
        return self.join(x, self.shortcut(x))


class ResNet(Backbone):
    """Residual blocks between a stem and a linear classifier on the mean of each channel.

    Args:
        stem: From the image to the first block.
        widths: Width of each stage; stages after the first halve the resolution.
        depths: Blocks of each stage.
        bottleneck: Whether the blocks are bottlenecks.
        gate_all: Gate every block; otherwise only those that keep their shape.
        classes: Scores of the classifier.
    """

    def __init__(
        self,
        stem: nn.Sequential,
        widths: Sequence[int],
        depths: Sequence[int],
        *,
        bottleneck: bool = False,
        gate_all: bool = False,
        classes: int = CLASSES,
    ) -> None:
        width_in, blocks = widths[0], []
        for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            for position in range(depth):
                stride = 2 if stage and not position else 1
                block = Block(width_in, width, stride, bottleneck=bottleneck)
                width_in = block.width_out
                blocks.append(block)
        super().__init__(stem, blocks, pooled_head(width_in, classes))
        self.is_gated = tuple(gate_all or block.keeps_shape for block in blocks)
        self.block_widths = tuple(block.width_out for block in blocks)

    @property
    def gates(self) -> int:
        """How many decisions a path has."""
        return sum(self.is_gated)

    def walk(self, x: Tensor, decide: Callable[[int, Block, Tensor], Tensor]) -> Tensor:
        """Run the network; ``decide(number, block, x)`` runs or skips each gated block."""
        x, number = self.stem(x), 0
        for block, is_gated in zip(self.blocks, self.is_gated, strict=True):
            assert isinstance(block, Block)
            x = decide(number, block, x) if is_gated else block(x)
            number += is_gated
        scores: Tensor = self.classifier(x)
        return scores


def cifar_resnet(
    depth: int, classes: int = CLASSES, *, channels: int = 3, width: int = 16
) -> ResNet:
    """Return a ResNet of 6n + 2 layers for images of 32 pixels: ResNet-20, -32, -44, -56, -110.

    Three stages of n blocks. Where the shape changes, the paper pads the shortcut with zeros;
    here it is a projection, so that it is no more than the gate of a block leaves.

    Args:
        depth: Layers with weights, 6n + 2; projections do not count.
        classes: Scores of the classifier.
        channels: Of the image.
        width: Channels of the first stage.

    Raises:
        InputError: There is no such depth.
    """
    blocks, rest = divmod(depth - 2, 6)
    if rest or blocks < 1:
        low = 6 * max(blocks, 1) + 2
        raise InputError(
            "a CIFAR ResNet has 6n + 2 layers.",
            where=f"depth {depth}",
            remedy=f"Ask for {low} or {low + 6}.",
        )
    stem, widths = small_stem(width, channels), [width * scale for scale in (1, 2, 4)]
    return ResNet(stem, widths, (blocks,) * 3, classes=classes)


def resnet18(classes: int = CLASSES, *, channels: int = 3) -> ResNet:
    """Return ResNet-18 for images of 224 pixels: 5 of 8 blocks keep their shape."""
    stem, widths = _large_stem(64, channels), (64, 128, 256, 512)
    return ResNet(stem, widths, (2, 2, 2, 2), classes=classes)


def resnet101(
    classes: int = CLASSES,
    *,
    channels: int = 3,
    small: bool = True,
    times: int = 1,
    width: int = 64,
) -> ResNet:
    """Return ResNet-101, every block gated.

    The paper has the stride of a bottleneck on its first convolution. It has no form for 32
    pixels: ours keeps the resolution in the stem, and is the same from there on.

    Args:
        classes: Scores of the classifier.
        channels: Of the image.
        small: For images of 32 pixels, not of 224.
        times: How many times deeper than the published network.
        width: Channels of the stem.
    """
    return ResNet(
        small_stem(width, channels) if small else _large_stem(width, channels),
        [width * scale for scale in (1, 2, 4, 8)],
        [times * depth for depth in (3, 4, 23, 3)],
        bottleneck=True,
        gate_all=True,
        classes=classes,
    )


# --- DenseNet --------------------------------------------------------------------------------


class DenseLayer(nn.Module):
    """Normalise, narrow, convolve; the result joins what came in."""

    def __init__(self, width_in: int, growth: int) -> None:
        super().__init__()
        narrow = 4 * growth
        self.layers = _named(
            norm1=nn.BatchNorm2d(width_in),
            relu1=nn.ReLU(),
            conv1=_conv(width_in, narrow, 1),
            norm2=nn.BatchNorm2d(narrow),
            relu2=nn.ReLU(),
            conv2=_conv(narrow, growth),
        )
        self.width_out = width_in + growth

    def forward(self, x: Tensor) -> Tensor:
        """Return the input with ``growth`` more channels."""
        return torch.cat([x, self.layers(x)], 1)


class Transition(nn.Module):
    """Between dense blocks: half the channels, half the resolution."""

    def __init__(self, width_in: int) -> None:
        super().__init__()
        self.width_out = width_in // 2
        self.layers = _named(
            norm=nn.BatchNorm2d(width_in),
            relu=nn.ReLU(),
            conv=_conv(width_in, self.width_out, 1),
            pool=nn.AvgPool2d(2),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return ``float[N, C / 2, H / 2, W / 2]``."""
        y: Tensor = self.layers(x)
        return y


class DenseNet(Backbone):
    """Dense layers, transitions between their blocks, a classifier on the mean of each channel.

    ``blocks.0``, ``blocks.1``, ... are the layers and the transitions, as they come.

    Args:
        stem: From the image to the first layer.
        width: Channels of the stem.
        growth: Channels that each layer adds.
        depths: Layers of each dense block.
        classes: Scores of the classifier.
    """

    def __init__(
        self,
        stem: nn.Sequential,
        width: int,
        growth: int,
        depths: Sequence[int],
        classes: int = CLASSES,
    ) -> None:
        blocks: list[DenseLayer | Transition] = []
        for number, depth in enumerate(depths):
            for _ in range(depth):
                blocks.append(DenseLayer(width, growth))
                width = blocks[-1].width_out
            if number < len(depths) - 1:
                blocks.append(Transition(width))
                width = blocks[-1].width_out
        before = {"norm": nn.BatchNorm2d(width), "relu": nn.ReLU()}
        super().__init__(stem, blocks, pooled_head(width, classes, **before))
        self.block_widths = tuple(block.width_out for block in blocks)


def densenet201(
    classes: int = CLASSES,
    *,
    channels: int = 3,
    small: bool = True,
    growth: int = 32,
    depths: Sequence[int] = (6, 12, 48, 32),
) -> DenseNet:
    """Return DenseNet-201, or a narrower and shallower one.

    The paper's networks for 32 pixels have three dense blocks; this is its network for 224,
    with a stem that keeps the resolution.

    Args:
        classes: Scores of the classifier.
        channels: Of the image.
        small: For images of 32 pixels, not of 224.
        growth: Channels that each layer adds.
        depths: Layers of each dense block.
    """
    width = 2 * growth
    stem = small_stem(width, channels) if small else _large_stem(width, channels)
    return DenseNet(stem, width, growth, depths, classes)


# --- plain stacks ----------------------------------------------------------------------------


def vgg16(
    classes: int = CLASSES, *, channels: int = 3, width: int = 64, dropout: float = 1.0
) -> Backbone:
    """Return VGG-16 for images of 32 pixels, as McDanel et al. (2017) have it.

    13 convolutions, of which the first is the stem; the last of each of the five stages ends in
    a max pooling. Against the paper: batch normalisation, no biases before it, dropout between
    convolutions, and two fully connected layers, 512 to 512 to the classes, in place of three.
    Against the code of McDanel et al.: the scores have a bias, and the mean of each channel is
    taken first, which changes nothing at 32 pixels, where there is one.

    Args:
        classes: Scores of the classifier.
        channels: Of the image.
        width: Channels of the first stage; the others are 2, 4, 8 and 8 times as wide.
        dropout: What is dropped, as a multiple of what the paper drops, up to 0.5 of a layer.
    """
    layers: list[nn.Module] = []
    width_in = channels
    for scale, depth in ((1, 2), (2, 2), (4, 3), (8, 3), (8, 3)):
        for left in reversed(range(depth)):
            drop = nn.Dropout(dropout * (0.4 if layers else 0.3))
            after: dict[str, nn.Module] = {"dropout": drop} if left else {"pool": _half()}
            layers.append(conv_block(width_in, scale * width, **after))
            width_in = scale * width
    classifier = _named(
        pool=nn.AdaptiveAvgPool2d(1),
        flatten=nn.Flatten(),
        dropout1=nn.Dropout(dropout * 0.5),
        linear1=nn.Linear(width_in, width_in, bias=False),
        norm=nn.BatchNorm1d(width_in),
        relu=nn.ReLU(),
        dropout2=nn.Dropout(dropout * 0.5),
        linear2=nn.Linear(width_in, classes),
    )
    return Backbone(layers[0], layers[1:], classifier)


def mobilenet(classes: int = CLASSES, *, channels: int = 3, width: int = 64) -> Backbone:
    """Return the small MobileNet of McDanel et al. (2017) for images of 32 pixels.

    A convolution and six depthwise separable ones, 64-64-128-128-256-256-256 wide. Their code
    classifies all pixels of all channels; here it is the mean of each channel, as Howard et al.
    have it. No biases before normalisation.

    Args:
        classes: Scores of the classifier.
        channels: Of the image.
        width: Channels of the stem; the last are 4 times as many.
    """
    blocks: list[nn.Module] = []
    width_in = width
    for scale, stride in ((1, 1), (2, 2), (2, 1), (4, 2), (4, 1), (4, 1)):
        blocks.append(_separable(width_in, scale * width, stride))
        width_in = scale * width
    return Backbone(small_stem(width, channels), blocks, pooled_head(width_in, classes))


def alexnet(classes: int = CLASSES, *, channels: int = 3, small: bool = True) -> Backbone:
    """Return AlexNet with one tower, for images of just 32 or 224 pixels.

    The stem and ``blocks.0`` to ``blocks.3`` are the five convolutions, three with a pooling.
    Nothing is normalised, so it trains in small steps, with AdamW rather than SGD. Every weight
    of the first AlexNet (2012) began with deviation 0.01, and some biases at 1; here they begin
    as in the other networks. There is no published form for 32 pixels: ours begins with 5x5 at
    stride 1 in place of 11x11 at stride 4, and its hidden layers have 512 units in place of 4096.

    Args:
        classes: Scores of the classifier.
        channels: Of the image.
        small: For images of 32 pixels, not of 224.
    """
    (kernel, stride), hidden, size = ((5, 1), 512, 3) if small else ((11, 4), 4096, 6)
    stem = _named(
        conv=nn.Conv2d(channels, 64, kernel, stride, padding=2),
        relu=nn.ReLU(),
        pool=nn.MaxPool2d(3, 2),
    )
    blocks = [
        _named(conv=nn.Conv2d(64, 192, 5, padding=2), relu=nn.ReLU(), pool=nn.MaxPool2d(3, 2)),
        _named(conv=nn.Conv2d(192, 384, 3, padding=1), relu=nn.ReLU()),
        _named(conv=nn.Conv2d(384, 256, 3, padding=1), relu=nn.ReLU()),
        _named(conv=nn.Conv2d(256, 256, 3, padding=1), relu=nn.ReLU(), pool=nn.MaxPool2d(3, 2)),
    ]
    classifier = _named(
        flatten=nn.Flatten(),
        dropout1=nn.Dropout(0.5),
        linear1=nn.Linear(256 * size * size, hidden),
        relu1=nn.ReLU(),
        dropout2=nn.Dropout(0.5),
        linear2=nn.Linear(hidden, hidden),
        relu2=nn.ReLU(),
        linear3=nn.Linear(hidden, classes),
    )
    return Backbone(stem, blocks, classifier)


class Fire(nn.Module):
    """Squeeze with 1x1, expand with 1x1 and 3x3 beside each other; 8 times ``squeeze`` wide."""

    def __init__(self, width_in: int, squeeze: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(width_in, squeeze, 1)
        self.expand1 = nn.Conv2d(squeeze, 4 * squeeze, 1)
        self.expand3 = nn.Conv2d(squeeze, 4 * squeeze, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``float[N, 8 * squeeze, H, W]``."""
        x = torch.relu(self.squeeze(x))
        return torch.relu(torch.cat([self.expand1(x), self.expand3(x)], 1))


def squeezenet(classes: int = CLASSES, *, channels: int = 3, small: bool = True) -> Backbone:
    """Return SqueezeNet 1.1, not normalised: like AlexNet it trains in small steps.

    ``blocks.0`` to ``blocks.7`` are the fire modules, ``blocks.1`` and ``blocks.3`` with a
    pooling. The scores come without a ReLU, so that they can be negative. There is no published
    form for 32 pixels: ours keeps the resolution in the stem.

    Args:
        classes: Scores of the classifier.
        channels: Of the image.
        small: For images of 32 pixels, not of 224.
    """
    if small:
        stem = _named(conv=nn.Conv2d(channels, 64, 3, padding=1), relu=nn.ReLU())
    else:
        stem = _named(conv=nn.Conv2d(channels, 64, 3, 2), relu=nn.ReLU(), pool=_half_rounded_up())
    blocks: list[nn.Module] = []
    width_in = 64
    for squeeze in (16, 16, 32, 32, 48, 48, 64, 64):
        has_pool = len(blocks) in {1, 3}
        after = {"pool": _half_rounded_up()} if has_pool else {}
        blocks.append(_named(fire=Fire(width_in, squeeze), **after))
        width_in = 8 * squeeze
    classifier = _named(
        dropout=nn.Dropout(0.5),
        conv=nn.Conv2d(width_in, classes, 1),
        pool=nn.AdaptiveAvgPool2d(1),
        flatten=nn.Flatten(),
    )
    return Backbone(stem, blocks, classifier)


def mlp(classes: int = CLASSES, *, channels: int = 1, size: int = 28, width: int = 100) -> Backbone:
    """Return the perceptron 784-100-100-10 of McDanel et al. (2017), for grey images.

    The stem is the first layer, ``blocks.0`` the second, which is the one that they make
    incomplete.

    Args:
        classes: Scores of the classifier.
        channels: Of the image.
        size: Height and width of the image, which has to be of this size.
        width: Units of a hidden layer.
    """
    pixels = channels * size * size
    stem = _named(flatten=nn.Flatten(), linear=nn.Linear(pixels, width), relu=nn.ReLU())
    block = _named(linear=nn.Linear(width, width), relu=nn.ReLU())
    return Backbone(stem, [block], _named(linear=nn.Linear(width, classes)))


def small_cnn(classes: int = CLASSES, *, channels: int = 3, width: int = 16) -> Backbone:
    """Return five 3x3 convolutions, for images of 8 to 32 pixels; after no paper.

    Args:
        classes: Scores of the classifier.
        channels: Of the image.
        width: Channels of the stem; the last are 4 times as many.
    """
    blocks = [
        conv_block(width, width, pool=_half()),
        conv_block(width, 2 * width),
        conv_block(2 * width, 2 * width, pool=_half()),
        conv_block(2 * width, 4 * width),
    ]
    return Backbone(small_stem(width, channels), blocks, pooled_head(4 * width, classes))


# --- parts -----------------------------------------------------------------------------------


def conv_block(width_in: int, width: int, **after: nn.Module) -> nn.Sequential:
    """Return a 3x3 convolution that keeps the resolution, its normalisation and a ReLU.

    Args:
        width_in: Channels of the input.
        width: Channels of the output.
        after: What follows the ReLU, by name.
    """
    conv, norm = _conv(width_in, width), nn.BatchNorm2d(width)
    return _named(conv=conv, norm=norm, relu=nn.ReLU(), **after)


def small_stem(width: int, channels: int = 3) -> nn.Sequential:
    """Return a stem that keeps the resolution."""
    return conv_block(channels, width)


def pooled_head(width: int, classes: int = CLASSES, **before: nn.Module) -> nn.Sequential:
    """Return a linear classifier on the mean of each channel.

    Args:
        width: Channels of the input.
        classes: Scores.
        before: What precedes the mean, by name.
    """
    linear = nn.Linear(width, classes)
    return _named(**before, pool=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten(), linear=linear)


def _large_stem(width: int, channels: int) -> nn.Sequential:
    return _named(
        conv=_conv(channels, width, 7, 2),
        norm=nn.BatchNorm2d(width),
        relu=nn.ReLU(),
        pool=nn.MaxPool2d(3, 2, 1),
    )


def _separable(width_in: int, width: int, stride: int) -> nn.Sequential:
    return _named(
        depthwise=nn.Conv2d(width_in, width_in, 3, stride, 1, groups=width_in, bias=False),
        norm1=nn.BatchNorm2d(width_in),
        relu1=nn.ReLU(),
        pointwise=_conv(width_in, width, 1),
        norm2=nn.BatchNorm2d(width),
        relu2=nn.ReLU(),
    )


def _conv(width_in: int, width: int, kernel: int = 3, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(width_in, width, kernel, stride, kernel // 2, bias=False)


def _half() -> nn.MaxPool2d:
    return nn.MaxPool2d(2)


def _half_rounded_up() -> nn.MaxPool2d:
    return nn.MaxPool2d(3, 2, ceil_mode=True)


def _named(**layers: nn.Module) -> nn.Sequential:
    return nn.Sequential(OrderedDict(layers))


def _initialise(net: nn.Module) -> None:
    layers = [layer for layer in net.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    for layer in layers:
        he = math.sqrt(2 / layer.weight[0].numel())
        nn.init.normal_(layer.weight, std=0.01 if layer is layers[-1] else he)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
