"""Train a digit classifier of four widths in seconds; write digits.onnx and ten test images.

Run it where dyncompile[methods,cpu] is installed: python make_digits.py [FOLDER]
"""

import sys
from pathlib import Path

import torch
from torch import nn

import dyncompile
from dyncompile.data import load_digits_images
from dyncompile.methods import idp
from dyncompile.training import Recipe

SIDE = 16


def classifier() -> nn.Module:
    """Return an untrained network: float[N, 1, 16, 16] -> float[N, 10]."""
    layers: list[nn.Module] = []
    for before, after, stride in ((1, 16, 1), (16, 32, 2), (32, 32, 1), (32, 64, 2)):
        conv = nn.Conv2d(before, after, 3, stride=stride, padding=1, bias=False)
        layers += [conv, nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def save_pgm(image: torch.Tensor, path: Path) -> None:
    """Write ``uint8[1, H, W]`` as a PGM file."""
    _, height, width = image.shape
    path.write_bytes(b"P5 %d %d 255\n" % (width, height) + image.numpy().tobytes())


def main(folder: Path) -> None:
    """Train, export, save the first test image of each digit."""
    torch.manual_seed(0)
    data, example = load_digits_images(side=SIDE, scaling=(0, 1)), torch.zeros(1, 1, SIDE, SIDE)
    net = idp.convert(
        classifier(), ratios=(0.25, 0.5, 0.75, 1.0), profile="linear", example=example
    )
    idp.fit_sandwich(net, data.train, recipe=Recipe(epochs=12, lr=0.1, batch_size=64))
    idp.recalibrate(net, data.train)
    folder.mkdir(parents=True, exist_ok=True)
    dyncompile.export(net, (example,), folder / "digits.onnx")
    for digit in range(10):
        number = int((data.test.labels == digit).nonzero()[0])
        save_pgm(data.test.pixels[number], folder / f"{digit}.pgm")
    found = dyncompile.load(folder / "digits.onnx")
    images = data.test.floats(range(len(data.test))).numpy()
    for level, ratio in enumerate((0.25, 0.5, 0.75, 1.0)):
        scores = [found(image[None], level=level).argmax() for image in images]
        right = (torch.tensor(scores) == data.test.labels).double().mean()
        print(f"{ratio:4.0%} of the channels: {right:.1%} of {len(images)} test images right")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
