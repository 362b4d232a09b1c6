"""What ``dyncompile bench`` finds, free of how it was found and of how it is shown."""

from __future__ import annotations

__all__ = [
    "ALWAYS",
    "ARTIFACT",
    "COMPILED",
    "DENSE",
    "EAGER",
    "SCORED",
    "STATIC",
    "Findings",
    "OtherFound",
    "Part",
    "PathFound",
    "PointFound",
    "Setup",
    "SetupFound",
    "Taken",
]

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass

from dyncompile.manifest import Decision, OperatingPoint
from dyncompile.timing import Spread

ALWAYS = ""

# Labels of what is timed; another ONNX file goes by its name.
ARTIFACT = "artifact"
STATIC = "static"  # of one path
SCORED = "static + scores"  # of one path, with the work that its decisions need
DEAREST = "static, dearest"  # the static network of the forced path with most work, on all samples
DENSE = "dense"  # every side computed, and selected
EAGER = "eager PyTorch"
COMPILED = "torch.compile"


@dataclass(frozen=True)
class Setup:
    """How ONNX Runtime ran.

    Attributes:
        threads: Threads one operator may use; None lets ONNX Runtime decide.
        providers: Execution providers in use, most wanted first.
    """

    threads: int | None
    providers: tuple[str, ...]


@dataclass(frozen=True)
class PathFound:
    """One path, forced.

    Attributes:
        path: The option of each decision met, in the order they are met.
        point: Values of the knobs meanwhile.
        macs: Multiply-accumulates of the path.
        us: Label to microseconds a call: ``ARTIFACT``, ``STATIC``, ``SCORED`` where the path
            has a decision.
        ratios: Label to the time of the artifact over the time of that label.
    """

    path: Mapping[str, int]
    point: OperatingPoint
    macs: int
    us: Mapping[str, Spread]
    ratios: Mapping[str, Spread]


@dataclass(frozen=True)
class Taken:
    """A path that samples took by themselves.

    Attributes:
        path: The option of each decision met.
        samples: How many took it.
        right: How many of these were classified right; None without labels.
    """

    path: Mapping[str, int]
    samples: int
    right: int | None


@dataclass(frozen=True)
class PointFound:
    """The artifact deciding for itself, at one setting of its knobs.

    Attributes:
        point: Values of the knobs.
        is_default: Whether all knobs are at their defaults.
        samples: How many samples ran.
        timed: How many of these were timed.
        right: How many were classified right; None without labels.
        us: Microseconds a call, over the samples that were timed.
        mean_us: Their mean.
        p95_us: 95 % of them were faster.
        macs: Mean multiply-accumulates a sample.
        taken: The paths, most frequent first.
        options: For each decision and class (one class without labels), how many samples took
            each option; the last entry counts those that did not come to it.
    """

    point: OperatingPoint
    is_default: bool
    samples: int
    timed: int
    right: int | None
    us: Spread
    mean_us: float
    p95_us: float
    macs: float
    taken: tuple[Taken, ...]
    options: Mapping[str, tuple[tuple[int, ...], ...]]


@dataclass(frozen=True)
class OtherFound:
    """Something else that ran on the samples that were timed, at the default knobs.

    Attributes:
        us: Microseconds a call.
        mean_us: Their mean.
        p95_us: 95 % of them were faster.
    """

    us: Spread
    mean_us: float
    p95_us: float


@dataclass(frozen=True)
class Part:
    """Where the time goes: the work of one option of one decision, without what is nested in it.

    Attributes:
        decision: Its name; ``ALWAYS`` for the work that no decision controls.
        option: The option under which it runs; 0 for ``ALWAYS``.
        us: Mean microseconds a call at the default knobs, calls that skip it included.
        operators: Operator to its part of these microseconds.
    """

    decision: str
    option: int
    us: float
    operators: Mapping[str, float]


@dataclass(frozen=True)
class SetupFound:
    """What was found with one setup.

    Attributes:
        setup: Threads and providers.
        paths: Forced paths.
        points: Free runs, one per setting of the knobs; the default among them.
        others: Label to what ran freely in turns with the artifact: ``DEAREST``, ``DENSE``,
            ``EAGER``, ``COMPILED``, the name of another ONNX file; empty where nothing is decided
            and there is nothing to compare with.
        parts: Where the time goes, the dearest first; empty where profiling is not possible.
    """

    setup: Setup
    paths: tuple[PathFound, ...]
    points: tuple[PointFound, ...]
    others: Mapping[str, OtherFound]
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Findings:
    """Everything one run of ``bench`` found.

    Attributes:
        artifact: Name of the file.
        artifact_bytes: Its size, weights in a second file included.
        machine: What the figures depend on, on one line.
        date: Day of the run, ISO.
        decisions: As the manifest has them.
        by_data: Whether a decision follows from the samples; otherwise knobs alone decide.
        complete: Whether ``paths`` are all paths of the artifact.
        data: Name of the file the samples came from; None for drawn noise.
        classes: Names of the classes, in order of their number; empty without labels.
        setups: What was found, by threads and providers; the first one is the main one.
        others: Label of everything the artifact was compared with to what it is, in words.
        notes: What was left out, and why; one sentence each.
    """

    artifact: str
    artifact_bytes: int
    machine: str
    date: str
    decisions: tuple[Decision, ...]
    by_data: bool
    complete: bool
    data: str | None
    classes: tuple[str, ...]
    setups: tuple[SetupFound, ...]
    others: Mapping[str, str]
    notes: tuple[str, ...]

    def to_json(self) -> str:
        """Return everything as JSON; infinities are written as strings."""
        return json.dumps(_plain(dataclasses.asdict(self)), indent=1)


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
