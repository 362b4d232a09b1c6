"""Choose thresholds on held-out data, for what may be lost or spent."""

from __future__ import annotations

__all__ = ["calibrate", "calibration_from"]

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.utils.data import ConcatDataset, Dataset, Subset

from dyncompile.errors import InputError
from dyncompile.methods.dgate.calibration import Calibration, Level
from dyncompile.methods.dgate.choosing import Chosen, Measured, choose, halves
from dyncompile.methods.dgate.gates import DecisionGates
from dyncompile.methods.dgate.scoring import Said, ask
from dyncompile.methods.dgate.targets import Asked, Target, targets_from
from dyncompile.methods.paired import Difference, least_right, most_lost, paired_difference
from dyncompile.progress import Progress

DIGITS = 4


def calibrate(  # noqa: PLR0913 - every option by name
    net: DecisionGates,
    data: Dataset[Any],
    *,
    drop: Asked = (),
    accuracy: Asked = (),
    macs: Asked = (),
    confidence: float = 0.95,
    default: int | None = None,
    groups: ArrayLike | Sequence[object] | None = None,
    seed: int = 0,
    batch_size: int = 256,
    workers: int = 0,
    progress: Progress | None = None,
) -> Calibration:
    """Set the levels of effort of a network, by data that it was not trained on.

    The data is cut in two. On one half, threshold vectors are searched that are right most often
    for their MACs; on the other, it is measured how cheap they may get. So what a level is said
    to give up is measured on samples that had no part in choosing it. Level 0 leaves at the
    first gate, the last level is the dense network, between them is a level for each target, by
    growing MACs. Targets that lead to the same exits share a level.

    Args:
        net: With trained gates; its levels are replaced.
        data: Held out: elements are an image and its class, ``int64[]``.
        drop: Accuracy that may be given up against the dense network: 0.02 is two points. The
            upper limit of the drop, one-sided and paired, stays within it.
        accuracy: A floor: the lower limit of the accuracy, one-sided, does not fall below it.
        macs: Mean multiply-accumulates to stay under, as a share of the dense network's.
        confidence: Of these limits, for each target by itself.
        default: Index of the level used when the caller names none; negative counts from the
            end. When left out, the level of the first target: drops come before accuracies,
            and these before MACs.
        groups: What each sample was made from, ``[N]``: samples of a group depend on each other,
            and stay together when the data is cut. ``data.groups`` when left out, if there is
            such a thing, through ``Subset`` and ``ConcatDataset`` of torch too; else every
            sample is its own.
        seed: Of the cut.
        batch_size: Largest number of samples that the network runs at once.
        workers: Processes that prepare batches; 0 prepares them in between.
        progress: Called with what is done, how much of it and how much there is.

    Raises:
        InputError: a target is no share, cannot be met, or cannot be shown by so few samples
            (it says how many it takes); the labels or groups do not fit the data. The network
            is left as it was.
    """
    targets = targets_from(drop, accuracy, macs)
    _check_confidence(confidence)
    said = ask(net, data, batch_size=batch_size, workers=workers, progress=progress)
    given = groups if groups is not None else _groups_of(data)
    members = None if given is None else _members(given, len(said.labels))
    found = calibration_from(
        said, targets, groups=members, confidence=confidence, seed=seed, progress=progress
    )
    found = replace(
        found,
        default=_default(default, found),
        levels=tuple(
            replace(level, thresholds=tuple(map(net.score.sureness, level.thresholds)))
            for level in found.levels
        ),
    )
    net.set_levels(
        [level.thresholds for level in found.levels],
        [level.value for level in found.levels],
        found.default,
    )
    return found


def calibration_from(
    said: Said,
    targets: Sequence[Target],
    *,
    groups: NDArray[Any] | None = None,
    confidence: float = 0.95,
    seed: int = 0,
    progress: Progress | None = None,
) -> Calibration:
    """Do what ``calibrate`` does with what the gates said; its thresholds are of sureness."""
    everything = Measured(said.sureness, said.right, said.costs, groups)
    searching, measuring = halves(len(said.labels), groups, seed)
    if not len(searching):
        raise InputError(
            f"{'one sample' if groups is None else 'one group'} cannot be cut in two halves.",
            where="data",
            remedy="Give more held-out data.",
        )
    search, measure = everything.pick(searching), everything.pick(measuring)
    chosen = choose(search, measure, targets, confidence=confidence, progress=progress)
    gates = said.sureness.shape[1]
    ends = [Chosen(np.full(gates, end, np.float32), ()) for end in (-np.inf, np.inf)]
    levels = _levels([*ends, *chosen], measure, confidence)
    return Calibration(
        dense=levels[-1].accuracy,
        levels=levels,
        default=next(n for n, level in enumerate(levels) if str(targets[0]) in level.asked),
        confidence=confidence,
        searched=len(searching),
        measured=len(measuring),
        groups=measure.group_count,
    )


def _levels(chosen: Sequence[Chosen], measure: Measured, confidence: float) -> tuple[Level, ...]:
    """Return a level per way through the network, by growing MACs; the ends are given first."""
    names = [("first exit",), ("dense network",), *[()] * (len(chosen) - 2)]
    levels: list[Level] = []
    ways: dict[bytes, int] = {}
    for number, (one, name) in enumerate(zip(chosen, names, strict=True)):
        way = measure.outcome(one.thresholds).exits.tobytes()
        asked = (*name, *map(str, one.targets))
        if number < 2 or way not in ways:
            ways[way] = len(levels)
            levels.append(_level(one, measure, confidence, asked))
        else:
            known = levels[ways[way]]
            levels[ways[way]] = replace(known, asked=(*known.asked, *asked))
    first, dense, *between = levels
    between.sort(key=lambda level: level.macs)
    return tuple(_named([first, *between, dense]))


def _named(levels: Sequence[Level]) -> list[Level]:
    """Give levels their values: unique, and ascending."""
    step = 10**-DIGITS
    values = [round(level.macs, DIGITS) for level in levels]
    for number in range(1, len(values) - 1):
        values[number] = max(values[number], values[number - 1] + step)
    for number in range(len(values) - 2, -1, -1):
        values[number] = min(values[number], values[number + 1] - step)
    return [
        replace(level, value=round(value, DIGITS))
        for level, value in zip(levels, values, strict=True)
    ]


def _level(one: Chosen, measure: Measured, confidence: float, asked: tuple[str, ...]) -> Level:
    found = measure.outcome(one.thresholds)
    dense = measure.right[:, -1]
    is_dense = bool((found.exits == measure.sureness.shape[1]).all())  # the same, not as good
    return Level(
        value=found.cost,
        thresholds=tuple(one.thresholds.tolist()),
        asked=asked,
        accuracy=found.accuracy,
        drop=Difference(0.0, 0.0, 0.0)
        if is_dense
        else paired_difference(dense, found.right, measure.groups, confidence),
        most_lost=0.0 if is_dense else most_lost(dense, found.right, measure.groups, confidence),
        least_right=least_right(found.right, measure.groups, confidence),
        leaving=found.leaving(len(measure.costs)),
        macs=found.cost,
    )


def _groups_of(data: Dataset[Any]) -> Any:  # noqa: ANN401 - whatever the user's dataset has
    """Return what each sample was made from; None if the data does not say."""
    own = getattr(data, "groups", None)
    if own is not None:
        return own
    if isinstance(data, Subset):
        whole = _groups_of(data.dataset)
        return None if whole is None else np.asarray(whole)[np.asarray(data.indices)]
    if isinstance(data, ConcatDataset):
        parts = [_groups_of(part) for part in data.datasets]
        return None if any(part is None for part in parts) else np.concatenate(parts)
    return None


def _members(groups: Any, count: int) -> NDArray[Any]:  # noqa: ANN401 - as _groups_of
    """Return the number of each sample's group, ``int64[N]``."""
    members = np.asarray(groups.cpu() if isinstance(groups, Tensor) else groups)
    if members.shape != (count,):
        raise InputError(
            f"they are {list(members.shape)}, and there are {count} samples.",
            where="groups",
            remedy="Give one entry per sample, in the order of the data.",
        )
    if members.dtype == object:  # such as names of which some are None: no order, but equality
        members = members.astype(str)
    return np.unique(members, return_inverse=True)[1]


def _check_confidence(confidence: object) -> None:
    is_number = isinstance(confidence, (int, float)) and not isinstance(confidence, bool)
    if not (is_number and 0.5 <= confidence < 1):  # type: ignore[operator]
        raise InputError(
            f"{confidence!r} is no confidence.",
            where="confidence",
            remedy="Give a number from 0.5 to below 1, such as 0.95.",
        )


def _default(given: int | None, found: Calibration) -> int:
    count = len(found.levels)
    if given is None:
        return found.default
    if isinstance(given, bool) or not isinstance(given, int) or not -count <= given < count:
        raise InputError(
            f"{given!r} is not the index of one of the {count} levels found.",
            where="default",
            remedy=f"Give a whole number from 0 to {count - 1}, or leave it out.",
        )
    return given % count
