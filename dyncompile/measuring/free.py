"""The artifact deciding for itself: what it gets right, which ways it goes, what that takes."""

from __future__ import annotations

__all__ = ["Ran", "Timed", "run_freely", "summarise", "time_freely"]

import random
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from dyncompile import cost
from dyncompile.errors import InputError
from dyncompile.manifest import Decision, OperatingPoint
from dyncompile.measuring.data import Data
from dyncompile.measuring.findings import PointFound, Taken
from dyncompile.measuring.forced import Measured
from dyncompile.measuring.peers import OpenPeer
from dyncompile.paths import DecisionTree, Path
from dyncompile.runtime import Net
from dyncompile.timing import Clock, Spread, time_streams

Array = NDArray[Any]
Times = NDArray[np.float64]

AT_A_TIME, MOST_TIMED = 4, 64
_SEED = 0


@dataclass(frozen=True)
class Ran:
    """One pass over all samples.

    Attributes:
        point: Values of the knobs.
        paths: The path of each sample.
        right: Whether each was classified right; None without labels.
    """

    point: OperatingPoint
    paths: tuple[Path, ...]
    right: NDArray[np.bool_] | None


@dataclass(frozen=True)
class Timed:
    """Microseconds a call, by label and sample.

    Attributes:
        us: Label to the time of each sample.
        order: The samples, by number.
    """

    us: Mapping[object, Times]
    order: tuple[int, ...]


def run_freely(
    net: Net,
    tree: DecisionTree,
    data: Data,
    point: OperatingPoint,
    logits: str | None = None,
) -> Ran:
    """Run all samples, and note the way of each.

    Args:
        net: The artifact.
        tree: Its choices; decisions that are made but not acted upon are no part of a path.
        data: Samples, and perhaps labels.
        point: Values of the knobs.
        logits: The output whose largest entry is the class; None takes the only float output
            of shape ``[1, C]``.

    Raises:
        InputError: there are labels and no such output, or a label is not below C.
    """
    paths, right = [], []
    for number, sample in enumerate(data.samples):
        outputs, options = net.trace(**sample, **point)
        arrays = outputs if isinstance(outputs, tuple) else (outputs,)
        paths.append(tree.path(options) if tree.choices else {})
        if data.labels is not None:
            scores = _logits(dict(zip(net.outputs, arrays, strict=True)), logits, net)
            right.append(_is_right(scores, int(data.labels[number])))
    return Ran(point, tuple(paths), np.array(right) if right else None)


def _logits(outputs: Mapping[str, Array], wanted: str | None, net: Net) -> Array:
    if wanted is not None:
        if not _is_logits(outputs[wanted]):
            raise InputError(
                f"the output {wanted!r} is"
                f" {outputs[wanted].dtype}{list(outputs[wanted].shape)}, not float[1, C].",
                where="--logits",
                remedy="Name the one that scores the classes.",
            )
        return outputs[wanted]
    found = [array for array in outputs.values() if _is_logits(array)]
    if len(found) != 1:
        raise InputError(
            f"{len(found)} outputs could score the classes, of {', '.join(outputs)}.",
            where=str(net.path),
            remedy="Name the one that does with --logits, or give data without labels.",
        )
    return found[0]


def _is_logits(array: Array) -> bool:
    return array.dtype.kind == "f" and array.ndim == 2 and array.shape[0] == 1


def _is_right(scores: Array, label: int) -> bool:
    count = scores.shape[1]
    if label >= count:
        raise InputError(
            f"there is a label {label}, and the network tells {count} classes apart.",
            where="labels",
            remedy="Number the classes from 0, as the network does.",
        )
    return bool(scores[0].argmax() == label)


def time_freely(
    measured: Measured,
    opened: Mapping[object, tuple[OpenPeer, OperatingPoint]],
    clock: Clock,
) -> Timed:
    """Time everything on the same samples, in turns of four samples.

    Samples come in random order, 64 at most, and until the time is up, 4 at least.

    Args:
        measured: Samples, and the seconds for each entry of ``opened``.
        opened: Label to what runs, and the knobs it is given.
        clock: See ``timing.clock_for``.
    """
    order = list(range(len(measured.samples)))
    random.Random(_SEED).shuffle(order)
    order = order[:MOST_TIMED]
    deadline = time.perf_counter() + measured.seconds * len(opened)
    times: dict[object, list[float]] = {label: [] for label in opened}
    labels = {str(k): label for k, label in enumerate(opened)}
    for done in range(0, len(order), AT_A_TIME):
        if done and time.perf_counter() > deadline:
            order = order[:done]
            break
        measured.progress("time on the samples", done, len(order))
        numbers = order[done : done + AT_A_TIME]
        streams = {
            k: [net.call(measured.feeds(number, point)) for number in numbers]
            for k, (net, point) in zip(labels, opened.values(), strict=True)
        }
        for k, us in time_streams(streams, clock=clock).items():
            times[labels[k]] += us.tolist()
    measured.progress("time on the samples", len(order), len(order))
    return Timed({label: np.array(us) for label, us in times.items()}, tuple(order))


def summarise(
    ran: Sequence[Ran],
    us: Sequence[Times],
    model: ir.Model,
    decisions: Sequence[Decision],
    data: Data,
) -> list[PointFound]:
    """Put together what is known of each point; the first is the default one."""
    keys = [tuple(tuple(path.items()) for path in one.paths) for one in ran]
    known = list(dict.fromkeys(key for point in keys for key in point))
    costs = dict(zip(known, cost.along(model, map(dict, known)), strict=True))
    groups = _groups(data)
    found = []
    for k, (one, times) in enumerate(zip(ran, us, strict=True)):
        found.append(
            PointFound(
                point=one.point,
                is_default=k == 0,
                samples=len(one.paths),
                timed=len(times),
                right=None if one.right is None else int(one.right.sum()),
                us=Spread.of(times),
                mean_us=float(times.mean()),
                p95_us=float(np.percentile(times, 95)),
                macs=float(np.mean([costs[key].macs for key in keys[k]])),
                taken=tuple(_taken(keys[k], one.right)),
                options={d.name: _options(d, one.paths, groups) for d in decisions},
            )
        )
    return found


def _taken(keys: Sequence[Any], right: NDArray[np.bool_] | None) -> list[Taken]:
    hits: Counter[Any] = Counter()
    if right is not None:
        hits.update(key for key, is_right in zip(keys, right, strict=True) if is_right)
    return [
        Taken(dict(key), count, None if right is None else hits[key])
        for key, count in Counter(keys).most_common()
    ]


def _groups(data: Data) -> list[NDArray[np.int64]]:
    """Return the samples of each class; all in one without labels."""
    if data.labels is None:
        return [np.arange(len(data.samples))]
    return [np.flatnonzero(data.labels == k) for k in range(len(data.named_classes))]


def _options(
    decision: Decision, paths: Sequence[Path], groups: Sequence[NDArray[np.int64]]
) -> tuple[tuple[int, ...], ...]:
    missing = len(decision.sides)
    options = np.array([path.get(decision.name, missing) for path in paths])
    return tuple(
        tuple(np.bincount(options[group], minlength=missing + 1).tolist()) for group in groups
    )
