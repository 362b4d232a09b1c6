"""Search thresholds: for each mean cost, those that are right most often.

A sample leaves at the first gate whose sureness reaches the gate's threshold, compared in float32.
With K gates it may leave at K + 1 places; the last is the end of the network.
"""

from __future__ import annotations

__all__ = ["PRICES", "Frontier", "Outcome", "frontier", "outcome"]

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dyncompile.progress import Progress, untold

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

PRICES = 128
MOST_SWEEPS = 50
STEPS_OF_COST = 100
PRECISION = 1e-9  # of what a sample is worth; sums of 1e6 of them are exact to far less


@dataclass(frozen=True)
class Outcome:
    """What thresholds make of samples.

    Attributes:
        exits: Where each sample leaves, from 0 to K, ``int64[N]``.
        right: Whether its answer is right there, ``bool[N]``.
        cost: Mean cost of a sample.
    """

    exits: Counts
    right: NDArray[np.bool_]
    cost: float

    @property
    def accuracy(self) -> float:
        """The share of the samples that are right."""
        return float(self.right.mean())

    def leaving(self, places: int) -> tuple[float, ...]:
        """Return the share of the samples that leave at each of the places."""
        counts = np.bincount(self.exits, minlength=places)
        return tuple((counts / len(self.exits)).tolist())


@dataclass(frozen=True)
class Frontier:
    """Threshold vectors from the cheapest to the dense network.

    None costs less than those before, and each but the last is right more often. The last has
    no sample leave at a gate, however it compares.

    Attributes:
        thresholds: ``float32[F, K]``.
        accuracy: Of each on the samples it was found with, ``float64[F]``.
        cost: Mean of each on them, ``float64[F]``.
    """

    thresholds: NDArray[np.float32]
    accuracy: Floats
    cost: Floats


def outcome(
    sureness: ArrayLike, right: ArrayLike, costs: ArrayLike, thresholds: ArrayLike
) -> Outcome:
    """Return where samples leave, and what comes of it.

    Args:
        sureness: Of each gate, ``float[N, K]``; NaN never reaches a threshold.
        right: Whether a sample that leaves at each place is right, ``bool[N, K + 1]``.
        costs: Of leaving at each place, ``float[K + 1]``.
        thresholds: Of each gate, ``float[K]``.
    """
    fires = np.asarray(sureness, np.float32) >= np.asarray(thresholds, np.float32)
    fires = np.concatenate([fires, np.ones((len(fires), 1), bool)], axis=1)
    exits = fires.argmax(1)
    chosen = np.asarray(right, bool)[np.arange(len(exits)), exits]
    return Outcome(exits, chosen, float(np.asarray(costs, np.float64)[exits].mean()))


def frontier(
    sureness: ArrayLike,
    right: ArrayLike,
    costs: ArrayLike,
    *,
    prices: int = PRICES,
    progress: Progress | None = None,
) -> Frontier:
    """Search threshold vectors that no other is better than at the same mean cost.

    For a price of a unit of cost, what a vector is worth is its accuracy less the price of its
    mean cost. Gates are set in turns, last to first, each to the best of all thresholds given
    the others, until nothing gets better. Prices run over a geometric range, from less than one
    sample is worth to more; for each the search starts from what its neighbours found, in both
    directions, from each gate's best threshold alone, and at last from the best of all found.
    With one gate the best vector for a price is found; with more, one that no change of a single
    gate makes better, which mostly is the best. Where two neighbours are more than a hundredth
    of the range of costs apart, what lies between their thresholds is tried too.

    A threshold lies midway between two scores that occur, or at an infinity where all samples
    of a gate leave, or none.

    Args:
        sureness: See ``outcome``; no infinity above.
        right: See ``outcome``.
        costs: See ``outcome``; growing.
        prices: How many.
        progress: Called with what is done, how much of it and how much there is.
    """
    search = _Search(
        np.asarray(sureness, np.float32), np.asarray(right, bool), np.asarray(costs, np.float64)
    )
    report = progress or untold
    grid = search.prices(prices)
    total = 4 * len(grid)
    for way, order in enumerate((grid, grid[::-1])):
        start = search.first if way else search.dense
        for done, price in enumerate(order, 1):
            start = search.climb(start, price)
            report("thresholds", way * len(grid) + done, total)
    for done, price in enumerate(grid, 1):
        search.climb(search.alone(price), price)
        report("thresholds", 2 * len(grid) + done, total)
    for done, price in enumerate(grid, 1):
        search.improve(price)
        report("thresholds", 3 * len(grid) + done, total)
    search.fill()
    return search.frontier()


Positions = tuple[int, ...]


@dataclass(frozen=True)
class _Gate:
    """The samples in falling order of a gate's sureness, and where a threshold may cut.

    Attributes:
        order: Numbers of the samples, surest first, ``int64[N]``.
        place: Of each sample in this order, ``int64[N]``.
        cuts: How many samples may leave together, ascending, from 0 on, ``int64[C]``.
        thresholds: What lets so many leave, ``float32[C]``.
    """

    order: Counts
    place: Counts
    cuts: Counts
    thresholds: NDArray[np.float32]

    @classmethod
    def of(cls, sureness: NDArray[np.float32]) -> _Gate:
        order = np.argsort(-sureness, kind="stable")  # NaN comes last
        ordered = sureness[order]
        count = int(np.count_nonzero(~np.isnan(ordered)))
        above, below = ordered[: count - 1], ordered[1:count]
        inner = np.flatnonzero(above[: max(count - 1, 0)] > below)
        high, low = (one[inner].astype(np.float64) for one in (above, below))
        middle = ((high + low) / 2).astype(np.float32)
        middle = np.where(middle > low.astype(np.float32), middle, high.astype(np.float32))
        all_leave = ([count], [-np.inf]) if count else ([], [])
        cuts = np.concatenate([[0], inner + 1, all_leave[0]]).astype(np.int64)
        thresholds = np.concatenate([[np.inf], middle, all_leave[1]]).astype(np.float32)
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        return cls(order, place, cuts, thresholds)


class _Search:
    """Vectors found so far, each the number of a cut per gate."""

    def __init__(
        self, sureness: NDArray[np.float32], right: NDArray[np.bool_], costs: Floats
    ) -> None:
        self._gates = [_Gate.of(np.ascontiguousarray(column)) for column in sureness.T]
        self._right = np.ascontiguousarray(right.T)
        self._worth = self._right.astype(np.float64)
        self._costs = costs
        self._all = np.ones(len(sureness), bool)
        self._found: dict[Positions, tuple[float, float]] = {}
        self._table: tuple[list[Positions], Floats, Floats] | None = None
        self.dense: Positions = (0,) * len(self._gates)
        self.first: Positions = (len(self._gates[0].cuts) - 1, *self.dense[1:])
        for vector in (self.dense, self.first):
            self._keep(vector)

    def prices(self, count: int) -> list[float]:
        gaps = np.diff(self._costs)
        gaps = gaps[gaps > 0]
        if not gaps.size:
            return [1.0]
        span = float(self._costs[-1] - self._costs[0])
        low, high = 0.5 / (len(self._all) * span), 2 / float(gaps.min())
        grid: list[float] = np.geomspace(low, high, count).tolist()
        return grid

    def climb(self, start: Positions, price: float) -> Positions:
        """Set the gates in turns until it gets no better; keep and return what was found."""
        vector, worth = start, -np.inf
        for _ in range(MOST_SWEEPS):
            swept, before = self._sweep(vector, price, self._reaching(vector))
            if before <= worth + PRECISION:
                break
            vector, worth = swept, before
        self._keep(vector)
        return vector

    def alone(self, price: float) -> Positions:
        """Return the best cut of each gate if all samples came to it, last gate first."""
        return self._sweep(self.dense, price, [self._all] * len(self._gates))[0]

    def improve(self, price: float) -> None:
        """Start from the best of those found, until nothing better is."""
        for _ in range(MOST_SWEEPS):
            best = self._best(price)
            if self.climb(best, price) == best or self._best(price) == best:
                break

    def _best(self, price: float) -> Positions:
        if self._table is None or len(self._table[0]) != len(self._found):
            accuracy, cost = np.array(list(self._found.values())).T
            self._table = list(self._found), accuracy, cost
        vectors, accuracy, cost = self._table
        return vectors[int(np.argmax(accuracy - price * cost))]

    def fill(self) -> None:
        """Try vectors between neighbours that are far apart in cost."""
        vectors = self._undominated()
        costs = [self._found[vector][1] for vector in vectors]
        step = (costs[-1] - costs[0]) / STEPS_OF_COST
        for pair, gap in zip(itertools.pairwise(vectors), np.diff(costs), strict=True):
            between = math.ceil(gap / step) if gap > step else 1
            one, other = np.array(pair)
            for part in range(1, between):
                cuts = np.rint(one + (other - one) * part / between).astype(int)
                self._keep(tuple(cuts.tolist()))

    def frontier(self) -> Frontier:
        kept = self._undominated()
        thresholds = [
            [gate.thresholds[cut] for gate, cut in zip(self._gates, vector, strict=True)]
            for vector in kept
        ]
        accuracies, costs = np.array([self._found[vector] for vector in kept]).T
        return Frontier(np.array(thresholds, np.float32), accuracies, costs)

    def _undominated(self) -> list[Positions]:
        """Return the vectors that none is better than, by growing cost, and the dense last."""
        dense = self._found[self.dense]
        kept: list[Positions] = []
        best = -np.inf
        for vector, (accuracy, cost) in sorted(
            self._found.items(), key=lambda item: (item[1][1], -item[1][0])
        ):
            if accuracy > best and (accuracy, cost) != dense:
                best = accuracy
                kept.append(vector)
        return [*kept, self.dense]

    def _fires(self, number: int, cut: int) -> NDArray[np.bool_]:
        gate = self._gates[number]
        fires: NDArray[np.bool_] = gate.place < gate.cuts[cut]
        return fires

    def _reaching(self, vector: Positions) -> list[NDArray[np.bool_]]:
        """Return which samples come to each gate."""
        reaching = [self._all]
        for number, cut in enumerate(vector[:-1]):
            reaching.append(reaching[-1] & ~self._fires(number, cut))
        return reaching

    def _sweep(
        self, vector: Positions, price: float, reaching: Sequence[NDArray[np.bool_]]
    ) -> tuple[Positions, float]:
        """Set each gate to its best cut, last to first; return the cuts and what they are worth.

        A gate that no sample comes to is set as if all did: another may open the way to it.
        """
        cuts = list(vector)
        onward = self._worth[-1] - price * self._costs[-1]
        for number in reversed(range(len(self._gates))):
            gate = self._gates[number]
            here = self._worth[number] - price * self._costs[number]
            comes = reaching[number] if reaching[number].any() else self._all
            gains = np.where(comes, here - onward, 0.0)[gate.order]
            sums = np.concatenate([[0.0], np.cumsum(gains)])[gate.cuts]
            best = int(np.argmax(sums))
            if sums[best] > sums[cuts[number]] + PRECISION:
                cuts[number] = best
            onward = np.where(self._fires(number, cuts[number]), here, onward)
        return tuple(cuts), float(onward.sum())

    def _keep(self, vector: Positions) -> None:
        if vector in self._found:
            return
        exits = np.full(len(self._all), len(self._gates))
        for number in reversed(range(len(self._gates))):
            exits[self._fires(number, vector[number])] = number
        accuracy: Any = self._right[exits, np.arange(len(exits))].mean()
        self._found[vector] = float(accuracy), float(self._costs[exits].mean())
