"""The same study with other gates: grids, scores, losses, and all trained at once."""

from __future__ import annotations

__all__ = ["Variant", "joint", "losses", "pools", "scores"]

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from benchmarks import dgate_units as units
from benchmarks.dgate_answers import Answers
from benchmarks.dgate_study import GateLoss, Study
from benchmarks.dgate_units import DENSE, LABELS, difference_rows
from benchmarks.harness import Row
from benchmarks.published import macs
from dyncompile.errors import InputError
from dyncompile.methods.dgate import DecisionGates
from dyncompile.methods.dgate.choosing import halves
from dyncompile.methods.dgate.features import exit_macs
from dyncompile.methods.dgate.scores import SCORES
from dyncompile.methods.dgate.thresholds import Outcome, frontier, outcome
from dyncompile.methods.paired import most_lost, paired_difference

POOLS = (1, 2, 4)
FIRST = "the first dense network"


def pools(study: Study) -> Iterator[Row]:
    """Gates on grids of several sizes."""
    for pool in POOLS:
        yield from _rows(study, study.gated(pool=pool), "pool", f"{pool}x{pool}")


def scores(study: Study) -> Iterator[Row]:
    """The same gates, deciding by several scores."""
    for score in SCORES:
        yield from _rows(study, study.scored(score), "score", score)


def losses(study: Study) -> Iterator[Row]:
    """Gates trained by several losses."""
    for loss in get_args(GateLoss):
        yield from _rows(study, study.gated(loss=loss), "gate loss", loss)


def joint(study: Study) -> Iterator[Row]:
    """Backbone and gates trained at once, against the network that was trained without gates."""
    right, net = study.right(study.dense, study.data.test), study.joint()
    answers, costs = study.answers(net), exit_macs(net, study.example)
    what, name = "joint training", "from the start"
    yield from _accuracy_rows(study, answers, what, name)
    end = paired_difference(right, answers.right[:, -1], study.groups)
    yield from difference_rows(f"{study.plan.network}: {what}", FIRST, name, end, units.LOST)
    thresholds = _within(study, study.answers(net, study.data.validation), costs)
    found = None
    if thresholds is not None:
        found = outcome(answers.sureness, answers.right, costs, thresholds)
    note = f"its end alone may lose more than {study.plan.drops[0]:.0%}"
    yield from _calibrated_rows(study, found, (what, name), note)


def _within(study: Study, answers: Answers, costs: Sequence[int]) -> NDArray[np.float32] | None:
    """Return the cheapest thresholds that lose no more than the default drop, as ``calibrate``.

    The drop is that from the first dense network, not from the network's own end. None where
    that end alone loses more.
    """
    images = study.data.validation
    groups = None if images.groups is None else images.groups.numpy()
    first = study.right(study.dense, images)
    searching, measuring = halves(len(images), groups, seed=0)
    vectors = frontier(answers.sureness[searching], answers.right[searching], costs).thresholds
    chosen = None
    for vector in vectors[::-1]:
        right = outcome(answers.sureness, answers.right, costs, vector).right[measuring]
        members = None if groups is None else groups[measuring]
        if most_lost(first[measuring], right, members) > study.plan.drops[0]:
            break
        chosen = vector
    return chosen


Variant = Callable[[Study], Iterator[Row]]


def _rows(study: Study, net: DecisionGates, what: str, path: str) -> Iterator[Row]:
    answers = study.answers(net)
    yield from _accuracy_rows(study, answers, what, path)
    net, found, note = copy.deepcopy(net), None, ""
    try:
        study.calibrate(net)
        found = answers.at(net, int(net.default), exit_macs(net, study.example))
    except InputError as error:
        note = error.problem
    yield from _calibrated_rows(study, found, (what, path), note)


def _accuracy_rows(study: Study, answers: Answers, what: str, path: str) -> Iterator[Row]:
    network, exits = f"{study.plan.network}: {what}", answers.right.mean(0)
    for number, right in enumerate(exits, 1):
        place = "the end" if number == len(exits) else f"gate{number}"
        yield Row(network, f"{LABELS}, {place}", path, None, 100 * float(right), units.RIGHT)


def _calibrated_rows(
    study: Study, found: Outcome | None, name: tuple[str, str], note: str
) -> Iterator[Row]:
    """Return what is saved where the default drop is allowed, and what is lost then."""
    network, path = f"{study.plan.network}: {name[0]}", name[1]
    if found is None:
        yield Row(network, DENSE, path, None, None, units.SAVED, note=note)
        return
    dense = macs(study.dense, study.example)
    yield Row(network, DENSE, path, None, 100 * (1 - found.cost / dense), units.SAVED)
    lost = paired_difference(study.right(study.dense, study.data.test), found.right, study.groups)
    yield from difference_rows(network, DENSE, path, lost, units.LOST)
