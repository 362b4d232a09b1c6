"""The artifact at every level of effort: accuracy, work, exits and time."""

from __future__ import annotations

__all__ = ["Found", "Level", "Times", "level_of", "level_rows", "levels_of"]

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks import dgate_units as units
from benchmarks.dgate_answers import Answers, Ran, exit_of, ran
from benchmarks.dgate_study import Study
from benchmarks.dgate_units import DENSE, LABELS, difference_rows
from benchmarks.harness import Bench, Row
from benchmarks.published import macs
from dyncompile.measuring.findings import ARTIFACT, DEAREST, STATIC, Findings
from dyncompile.methods.paired import Difference, paired_difference

LOST_AT_MOST = 2.0  # points, at the default level, as are the others
SAVED_AT_LEAST = 40.0  # per cent
KEPT_AT_LEAST = 0.95
AGREE_AT_LEAST = 99.9  # per cent: sums in another order may turn a decision at its threshold

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Times:
    """Microseconds a call along each path, forced.

    Attributes:
        artifact: By exit.
        static: Of the static network that ends there; the last is the dense network.
        macs: Of the artifact, by exit.
    """

    artifact: NDArray[np.float64]
    static: NDArray[np.float64]
    macs: NDArray[np.float64]

    @property
    def dense(self) -> float:
        """Of the dense network."""
        return float(self.static[-1])

    def saved(self, shares: NDArray[np.float64]) -> float:
        """Return the share of the dense network's time that the mean sample does without."""
        return 1 - float(shares @ self.artifact) / self.dense

    def kept(self, shares: NDArray[np.float64]) -> float | None:
        """Return this saving over that of static prefixes; None where these save nothing."""
        would = float(shares @ (self.dense - self.static))
        return float(shares @ (self.dense - self.artifact)) / would if would > 0 else None


@dataclass(frozen=True)
class Level:
    """What a level of effort makes of the test images.

    Attributes:
        number: Of the level.
        name: What rows call it.
        is_default: Whether it is the default one.
        is_end: Whether it is the dense network.
        exits: Where each image leaves the artifact, ``int64[N]``.
        right: Whether it is right there, ``bool[N]``.
        shares: Of the images, by exit.
        macs: Mean of an image.
        agreeing: Share of the images of which PyTorch says the same, and at the same exit.
    """

    number: int
    name: str
    is_default: bool
    is_end: bool
    exits: NDArray[np.int64]
    right: Flags
    shares: NDArray[np.float64]
    macs: float
    agreeing: float


@dataclass(frozen=True)
class Found:
    """What the study found of the artifact.

    Attributes:
        study: The study.
        answers: Of every exit, in PyTorch.
        findings: Of ``bench``.
        times: Along the paths.
        dense_macs: Of the dense network, without gates.
        levels: All, least effort first.
    """

    study: Study
    answers: Answers
    findings: Findings
    times: Times
    dense_macs: float
    levels: tuple[Level, ...]

    @property
    def dense_right(self) -> Flags:
        """Of which images the dense network says the class."""
        return self.answers.right[:, -1]

    @property
    def default(self) -> Level:
        """The default level."""
        return next(level for level in self.levels if level.is_default)

    def lost(self, right: Flags) -> Difference:
        """Return what the dense network is right more often."""
        return self.above(self.dense_right, right)

    def above(self, right: Flags, other: Flags) -> Difference:
        """Return the paired difference, images of one written digit together."""
        return paired_difference(right, other, self.study.groups)


def levels_of(study: Study, bench: Bench) -> Found:
    """Run the artifact on the test images at every level, and bench it; once a study."""
    return study.once("levels", lambda: _found(study, bench.seconds, compiled=not bench.quick))


def _found(study: Study, seconds: float, *, compiled: bool) -> Found:
    net, _ = study.calibrated
    answers = study.answers(net)
    findings = study.findings(seconds, compiled=compiled)
    times = _times(findings, len(net.gates))
    levels = []
    for number in range(len(net.table)):
        with study.bar(f"Artifact, effort {number}") as bar:
            found = ran(study.artifact, study.data.test, number, bar)
        levels.append(level_of(study, number, found, answers, times))
    return Found(study, answers, findings, times, macs(study.dense, study.example), tuple(levels))


def _times(findings: Findings, gates: int) -> Times:
    """Return the times of all exits; each has one path."""
    paths = {exit_of(found.path, gates): found for found in findings.setups[0].paths}
    ordered = [paths[place] for place in range(gates + 1)]
    return Times(
        np.array([path.us[ARTIFACT].median for path in ordered]),
        np.array([path.us[STATIC].median for path in ordered]),
        np.array([float(path.macs) for path in ordered]),
    )


def level_of(study: Study, number: int, found: Ran, answers: Answers, times: Times) -> Level:
    """Return what a level makes of the test images, as the artifact ran them."""
    net, _ = study.calibrated
    same = answers.at(net, number, times.macs.tolist())
    images = np.arange(len(found.exits))
    agree = (found.exits == same.exits) & (found.classes == answers.classes[images, same.exits])
    shares = np.bincount(found.exits, minlength=len(times.macs)) / len(found.exits)
    return Level(
        number,
        study.level_name(number),
        number == int(net.default),
        number == len(net.table) - 1,
        found.exits,
        found.classes == study.data.test.labels.numpy(),
        shares,
        float(shares @ times.macs),
        float(agree.mean()),
    )


def level_rows(found: Found) -> Iterator[Row]:
    """Return the dense network's rows, then those of each level."""
    name = found.study.plan.network
    right = 100 * float(found.dense_right.mean())
    yield Row(name, LABELS, DENSE, found.times.dense, right, units.RIGHT)
    yield Row(name, LABELS, DENSE, None, found.dense_macs / 1e6, units.MACS)
    for level in found.levels:
        yield from _rows_of(found, level)


def _rows_of(found: Found, level: Level) -> Iterator[Row]:
    name, path, times = f"{found.study.plan.network}: effort", level.name, found.times

    def limit(value: float) -> float | None:
        return value if level.is_default else None

    yield Row(name, LABELS, path, None, 100 * float(level.right.mean()), units.RIGHT)
    lost = found.lost(level.right)
    yield from difference_rows(name, DENSE, path, lost, units.LOST, limit(LOST_AT_MOST))
    saved = 100 * (1 - level.macs / found.dense_macs)
    least = limit(SAVED_AT_LEAST)
    yield Row(name, DENSE, path, None, saved, units.SAVED, least, at_least=True)
    for number, share in enumerate(level.shares, 1):
        place = "the end" if number == len(level.shares) else f"gate{number}"
        yield Row(name, place, path, None, 100 * float(share), units.LEAVE)
    us, time = times.dense, times.saved(level.shares)
    yield Row(name, DENSE, path, us, time, units.TIME)
    yield Row(name, DENSE, path, us, _saved_freely(found, level), units.FREE)
    kept, least = times.kept(level.shares), limit(KEPT_AT_LEAST)
    yield Row(name, "static prefixes", path, us, kept, units.KEPT, least, at_least=True,
              note="they save nothing")  # fmt: skip
    agree = 100 * level.agreeing
    yield Row(name, "PyTorch", path, None, agree, units.AGREE, AGREE_AT_LEAST, at_least=True)


def _saved_freely(found: Found, level: Level) -> float:
    """Return what free runs save of the time of the dense network, on the samples timed."""
    setup = found.findings.setups[0]
    (point,) = (point for point in setup.points if point.point["effort"] == level.number)
    return 1 - point.mean_us / setup.others[DEAREST].mean_us
