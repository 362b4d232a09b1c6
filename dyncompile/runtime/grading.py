"""How good operating points are where nobody has said it: by time, and by the work of levels."""

from __future__ import annotations

__all__ = ["grades_by_time"]

import math
from collections.abc import Iterable, Mapping, Sequence

from dyncompile.knobs import Knob, Levels
from dyncompile.manifest import Decision
from dyncompile.runtime.calibration import Latency


def grades_by_time(
    latencies: Sequence[Latency], knobs: Mapping[str, Knob], decisions: Iterable[Decision]
) -> list[float]:
    """Return how good each point is: its mean time, and more than where a level computes less.

    A level that computes more may take less time, as one that cuts no weights does beside one
    that cuts a few. It is the better one nonetheless, whatever was measured.

    Args:
        latencies: Of the points.
        knobs: All there are.
        decisions: Of the network; of those on a level, what each option computes is known.
    """
    work = _work_of_levels(knobs, decisions)
    places = [_place(latency, knobs, work) for latency in latencies]
    grades = [0.0] * len(latencies)
    for number in sorted(range(len(places)), key=lambda each: sum(places[each][0])):
        levels, others = places[number]
        beaten = [
            math.nextafter(grades[other], math.inf)
            for other, (lower, same) in enumerate(places)
            if same == others and lower != levels and _nowhere_above(lower, levels)
        ]
        grades[number] = max(latencies[number].mean_ms, *beaten, 0.0)
    return grades


def _work_of_levels(
    knobs: Mapping[str, Knob], decisions: Iterable[Decision]
) -> dict[str, list[int]]:
    """Return what each level of a knob computes, of knobs that decisions read as they are."""
    work: dict[str, list[int]] = {}
    for decision in decisions:
        for name in decision.values:
            knob = knobs.get(name)
            if isinstance(knob, Levels) and decision.sides:
                last = len(decision.sides) - 1
                total = work.setdefault(name, [0] * len(knob.values))
                for level in range(len(total)):
                    total[level] += decision.sides[min(level, last)].macs
    return work


def _place(
    latency: Latency, knobs: Mapping[str, Knob], work: Mapping[str, Sequence[int]]
) -> tuple[list[int], list[bytes]]:
    """Return what the levels of a point compute, and the values of its other knobs."""
    levels = [work[name][int(knobs[name].array(name, latency.point[name]))] for name in work]
    others = [knobs[n].array(n, latency.point[n]).tobytes() for n in knobs if n not in work]
    return levels, others


def _nowhere_above(one: Sequence[int], other: Sequence[int]) -> bool:
    return all(low <= high for low, high in zip(one, other, strict=True))
