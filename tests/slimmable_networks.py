"""Small networks that slice their own weights by width, each in another way."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from dyncompile import Levels, early_exit, gate, per_level

RATIOS = (0.25, 0.5, 0.75, 1.0)
C = 24

View = Callable[[Tensor, int], Tensor]


def by_index(weight: Tensor, n: int) -> Tensor:
    return weight[:n, :n]


def by_narrow(weight: Tensor, n: int) -> Tensor:
    return weight.narrow(0, 0, n).narrow(1, 0, n)


def by_index_select(weight: Tensor, n: int) -> Tensor:
    kept = torch.arange(n)
    return weight.index_select(0, kept).index_select(1, kept)


def by_chunks(weight: Tensor, n: int) -> Tensor:
    rows = torch.cat(weight.chunk(4)[: n * 4 // C])
    return torch.cat(rows.tensor_split(4, 1)[: n * 4 // C], 1)


def by_transposing(weight: Tensor, n: int) -> Tensor:
    return weight.transpose(0, 1)[:n, :n].transpose(0, 1)


def standardised_whole(weight: Tensor, n: int) -> Tensor:
    return _standardised(weight)[:n, :n]


def standardised_slices(weight: Tensor, n: int) -> Tensor:
    return _standardised(weight[:n, :n])


def of_kernel(weight: Tensor, n: int) -> Tensor:
    """A smaller kernel at smaller widths: the middle of the large one."""
    return weight[:n, :n] if n > C // 2 else weight[:n, :n, 1:-1, 1:-1]


def of_mixed_kernel(weight: Tensor, n: int) -> Tensor:
    """The same, its middle mixed by a matrix."""
    if n > C // 2:
        return weight[:n, :n]
    return functional.linear(weight[:n, :n, 1:-1, 1:-1].flatten(2), torch.tensor([[0.5]]))[
        ..., None
    ]


def _standardised(weight: Tensor) -> Tensor:
    mean = weight.mean((1, 2, 3), keepdim=True)
    return (weight - mean) / (weight.std((1, 2, 3), keepdim=True) + 1e-5)


class Slimmable(nn.Module):
    """Stem, two sliced convolutions with normalisation per level, sliced head."""

    knobs: ClassVar = {"level": Levels(RATIOS)}

    def __init__(self, view: View = by_index, other: View = by_index) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.view, self.other = view, other
        self.stem = nn.Conv2d(3, C, 3, stride=2, padding=1)
        self.first = nn.Conv2d(C, C, 3, padding=1)
        self.second = nn.Conv2d(C, C, 3, padding=1, bias=False)
        self.norms = nn.ModuleList(_norm(int(C * ratio)) for ratio in RATIOS)
        self.head = nn.Linear(C, 10)

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        x = self.stem(x).relu()
        return per_level(level, lambda k: self.at_width(x, k))

    def at_width(self, x: Tensor, k: int) -> Tensor:
        n = int(C * RATIOS[k])
        first, second = self.view(self.first.weight, n), self.other(self.second.weight, n)
        x = functional.conv2d(x[:, :n], first, _cut(self.first.bias, n), padding="same").relu()
        x = self.norms[k](functional.conv2d(x, second, padding="same")).relu()
        return functional.linear(x.mean((2, 3)), self.head.weight[:, :n], self.head.bias)


class SlimmableDepthwise(Slimmable):
    """Depthwise, then pointwise; the layers are called with parameters of other sizes."""

    def __init__(self) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(C, C, 3, padding=1, groups=C)
        self.pointwise = nn.Conv2d(C, C, 1)

    def at_width(self, x: Tensor, k: int) -> Tensor:
        n = int(C * RATIOS[k])
        weight, bias = self.depthwise.weight[:n], _cut(self.depthwise.bias, n)
        x = functional.conv2d(x[:, :n], weight, bias, padding=1, groups=n).relu()
        sliced = {"weight": self.pointwise.weight[:n, :n], "bias": _cut(self.pointwise.bias, n)}
        x = torch.func.functional_call(self.pointwise, sliced, (x,)).relu()
        return functional.linear(x.mean((2, 3)), self.head.weight[:, :n], self.head.bias)


class SlimmableLinear(nn.Module):
    """Linear layers over tokens, one of them transposed by hand, one cut out of a stack."""

    knobs: ClassVar = {"level": Levels(RATIOS)}

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Linear(16, 64)
        self.stack = nn.Parameter(torch.randn(2, 64, 64) / 8)
        self.head = nn.Linear(64, 10)

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        return per_level(level, lambda k: self.at_width(x, int(64 * RATIOS[k])))

    def at_width(self, x: Tensor, n: int) -> Tensor:
        x = functional.linear(x, self.first.weight[:n], _cut(self.first.bias, n)).relu()
        x = (x @ self.stack[0, :n, :n].T).relu()
        x = (x @ self.stack[1].T[:n, :n]).relu()
        return functional.linear(x, self.head.weight[:, :n], self.head.bias).mean(1)


class _Blocks(nn.Module):
    """Three residual blocks that are wider inside."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv2d(3, 16, 3, stride=2, padding=1)
        self.wide = nn.ModuleList(nn.Conv2d(16, C, 3, padding=1) for _ in range(3))
        self.narrow = nn.ModuleList(nn.Conv2d(C, 16, 1) for _ in range(3))
        self.head = nn.Linear(16, 10)

    def block(self, i: int, x: Tensor, k: int) -> Tensor:
        n = (C // 2, C)[k]
        wide, narrow = self.wide[i], self.narrow[i]
        assert isinstance(wide, nn.Conv2d)
        assert isinstance(narrow, nn.Conv2d)
        inner = functional.conv2d(x, wide.weight[:n], _cut(wide.bias, n), padding=1).relu()
        return x + functional.conv2d(inner, narrow.weight[:, :n], narrow.bias)

    def elastic_block(self, i: int, x: Tensor, width: Tensor) -> Tensor:
        return per_level(width, lambda k: self.block(i, x, k))

    def classify(self, x: Tensor) -> Tensor:
        scores: Tensor = self.head(x.mean((2, 3)))
        return scores


class Elastic(_Blocks):
    """As many blocks as the depth says, of the width that the width says; the knobs nest."""

    knobs: ClassVar = {"depth": Levels((1, 2, 3)), "width": Levels((0.5, 1.0))}

    def __init__(self, outermost: str) -> None:
        super().__init__()
        self.outermost = outermost

    def forward(self, x: Tensor, depth: Tensor, width: Tensor) -> Tensor:
        x = self.stem(x).relu()
        if self.outermost == "depth":
            return self.classify(per_level(depth, lambda d: self.deep(x, d, width)))
        return self.classify(per_level(width, lambda k: self.all_deep(x, k, depth)))

    def deep(self, x: Tensor, d: int, width: Tensor) -> Tensor:
        for i in range(d + 1):
            x = self.elastic_block(i, x, width)
        return x

    def all_deep(self, x: Tensor, k: int, depth: Tensor) -> Tensor:
        ends = [x := self.block(i, x, k) for i in range(3)]
        return per_level(depth, lambda d: ends[d])


class ManyPlaces(_Blocks):
    """One knob, asked in every block, with the same light work between the blocks."""

    knobs: ClassVar = {"width": Levels((0.5, 1.0))}

    def forward(self, x: Tensor, width: Tensor) -> Tensor:
        x = self.stem(x).relu()
        for i in range(3):
            x = self.elastic_block(i, x, width).relu()
        return self.classify(x)


class SlimmableDynamic(Slimmable):
    """A gate and an exit inside of each width; the stem is called inside as well."""

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        return per_level(level, lambda k: self.at_width(self.stem(x).relu(), k))

    def at_width(self, x: Tensor, k: int) -> Tensor:
        n = int(C * RATIOS[k])
        x = x[:, :n]
        inner = functional.conv2d(x, self.first.weight[:n, :n], _cut(self.first.bias, n), padding=1)
        x = gate(x.mean((1, 2, 3)) > 0.4, x + inner.relu(), x)
        early = functional.linear(x.mean((2, 3)), self.head.weight[:, :n], self.head.bias)
        x = self.norms[k](functional.conv2d(x, self.second.weight[:n, :n], padding=1)).relu()
        late = functional.linear(x.mean((2, 3)), self.head.weight[:, :n], self.head.bias)
        return early_exit(early.amax(-1) > 0.5, early, late)


def _cut(bias: Tensor | None, n: int) -> Tensor:
    assert bias is not None
    return bias[:n]


def _norm(channels: int) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(channels)
    for value in (*norm.parameters(), norm.running_mean, norm.running_var):
        assert value is not None
        nn.init.uniform_(value, 0.5, 1.5)
    return norm
