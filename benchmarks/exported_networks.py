"""Networks with control flow as people write it today, without markers, and their static forms.

Widths with ``torch.cond`` and with slices, rounds with ``while_loop`` and ``scan``, selections
with ``torch.where`` and by multiplication. Decisions are inputs, so that a path can be set.
"""

from __future__ import annotations

__all__ = [
    "ROUNDS",
    "WIDTHS",
    "CondWidths",
    "ConfidentLoop",
    "DecidedTwice",
    "Masked",
    "Rounds",
    "Selected",
    "Sides",
    "SlicedWidths",
    "StackedLoop",
    "StackedScan",
    "StaticRounds",
    "StaticSides",
    "StaticWidth",
    "Widths",
]

import itertools
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch._higher_order_ops.scan import scan
from torch.nn.functional import conv2d, linear

from benchmarks.networks import CLASSES

WIDTHS = (16, 32, 48, 64)
ROUNDS = 6


# --- widths ----------------------------------------------------------------------------------


class Widths(nn.Module):
    """Four convolutions of which a part of the channels is used."""

    def __init__(self) -> None:
        super().__init__()
        sizes = [3] + [max(WIDTHS)] * 4
        self.convs = nn.ModuleList(
            nn.Conv2d(before, after, 3, padding=1) for before, after in itertools.pairwise(sizes)
        )
        self.head = nn.Linear(max(WIDTHS), CLASSES)

    def at(self, x: Tensor, width: int) -> Tensor:
        """Return ``float[N, 10]`` from the first channels of every layer."""
        for conv in self.convs:
            assert isinstance(conv, nn.Conv2d)
            assert conv.bias is not None
            weight = conv.weight[:width, : x.shape[1]]
            x = torch.relu(conv2d(x, weight, conv.bias[:width], padding=1))
        return linear(x.mean((2, 3)), self.head.weight[:, :width], self.head.bias)


class CondWidths(nn.Module):
    """A branch per width, by nested ``torch.cond``."""

    def __init__(self, net: Widths) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        """Return ``float[N, 10]``."""
        return self._among(0, len(WIDTHS))(x, level)

    def _among(self, first: int, last: int) -> Callable[[Tensor, Tensor], Tensor]:
        if last - first == 1:
            return lambda x, _: self.net.at(x, WIDTHS[first])
        middle = (first + last) // 2
        low, high = self._among(first, middle), self._among(middle, last)

        def choose(x: Tensor, level: Tensor) -> Tensor:
            chosen: Tensor = torch.cond(level < middle, low, high, (x, level))
            return chosen

        return choose


class SlicedWidths(nn.Module):
    """Weights sliced at run time: no control flow, and nothing that could be moved."""

    def __init__(self, net: Widths) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor, width: Tensor) -> Tensor:
        """Return ``float[N, 10]``."""
        size: int = width.item()  # type: ignore[assignment]
        torch._check(size >= 1)  # type: ignore[no-untyped-call]  # noqa: SLF001 - for torch.export
        torch._check(size <= max(WIDTHS))  # type: ignore[no-untyped-call]  # noqa: SLF001
        return self.net.at(x, size)


class StaticWidth(nn.Module):
    """One width and nothing else."""

    def __init__(self, net: Widths, width: int) -> None:
        super().__init__()
        self.net = net
        self.width = width

    def forward(self, x: Tensor) -> Tensor:
        """Return ``float[N, 10]``."""
        return self.net.at(x, self.width)


# --- rounds ----------------------------------------------------------------------------------


class Rounds(nn.Module):
    """Convolutions that run one after the other.

    Args:
        shared: Whether all rounds use the same weights.
        width: Channels.
    """

    def __init__(self, *, shared: bool, width: int = 64) -> None:
        super().__init__()
        count = 1 if shared else ROUNDS
        spread = (2 / (9 * width)) ** 0.5
        self.weights = nn.Parameter(spread * torch.randn(count, width, width, 3, 3))
        self.biases = nn.Parameter(0.1 * torch.randn(count, width))
        self.shared = shared

    def at(self, x: Tensor, number: Tensor) -> Tensor:
        """Return what the round of a run-time number gives."""
        if self.shared:
            return step(x, self.weights[0], self.biases[0])
        index = number.reshape(1)
        weight = torch.index_select(self.weights, 0, index)[0]
        return step(x, weight, torch.index_select(self.biases, 0, index)[0])


def step(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return one round."""
    return torch.relu(conv2d(x, weight, bias, padding=1))


class StackedLoop(nn.Module):
    """As many rounds as ``count`` says, by ``while_loop``."""

    def __init__(self, rounds: Rounds) -> None:
        super().__init__()
        self.rounds = rounds

    def forward(self, x: Tensor, count: Tensor) -> Tensor:
        """Return what the last round gives."""

        def goes_on(number: Tensor, _: Tensor) -> Tensor:
            return number < count

        def body(number: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
            return number + 1, self.rounds.at(x, number)

        start = torch.zeros((), dtype=torch.int64)
        _, x = torch.while_loop(goes_on, body, (start, x))  # type: ignore[no-untyped-call]
        return x


class ConfidentLoop(nn.Module):
    """Rounds until the largest mean of a channel exceeds ``threshold``, by ``while_loop``."""

    def __init__(self, rounds: Rounds) -> None:
        super().__init__()
        self.rounds = rounds

    def forward(self, x: Tensor, threshold: Tensor) -> Tensor:
        """Return what the last round gives."""

        def goes_on(number: Tensor, score: Tensor, _: Tensor) -> Tensor:
            return (number < ROUNDS) & (score < threshold)

        def body(number: Tensor, _: Tensor, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            x = self.rounds.at(x, number)
            return number + 1, x.mean((0, 2, 3)).amax(0), x

        start = (torch.zeros((), dtype=torch.int64), torch.tensor(-torch.inf), x)
        _, _, x = torch.while_loop(goes_on, body, start)  # type: ignore[no-untyped-call]
        return x


class StackedScan(nn.Module):
    """All rounds, by ``scan`` over the weights."""

    def __init__(self, rounds: Rounds) -> None:
        super().__init__()
        self.rounds = rounds

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return what the last round gives, and the means of all rounds."""

        def body(x: Tensor, layer: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
            x = step(x, *layer)
            return x, x.mean((2, 3))

        last, means = scan(body, x, (self.rounds.weights, self.rounds.biases))
        return last, means


class StaticRounds(nn.Module):
    """One number of rounds, written one after the other.

    Args:
        rounds: The network.
        count: How many.
        with_means: Whether the means of the channels after each round are returned too.
    """

    def __init__(self, rounds: Rounds, count: int, *, with_means: bool = False) -> None:
        super().__init__()
        self.rounds = rounds
        self.count = count
        self.with_means = with_means

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Return the same as the loops."""
        means = []
        for number in range(self.count):
            index = 0 if self.rounds.shared else number
            x = step(x, self.rounds.weights[index], self.rounds.biases[index])
            means.append(x.mean((2, 3)))
        return (x, torch.stack(means)) if self.with_means else x


# --- selections ------------------------------------------------------------------------------


class Sides(nn.Module):
    """Two pieces of work, each of two convolutions."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.one, self.other = (
            nn.Sequential(
                nn.Conv2d(width, width, 3, padding=1),
                nn.ReLU(),
                nn.Conv2d(width, width, 3, padding=1),
            )
            for _ in range(2)
        )


class Selected(nn.Module):
    """Both sides, and ``torch.where`` between them."""

    def __init__(self, sides: Sides) -> None:
        super().__init__()
        self.sides = sides

    def forward(self, x: Tensor, take: Tensor) -> Tensor:
        """Return one side of the two."""
        return torch.relu(torch.where(take, self.sides.one(x), self.sides.other(x)))


class Masked(nn.Module):
    """Work times a bool."""

    def __init__(self, sides: Sides) -> None:
        super().__init__()
        self.sides = sides

    def forward(self, x: Tensor, take: Tensor) -> Tensor:
        """Return ``x`` with or without a residual."""
        return torch.relu(x + self.sides.one(x) * take.to(x.dtype))


class DecidedTwice(nn.Module):
    """Two ``torch.cond`` on one condition."""

    def __init__(self, sides: Sides) -> None:
        super().__init__()
        self.sides = sides

    def forward(self, x: Tensor, take: Tensor) -> Tensor:
        """Return ``x`` with or without two residuals."""
        for side in (self.sides.one, self.sides.other):
            x = torch.cond(take, lambda x, f=side: torch.relu(x + f(x)), torch.clone, (x,))
        return x


class StaticSides(nn.Module):
    """What the selections come down to."""

    def __init__(self, compute: Callable[[Tensor], Tensor], sides: Sides) -> None:
        super().__init__()
        self.compute = compute
        self.sides = sides

    def forward(self, x: Tensor) -> Tensor:
        """Return the same."""
        return self.compute(x)
