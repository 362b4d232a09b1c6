"""How often each network is right at each level, and what the work of a level is."""

from __future__ import annotations

__all__ = [
    "SERIES",
    "Alone",
    "Flags",
    "Found",
    "alone_rows",
    "beside",
    "found_of",
    "level_rows",
    "named",
]

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.dgate_units import ABOVE, DENSE, LABELS, MACS, RIGHT, SHARE, difference_rows
from benchmarks.harness import Row
from benchmarks.idp_compact import compact
from benchmarks.idp_study import IDP, ORDINARY, SANDWICH, Study
from benchmarks.published import macs
from dyncompile.methods.paired import Difference, paired_difference

SHOWN = 0.5  # the ratio that the paper's abstract names; it alone has a target
BETTER_BY = 0.0  # points, at the low end of the interval

Flags = NDArray[np.bool_]


def named(how: str, *, recalibrated: bool) -> str:
    """Return what rows call a network."""
    return f"{how}, recalibrated" if recalibrated else how


def beside(one: str, other: str) -> str:
    """Return what rows of a difference name as their reference."""
    return f"{one}, beside {other}"


# How each was trained, and whether it is recalibrated. That of US-Nets always is, as published.
SERIES = ((ORDINARY, False), (ORDINARY, True), (IDP, False), (IDP, True), (SANDWICH, True))
_ORDINARY, _ORDINARY_ANEW, _IDP, _US = (
    named(ORDINARY, recalibrated=False),
    *(named(how, recalibrated=True) for how in (ORDINARY, IDP, SANDWICH)),
)
PAIRS = ((_IDP, _ORDINARY), (_IDP, _ORDINARY_ANEW), (_US, _ORDINARY_ANEW), (_IDP, _US))


@dataclass(frozen=True)
class Alone:
    """A static network that was trained for itself.

    Attributes:
        width: Channels of its first stage.
        right: Of which test images it says the class.
        macs: Of an image.
    """

    width: int
    right: Flags
    macs: float


@dataclass(frozen=True)
class Found:
    """What the study found.

    Attributes:
        study: The study.
        series: By name, of which test images a network says the class, level by level.
        macs: Of an image, level by level.
        alone: Narrowest first; the network of all channels is the last.
    """

    study: Study
    series: Mapping[str, tuple[Flags, ...]]
    macs: tuple[float, ...]
    alone: tuple[Alone, ...]

    @property
    def dense_macs(self) -> float:
        """Of the ordinary network with all channels."""
        return self.alone[-1].macs

    def above(self, one: Flags, other: Flags) -> Difference:
        """Return the paired difference, images of one written digit together."""
        return paired_difference(one, other, self.study.groups)


def found_of(study: Study) -> Found:
    """Train what is not trained, and ask all of it; once a study."""
    return study.once("found", lambda: _found(study))


def _found(study: Study) -> Found:
    plan = study.plan
    levels = range(len(plan.ratios))
    series = {}
    for how, recalibrated in SERIES:
        net = study.recalibrated(how) if recalibrated else study.trained(how)
        name = named(how, recalibrated=recalibrated)
        series[name] = tuple(study.right(study.classes_at(net, level)) for level in levels)
    work = [macs(compact(study.recalibrated(IDP), level), study.example) for level in levels]
    return Found(study, series, tuple(work), tuple(_alone(study)))


def _alone(study: Study) -> Iterator[Alone]:
    for width in sorted({*study.plan.alone, study.plan.width}):
        net = study.static(width)
        yield Alone(width, study.right(study.classes(net)), macs(net, study.example))


def level_rows(found: Found) -> Iterator[Row]:
    """Return the rows of each level: its work, each network, and the differences."""
    plan = found.study.plan
    name = f"{plan.network}: level"
    yield Row(plan.network, LABELS, DENSE, None, found.dense_macs / 1e6, MACS)
    for level, ratio in enumerate(plan.ratios):
        path = f"{ratio:g}"
        yield Row(name, DENSE, path, None, 100 * found.macs[level] / found.dense_macs, SHARE)
        for series, right in found.series.items():
            yield Row(name, series, path, None, 100 * float(right[level].mean()), RIGHT)
        for one, other in PAIRS:
            above = found.above(found.series[one][level], found.series[other][level])
            aims = ratio == SHOWN and one == _IDP and other in {_ORDINARY, _ORDINARY_ANEW}
            limit = BETTER_BY if aims else None
            yield from difference_rows(name, beside(one, other), path, above, ABOVE, limit)


def alone_rows(found: Found) -> Iterator[Row]:
    """Return the rows of the networks trained for themselves, and the levels beside them."""
    plan = found.study.plan
    name = f"{plan.title}: VGG-16, trained for itself"
    for each in found.alone:
        path, ratio = f"{each.width} channels", each.width / plan.width
        yield Row(name, LABELS, path, None, 100 * float(each.right.mean()), RIGHT)
        yield Row(name, DENSE, path, None, 100 * each.macs / found.dense_macs, SHARE)
        if ratio not in plan.ratios:
            continue
        level = plan.ratios.index(ratio)
        for series in (_IDP, _US):
            above = found.above(found.series[series][level], each.right)
            yield from difference_rows(name, series, path, above, ABOVE)
