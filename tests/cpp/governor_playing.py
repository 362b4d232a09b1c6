"""Scripts of calls, played in Python as the probe plays them in C++."""

from __future__ import annotations

__all__ = ["play", "request_of"]

import threading
from collections.abc import Mapping
from unittest import mock

import numpy as np
from numpy.typing import NDArray

from dyncompile.errors import ArtifactError, KnobError
from dyncompile.runtime.budget import Budget
from dyncompile.runtime.calibrating import Calibrator
from dyncompile.runtime.governing import govern, graded_points
from dyncompile.runtime.governor import Governor
from tests.cpp.calls import number
from tests.cpp.governed_networks import Event, Script

WAIT_S = 30
NOTHING = np.zeros(0)


class Machine:
    """A clock that the script moves, and a network whose calls end when they are told to."""

    def __init__(self, tick: int) -> None:
        self.now = 0
        self.tick = tick
        self.calls: dict[int, Call] = {}

    def clock(self) -> int:
        self.now += self.tick
        return self.now

    def __call__(self, call: int, **knobs: object) -> NDArray[np.float64]:
        self.calls[call].stay(knobs)
        return NOTHING


class Call:
    """One call, in a thread of its own."""

    def __init__(self, machine: Machine, governor: Governor, event: Event) -> None:
        self.fed: Mapping[str, object] = {}
        self.problem: str | None = None
        self.fails = False
        self._began, self._told = threading.Event(), threading.Event()
        machine.calls[event.call] = self
        self._worker = threading.Thread(target=self._run, args=(governor, event))
        self._worker.start()
        assert self._began.wait(WAIT_S)

    def stay(self, knobs: Mapping[str, object]) -> None:
        self.fed = knobs
        self._began.set()
        assert self._told.wait(WAIT_S)
        if self.fails:
            raise ZeroDivisionError

    def finish(self, *, fails: bool) -> None:
        self.fails = fails
        self._told.set()
        self._worker.join(WAIT_S)

    def _run(self, governor: Governor, event: Event) -> None:
        try:
            governor(call=event.call, **event.fixed)
        except KnobError as error:
            self.problem = str(error)
        except ZeroDivisionError:
            pass
        self._began.set()


def governor_of(script: Script, machine: Machine) -> Governor:
    """Return what ``Net.within`` would, with the clock of the script."""
    budget = Budget(script.milliseconds, script.percentile)
    manifest = script.manifest

    def digest() -> str:
        raise ArtifactError("no file.", where="here", remedy="None.")

    points, conditions = manifest.operating_points, script.known.conditions
    calibrator = Calibrator((), manifest.knobs, points, lambda: conditions, digest)
    graded = graded_points(calibrator, script.points or None, script.quality or None)
    with mock.patch.object(calibrator, "_known", script.known):
        known = calibrator.known(machine, [point for point, _ in graded], None)
    governor = govern(machine, manifest.knobs, manifest.decisions, graded, known, budget)
    mock.patch.object(governor, "_clock", machine.clock).start()
    return governor


def play(script: Script) -> dict[str, object]:
    """Return what the probe returns of the same script.

    Raises:
        DyncompileError: there is nothing to play.
    """
    machine = Machine(script.tick)
    governor = governor_of(script, machine)
    picks = [_played(machine, governor, event) for event in script.events]
    for call in machine.calls.values():
        call.finish(fails=True)
    return {"points": [_plain(point) for point in governor.points], "picks": picks}


def request_of(script: Script) -> dict[str, object]:
    """Return the script as the probe reads it."""
    return {
        "manifest": script.manifest.to_json(),
        "calibration": script.known.to_json(),
        "ms": number(script.milliseconds),
        "percentile": script.percentile,
        "points": [_plain(point) for point in script.points],
        "quality": [number(grade) for grade in script.quality],
        "tick": script.tick,
        "events": [{**vars(event), "fixed": _plain(event.fixed)} for event in script.events],
    }


def _played(machine: Machine, governor: Governor, event: Event) -> dict[str, object]:
    machine.now += event.wait
    if call := machine.calls.pop(event.call, None):
        call.finish(fails=event.fails)
        return {"point": _plain(governor.picked.point), "text": str(governor.picked)}
    call = Call(machine, governor, event)
    if call.problem:
        del machine.calls[event.call]
        return {"problem": call.problem}
    pick = governor.picked
    return {
        "point": _plain(pick.point),
        "expected_ms": None if pick.expected_ms is None else number(pick.expected_ms),
        "load": number(pick.load),
        "fits": pick.fits,
        "fed": _plain(call.fed),
    }


def _plain(point: Mapping[str, object]) -> dict[str, object]:
    return {name: number(value) for name, value in point.items()}
