"""At which settings of the knobs the artifact runs."""

from __future__ import annotations

__all__ = ["has_range", "measured_points", "parse_sweeps", "single_line"]

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from dyncompile.errors import InputError
from dyncompile.knobs import Knob, Levels, Threshold
from dyncompile.manifest import OperatingPoint
from dyncompile.runtime.calibration import full_point

STEPS = 9

Sweeps = Mapping[str, Sequence[float]]


def parse_sweeps(texts: Iterable[str]) -> dict[str, tuple[float, ...]]:
    """Read texts like ``threshold=0.5,0.7,inf``; values of one knob go together.

    Raises:
        InputError: another form.
    """
    sweeps: dict[str, tuple[float, ...]] = {}
    for name, values in map(_parse_sweep, texts):
        sweeps[name] = (*sweeps.get(name, ()), *values)
    return sweeps


def _parse_sweep(text: str) -> tuple[str, tuple[float, ...]]:
    name, _, listed = text.partition("=")
    try:
        values = tuple(float(one) for one in listed.split(","))
    except ValueError:
        values = ()
    if not (name and values) or any(map(math.isnan, values)):
        raise InputError(
            f"{text!r} is no sweep.",
            where="--sweep",
            remedy="Write NAME=VALUE,VALUE, as in threshold=0.5,0.7,0.9.",
        )
    return name, values


def measured_points(
    knobs: Mapping[str, Knob],
    points: Iterable[OperatingPoint],
    sweeps: Sweeps,
    observed: Sweeps | None = None,
) -> list[OperatingPoint]:
    """Return all values of all knobs, point by point, the defaults first.

    These are the points of the manifest, and every threshold alone over its range: nine values
    from end to end, all its entries alike; without a range never, always, and what is observed.

    Args:
        knobs: By name.
        points: Those of the manifest.
        sweeps: Values of single knobs that go instead of these.
        observed: Values of thresholds without a range.

    Raises:
        KnobError: a sweep names no knob, or a value that it may not have.
    """
    wanted: list[Mapping[str, object]] = [{}]
    wanted += (point for point in points if not any(name in sweeps for name in point))
    for name, knob in knobs.items():
        if name not in sweeps and isinstance(knob, Threshold):
            wanted += ({name: value} for value in _steps(knob, (observed or {}).get(name, ())))
    for name, values in sweeps.items():
        whole = isinstance(knobs.get(name), Levels)
        wanted += (
            {name: int(value) if whole and value.is_integer() else value} for value in values
        )
    found = {single_line(full := full_point(knobs, point)): full for point in wanted}
    return list(found.values())


def has_range(knob: Knob) -> bool:
    """Whether the values of a knob lie between two ends."""
    return isinstance(knob, Levels) or (math.isfinite(knob.low) and math.isfinite(knob.high))


def _steps(knob: Threshold, observed: Sequence[float]) -> Iterable[float]:
    if has_range(knob):
        return map(float, np.linspace(knob.low, knob.high, STEPS))
    return [-math.inf, *observed, math.inf]


def single_line(point: OperatingPoint) -> str:
    """Spell a point, as in ``level=1, threshold=0.5``; entries that are alike are one."""
    return ", ".join(f"{name}={_spelled(value)}" for name, value in point.items())


def _spelled(value: float | Sequence[float]) -> str:
    if not isinstance(value, Sequence):
        return f"{value:g}"
    alike = len(set(value)) == 1
    return f"{value[0]:g}" if alike else "/".join(f"{one:g}" for one in value)
