"""What calls of one artifact take on one machine, by operating point."""

from __future__ import annotations

__all__ = ["FORMAT", "Calibration", "Conditions", "Latency", "full_point"]

import dataclasses
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dyncompile.errors import ArtifactError, KnobError
from dyncompile.json_fields import count, number, parse, want
from dyncompile.knobs import Knob
from dyncompile.machine import processor
from dyncompile.manifest import OperatingPoint

FORMAT = 2


@dataclass(frozen=True)
class Latency:
    """What a call takes at one operating point.

    Attributes:
        point: Values of all knobs.
        median_ms: Half of the calls were faster.
        mean_ms: Their mean.
        p95_ms: 95 % of the calls were faster.
        calls: How many were timed.
        samples: How many different inputs they had.
        drawn: Whether these were drawn noise; with it, the network may decide otherwise than
            with data.
    """

    point: OperatingPoint
    median_ms: float
    mean_ms: float
    p95_ms: float
    calls: int
    samples: int
    drawn: bool

    @classmethod
    def of(
        cls, point: OperatingPoint, ms: NDArray[np.float64], *, samples: int, drawn: bool
    ) -> Latency:
        """Summarise ``float64[calls]``, at least one."""
        median, p95 = np.percentile(ms, [50, 95]).tolist()
        return cls(point, median, float(ms.mean()), p95, len(ms), samples, drawn)


@dataclass(frozen=True)
class Conditions:
    """What latencies depend on, apart from the artifact.

    Attributes:
        processor: Its name.
        cores: Their number.
        runtime: What runs it, and its version.
        threads: Threads one operator may use; None lets ONNX Runtime decide.
        providers: Execution providers in use, most wanted first, with their options; of an
            engine, the GPU.
    """

    processor: str
    cores: int
    runtime: str
    threads: int | None
    providers: tuple[str, ...]

    @classmethod
    def here(cls, runtime: str, threads: int | None, providers: tuple[str, ...]) -> Conditions:
        """Return the conditions on this machine."""
        return cls(processor(), os.cpu_count() or 1, runtime, threads, providers)

    @property
    def is_here(self) -> bool:
        """Whether they are of a machine like this one."""
        return (self.processor, self.cores) == (processor(), os.cpu_count() or 1)


@dataclass(frozen=True)
class Calibration:
    """Latencies of an artifact on one machine.

    Attributes:
        conditions: Machine, threads, providers.
        defaults: The value of each knob where a point does not name it.
        latencies: One per operating point.
        date: Day of the newest of them, ISO.
    """

    conditions: Conditions
    defaults: OperatingPoint
    latencies: tuple[Latency, ...]
    date: str

    def at(self, point: OperatingPoint) -> Latency | None:
        """Return the latency at an operating point; None if it has not been measured.

        Knobs that the point does not name have their defaults; one that is unknown matches
        nothing.
        """
        wanted = {**self.defaults, **point}
        return next((known for known in self.latencies if _is_same(known.point, wanted)), None)

    def merged(self, newer: Calibration) -> Calibration:
        """Return both; where both know a point, the newer, but data before noise."""
        replaced = {
            id(old): new
            for new in newer.latencies
            if (old := self.at(new.point)) and (old.drawn or not new.drawn)
        }
        added = tuple(new for new in newer.latencies if self.at(new.point) is None)
        kept = tuple(replaced.get(id(old), old) for old in self.latencies)
        return dataclasses.replace(newer, latencies=kept + added)

    def to_json(self) -> str:
        """Return compact JSON; infinite thresholds are written as strings."""
        entry = {"format": FORMAT, **dataclasses.asdict(self)}
        return json.dumps(_writable(entry), separators=(",", ":"), allow_nan=False)

    @classmethod
    def from_json(cls, text: str, where: str) -> Calibration:
        """Read what ``to_json`` wrote; fields this version does not know are ignored.

        Raises:
            ArtifactError: something else, damaged, or written by a newer version.
        """
        try:
            entry = want(dict, parse(text), "a calibration")
            if want(int, entry["format"], "format") != FORMAT:
                raise ValueError(f"its format is {entry['format']}")  # noqa: TRY301
            return cls(
                _conditions(want(dict, entry["conditions"], "conditions")),
                _point(entry["defaults"]),
                tuple(map(_latency, want(list, entry["latencies"], "latencies"))),
                want(str, entry["date"], "date"),
            )
        except (KeyError, ValueError) as error:
            raise ArtifactError(
                "no latencies that this version can read.",
                where=where,
                remedy="Measure them again.",
            ) from error


def full_point(knobs: Mapping[str, Knob], point: object) -> dict[str, Any]:
    """Return the values of all knobs at a point as plain numbers, defaults filled in.

    Raises:
        KnobError: not a mapping, an unknown knob, or a value out of range.
    """
    if not isinstance(point, Mapping):
        raise KnobError(
            f"{type(point).__name__} is not an operating point.",
            where="points",
            remedy='Give a list of knobs by name, as in [{"level": 0}, {"level": 1}].',
        )
    if unknown := sorted(map(str, set(point) - set(knobs))):
        raise KnobError(
            "the network has no such knob.",
            where=f"knob {unknown[0]!r}",
            remedy=f"Its knobs are {', '.join(knobs) or 'none'}.",
        )
    return {name: _plain(knob.array(name, point.get(name))) for name, knob in knobs.items()}


def _plain(array: NDArray[Any]) -> Any:  # noqa: ANN401
    """Return the shortest numbers that mean the same float32, or whole numbers."""
    if array.dtype.kind == "i":
        return array.tolist()
    numbers = [float(str(number)) for number in array.ravel()]
    return numbers if array.ndim else numbers[0]


def _is_same(known: OperatingPoint, wanted: OperatingPoint) -> bool:
    return known.keys() == wanted.keys() and all(_equal(known[n], wanted[n]) for n in known)


def _equal(known: object, wanted: object) -> bool:
    one, other = (np.asarray(value, np.float32).ravel() for value in (known, wanted))
    return other.size in {1, one.size} and bool((one == other).all())


def _writable(value: object) -> object:
    if isinstance(value, Mapping):
        return {name: _writable(entry) for name, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_writable(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def _conditions(entry: Mapping[str, Any]) -> Conditions:
    threads = entry["threads"]
    providers = want(list, entry["providers"], "providers")
    return Conditions(
        processor=want(str, entry["processor"], "processor"),
        cores=want(int, entry["cores"], "cores"),
        runtime=want(str, entry["runtime"], "runtime"),
        threads=None if threads is None else want(int, threads, "threads"),
        providers=tuple(want(str, provider, "a provider") for provider in providers),
    )


def _latency(entry: object) -> Latency:
    found = want(dict, entry, "a latency")
    median, mean, p95 = (number(found[name], name) for name in ("median_ms", "mean_ms", "p95_ms"))
    calls, samples = (count(found[name], name) for name in ("calls", "samples"))
    drawn = found["drawn"]
    if not (all(0 <= ms < math.inf for ms in (median, mean, p95)) and min(calls, samples) > 0):
        raise ValueError(f"{found} is no latency")
    if not isinstance(drawn, bool):
        raise ValueError(f"drawn is {type(drawn).__name__}, not bool")  # noqa: TRY004
    return Latency(_point(found["point"]), median, mean, p95, calls, samples, drawn)


def _point(entry: object) -> OperatingPoint:
    return {
        name: [number(one, name) for one in value]
        if isinstance(value, list)
        else value
        if type(value) is int
        else number(value, name)
        for name, value in want(dict, entry, "a point").items()
    }
