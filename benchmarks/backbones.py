"""Published networks, as modules that decisions can be written around.

Random weights; the shapes are those of the papers: ResNet (He et al., 2016; the stride of a
bottleneck on its 3x3 convolution, as torchvision has it) and DenseNet-BC (Huang et al., 2017).
Each has a form for images of 32 pixels, whose stem keeps the resolution.
"""

from __future__ import annotations

__all__ = [
    "Block",
    "DenseNet",
    "ResNet",
    "conv_norm",
    "densenet201",
    "pooled_head",
    "resnet18",
    "resnet20",
    "resnet101",
    "small_stem",
]

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

CLASSES = 10


# --- ResNet ----------------------------------------------------------------------------------


class Block(nn.Module):
    """A residual block, open to a gate: ``join`` is the work, ``shortcut`` what is left."""

    def __init__(self, width_in: int, width: int, stride: int, *, bottleneck: bool) -> None:
        super().__init__()
        width_out = 4 * width if bottleneck else width
        if bottleneck:
            layers = [*conv_norm(width_in, width, 1), nn.ReLU()]
            layers += [*conv_norm(width, width, 3, stride), nn.ReLU()]
            layers += conv_norm(width, width_out, 1)
        else:
            layers = [*conv_norm(width_in, width, 3, stride), nn.ReLU(), *conv_norm(width, width)]
        self.residual = nn.Sequential(*layers)
        self.keeps_shape = stride == 1 and width_in == width_out
        self.shortcut: nn.Module = nn.Identity()
        if not self.keeps_shape:
            self.shortcut = nn.Sequential(*conv_norm(width_in, width_out, 1, stride))
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


class ResNet(nn.Module):
    """Stem, residual blocks, classifier.

    Args:
        stem: From the image to the first block.
        widths: Width of each stage; stages after the first halve the resolution.
        depths: Blocks of each stage.
        bottleneck: 1x1-3x3-1x1 blocks that are four times wider outside.
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
        super().__init__()
        self.stem = stem
        width_in, blocks = widths[0], []
        for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            for position in range(depth):
                stride = 2 if stage and not position else 1
                block = Block(width_in, width, stride, bottleneck=bottleneck)
                width_in = block.width_out
                blocks.append(block)
        self.blocks = nn.ModuleList(blocks)
        self.is_gated = tuple(gate_all or block.keeps_shape for block in blocks)
        self.block_widths = tuple(block.width_out for block in blocks)
        self.classifier = pooled_head(width_in, classes)

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

    def forward(self, x: Tensor) -> Tensor:
        """Run every block; return ``float[N, classes]``."""
        return self.walk(x, lambda _, block, x: block(x))


def resnet18(classes: int = CLASSES) -> ResNet:
    """ResNet-18 for ``float[N, 3, 224, 224]``: 5 of 8 blocks can be skipped."""
    return ResNet(_large_stem(64), (64, 128, 256, 512), (2, 2, 2, 2), classes=classes)


def resnet20(classes: int = CLASSES) -> ResNet:
    """ResNet-20 for ``float[N, 3, 32, 32]``: 7 of 9 blocks can be skipped."""
    return ResNet(small_stem(16), (16, 32, 64), (3, 3, 3), classes=classes)


def resnet101(
    classes: int = CLASSES, *, small: bool = True, times: int = 1, width: int = 64
) -> ResNet:
    """ResNet-101, every block gated.

    Args:
        classes: Scores of the classifier.
        small: For ``float[N, 3, 32, 32]``, not for 224 pixels.
        times: How many times deeper than the published network.
        width: Channels of the stem.
    """
    return ResNet(
        small_stem(width) if small else _large_stem(width),
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
        self.layers = nn.Sequential(
            nn.BatchNorm2d(width_in),
            nn.ReLU(),
            *conv_norm(width_in, narrow, 1),
            nn.ReLU(),
            nn.Conv2d(narrow, growth, 3, padding=1, bias=False),
        )
        self.width_out = width_in + growth

    def forward(self, x: Tensor) -> Tensor:
        """Return the input with ``growth`` more channels."""
        return torch.cat([x, self.layers(x)], 1)


class Transition(nn.Module):
    """Between blocks: half the channels, half the resolution."""

    def __init__(self, width_in: int) -> None:
        super().__init__()
        self.width_out = width_in // 2
        self.layers = nn.Sequential(
            nn.BatchNorm2d(width_in),
            nn.ReLU(),
            nn.Conv2d(width_in, self.width_out, 1, bias=False),
            nn.AvgPool2d(2),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return ``float[N, C / 2, H / 2, W / 2]``."""
        y: Tensor = self.layers(x)
        return y


class DenseNet(nn.Module):
    """Stem, dense layers with transitions between their blocks, classifier.

    Args:
        stem: From the image to the first layer.
        width: Channels of the stem.
        growth: Channels that each layer adds.
        depths: Layers of each block.
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
        super().__init__()
        self.stem = stem
        blocks: list[DenseLayer | Transition] = []
        for number, depth in enumerate(depths):
            for _ in range(depth):
                blocks.append(DenseLayer(width, growth))
                width = blocks[-1].width_out
            if number < len(depths) - 1:
                blocks.append(Transition(width))
                width = blocks[-1].width_out
        self.blocks = nn.ModuleList(blocks)
        self.block_widths = tuple(block.width_out for block in blocks)
        self.classifier = nn.Sequential(
            nn.BatchNorm2d(width), nn.ReLU(), *pooled_head(width, classes)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return ``float[N, classes]``."""
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        scores: Tensor = self.classifier(x)
        return scores


def densenet201(
    classes: int = CLASSES,
    *,
    small: bool = True,
    growth: int = 32,
    depths: Sequence[int] = (6, 12, 48, 32),
) -> DenseNet:
    """DenseNet-201, or a narrower and shallower one.

    Args:
        classes: Scores of the classifier.
        small: For ``float[N, 3, 32, 32]``, not for 224 pixels.
        growth: Channels that each layer adds.
        depths: Layers of each block.
    """
    width = 2 * growth
    stem = small_stem(width) if small else _large_stem(width)
    return DenseNet(stem, width, growth, depths, classes)


# --- parts -----------------------------------------------------------------------------------


def conv_norm(width_in: int, width: int, kernel: int = 3, stride: int = 1) -> list[nn.Module]:
    """Return a convolution that keeps or divides the resolution, and its normalisation."""
    conv = nn.Conv2d(width_in, width, kernel, stride, kernel // 2, bias=False)
    return [conv, nn.BatchNorm2d(width)]


def small_stem(width: int) -> nn.Sequential:
    """Return a stem that keeps the resolution."""
    return nn.Sequential(*conv_norm(3, width), nn.ReLU())


def _large_stem(width: int) -> nn.Sequential:
    return nn.Sequential(*conv_norm(3, width, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1))


def pooled_head(width: int, classes: int = CLASSES) -> nn.Sequential:
    """Return a linear classifier on the mean of each channel."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes))
