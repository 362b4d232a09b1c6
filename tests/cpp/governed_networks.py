"""Networks to govern, what was measured of them, and scripts of calls, drawn."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

from dyncompile.knobs import Knob, Levels, Threshold
from dyncompile.manifest import Decision, Manifest, OperatingPoint, Side
from dyncompile.runtime.calibration import Calibration, Conditions, Latency, full_point

MS = 1_000_000  # nanoseconds
THRESHOLDS = (0.1, 0.25, 1 / 3, 0.9, math.inf)
BAD_POINTS: tuple[OperatingPoint, ...] = ({"level": 9}, {"level": -1}, {"speed": 0})
PAUSES = (0, 0, 0, 0, MS, 40 * MS, 600 * MS, 2000 * MS, 40_000 * MS)
LOADS = (1.0, 1.0, 1.04, 1.15, 1.3, 2.0, 5.0, 0.5)
HERE = Conditions("a processor", 2, "ONNX Runtime 1.2", 1, ("CPUExecutionProvider",))


@dataclass(frozen=True)
class Event:
    """A call begins, or ends if it has begun.

    Attributes:
        wait: Nanoseconds that pass before.
        call: Which.
        fixed: Knobs that it fixes, if it begins.
        fails: Whether the network fails, if it ends.
    """

    wait: int
    call: int
    fixed: OperatingPoint
    fails: bool


@dataclass(frozen=True)
class Script:
    """What is governed, how, and the calls."""

    manifest: Manifest
    known: Calibration
    milliseconds: float
    percentile: int
    points: Sequence[OperatingPoint]
    quality: Sequence[float]
    tick: int
    events: Sequence[Event]


def value_of(knob: Knob) -> st.SearchStrategy[Any]:
    """Draw a value that the knob can have."""
    if isinstance(knob, Levels):
        return st.integers(0, len(knob.values) - 1)
    one = st.sampled_from(THRESHOLDS)
    several = st.lists(one, min_size=sum(knob.shape), max_size=sum(knob.shape))
    return one | several if knob.shape else one


@st.composite
def points_of(draw: st.DrawFn, knobs: Mapping[str, Knob]) -> OperatingPoint:
    """Draw values of some of the knobs."""
    named = [name for name in knobs if draw(st.booleans())]
    return {name: draw(value_of(knobs[name])) for name in named}


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    """Draw knobs, decisions on levels, operating points."""
    knobs: dict[str, Knob] = {"level": Levels(tuple(range(draw(st.integers(1, 4)))))}
    if draw(st.booleans()):
        knobs["depth"] = Levels((1.0, "all"), draw(st.integers(0, 1)))
    if draw(st.booleans()):
        knobs["t"] = Threshold(draw(_DEFAULTS), 0, 1)
    macs = st.lists(st.integers(0, 5), min_size=2, max_size=4)
    read = st.lists(st.sampled_from([*knobs, "data"]), max_size=2)
    decisions = tuple(
        Decision(f"d{n}", "switch", tuple(draw(read)), (), tuple(Side(k, 0) for k in draw(macs)))
        for n in range(draw(st.integers(0, 3)))
    )
    points = tuple(draw(st.lists(points_of(knobs), max_size=5)))
    written = Manifest("onnx", knobs, decisions, points).to_json()
    return Manifest.from_json(written, "here")  # as it is found in an artifact


@st.composite
def latencies(draw: st.DrawFn, point: OperatingPoint) -> Latency:
    """Draw what calls take: some much alike, some not, some no time at all."""
    seed, mean = draw(st.integers(0, 9)), draw(st.sampled_from((0.0, 1e-7, 1.0, 2.0, 3.7, 8.0)))
    spread = draw(st.sampled_from((0.0, 0.01, 0.2, 1.0, 30.0)))
    noise = np.random.default_rng(seed).exponential(spread, draw(st.integers(1, 300)))
    return Latency.of(point, mean * (1 + noise), samples=3, drawn=draw(st.booleans()))


@st.composite
def scripts(draw: st.DrawFn) -> Script:
    """Draw all of it; a few are refused."""
    manifest = draw(manifests())
    points = draw(st.lists(points_of(manifest.knobs), max_size=6))
    count = len(points or manifest.operating_points or [{}])
    quality = st.lists(st.sampled_from((0.5, 0.7, 0.7001, 0.9, math.inf)), min_size=count)
    grades: list[float] = draw(quality.map(lambda all_: all_[:count])) if draw(_few(2)) else []
    known = draw(_calibrations(manifest, points))
    if draw(_few(20)):
        points.append(draw(st.sampled_from(BAD_POINTS)))
    if draw(_few(20)):
        grades = draw(st.sampled_from(([0.5], [math.nan] * count, [1.0] * (count + 1))))
    return Script(
        manifest,
        known,
        draw(st.sampled_from((0, -4, math.nan, math.inf)) if draw(_few(20)) else _BUDGETS),
        draw(st.sampled_from((50, 95, 95))) if not draw(_few(30)) else 99,
        points,
        grades,
        draw(st.sampled_from((0, 1, 999))),
        draw(_events(manifest)),
    )


_DEFAULTS: st.SearchStrategy[float | tuple[float, ...]] = st.sampled_from((0.5, 1 / 3, (0.5, 0.9)))
_BUDGETS = st.sampled_from((0.25, 1.5, 2.5, 4, 4.5, 9, 12.5, 40))


def _few(of: int) -> st.SearchStrategy[bool]:
    return st.integers(1, of).map(lambda drawn: drawn == of)


@st.composite
def _calibrations(
    draw: st.DrawFn, manifest: Manifest, points: Sequence[OperatingPoint]
) -> Calibration:
    wanted = [*points, *manifest.operating_points, {}]
    full = [full_point(manifest.knobs, point) for point in wanted]
    measured = [point for n, point in enumerate(full) if point not in full[:n]]
    if draw(_few(20)):
        measured = measured[1:]
    found = tuple(draw(latencies(point)) for point in measured)
    return Calibration(HERE, full_point(manifest.knobs, {}), found, "2030-01-01")


@st.composite
def _events(draw: st.DrawFn, manifest: Manifest) -> list[Event]:
    fixed = draw(st.lists(points_of(manifest.knobs), max_size=3))
    if draw(st.booleans()):
        fixed.append(draw(st.sampled_from(BAD_POINTS)))
    rng = random.Random(draw(st.integers(0, 2**32)))
    overlap = draw(st.sampled_from((0.0, 0.0, 0.1, 0.8)))
    usual = draw(st.sampled_from((0.1, 1.0, 2.0, 4.0, 8.0)))
    events = []
    running: list[int] = []
    load = 1.0
    for number in range(draw(st.integers(1, 150))):
        load = rng.choice(LOADS) if number % 24 == 0 else load
        if running and (rng.random() >= overlap or len(running) == 4):
            call = running.pop(rng.randrange(len(running)))
            outlier = 50 if rng.random() < 0.03 else 1
            wait = round(usual * load * outlier * rng.uniform(0.9, 1.1) * MS)
            events.append(Event(wait, call, {}, rng.random() < 0.05))
            continue
        given = rng.choice(fixed) if fixed and rng.random() < 0.15 else {}
        events.append(Event(rng.choice(PAUSES), number, given, fails=False))
        if given not in BAD_POINTS[:2]:
            running.append(number)
    return events
