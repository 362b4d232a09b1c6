"""From what a caller asks of ``Net.within`` to a governor."""

from __future__ import annotations

__all__ = ["govern", "graded_points"]

import math
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from dyncompile.errors import InputError
from dyncompile.knobs import Knob
from dyncompile.manifest import Decision, OperatingPoint
from dyncompile.runtime.budget import Budget
from dyncompile.runtime.calibrating import Calibrator, Points
from dyncompile.runtime.calibration import Calibration, Latency
from dyncompile.runtime.governor import Governor, Outputs
from dyncompile.runtime.grading import grades_by_time
from dyncompile.runtime.ladder import Rung

GradedPoint = tuple[OperatingPoint, float | None]


def graded_points(
    calibrator: Calibrator, points: Points | None, quality: Sequence[float] | None
) -> list[GradedPoint]:
    """Return what there is to choose from: points as asked for, with their quality if given.

    Raises:
        InputError: as many grades as points are not given, or there is nothing to choose from.
        KnobError: a point has an unknown knob, or a value out of range.
    """
    if points is None and calibrator.knobs and len(calibrator.points) < 2:
        raise InputError(
            "the artifact has one operating point, so there is nothing to choose from.",
            where="points",
            remedy="Give points=, as in [{name: value}, ...], of its knobs"
            f" {', '.join(calibrator.knobs)}.",
        )
    chosen = calibrator.full_points(points)
    grades = [None] * len(chosen) if quality is None else _grades(quality, len(chosen))
    return list(zip(chosen, grades, strict=True))


def govern(
    call: Callable[..., Outputs],
    knobs: Mapping[str, Knob],
    decisions: Iterable[Decision],
    graded: Sequence[GradedPoint],
    known: Calibration,
    budget: Budget,
) -> Governor:
    """Return a governor over points that have been measured, all of them.

    Without a quality, what takes longer on average is better, and so is a level that computes
    more. Where nothing fits even without load, a ``RuntimeWarning`` says so.
    """
    latencies = [_measured(known, point) for point, _ in graded]
    by_time = grades_by_time(latencies, knobs, decisions)
    rungs = [
        Rung.of(latency, budget.percentile, default if grade is None else grade)
        for latency, default, (_, grade) in zip(latencies, by_time, graded, strict=True)
    ]
    governor = Governor(call, knobs, rungs, budget)
    if not governor.picked.fits:
        warnings.warn(f"{governor.picked}.", RuntimeWarning, stacklevel=3)
    return governor


def _measured(known: Calibration, point: OperatingPoint) -> Latency:
    latency = known.at(point)
    assert latency, "what was missing has been measured"
    return latency


def _grades(quality: object, count: int) -> list[float]:
    try:
        grades: list[float] = np.asarray(quality, np.float64).tolist()
    except (TypeError, ValueError):
        grades = []
    if not (isinstance(grades, list) and len(grades) == count and all(map(_is_grade, grades))):
        raise InputError(
            f"not a number for each of {count} points.",
            where="quality",
            remedy="Give one per point, higher for better, such as accuracies.",
        )
    return grades


def _is_grade(grade: object) -> bool:
    return isinstance(grade, float) and not math.isnan(grade)
