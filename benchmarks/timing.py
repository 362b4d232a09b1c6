"""Time ONNX Runtime sessions in turns, so that drift of the machine hits all alike."""

from __future__ import annotations

__all__ = ["Comparison", "Eager", "Loaded", "Opened", "Run", "compare", "describe_machine"]

import gc
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import dyncompile

WARM_UP_CALLS = 3
TURN_SECONDS = 1e-3
LEAST_ROUNDS = 5
OPENINGS = 5
TOLERANCE = 1e-4

Feeds = Mapping[str, NDArray[np.generic]]
Call = Callable[[], Sequence[NDArray[np.generic]]]


class Opened(Protocol):
    """Something to time."""

    def open(self) -> Call:
        """Return a call that makes the outputs and nothing else."""


@dataclass(frozen=True)
class Run:
    """A file and what it is fed.

    Attributes:
        path: An ONNX file.
        feeds: Built once; a call then makes its outputs and nothing else.
    """

    path: Path
    feeds: Feeds

    def open(self) -> Call:
        """Open the file on the CPU, with one thread and every optimisation on."""
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        providers = ["CPUExecutionProvider"]
        session = ort.InferenceSession(self.path, options, providers=providers)
        return partial(session.run, None, self.feeds)


@dataclass(frozen=True)
class Loaded:
    """An artifact in dyncompile's own runtime.

    Attributes:
        path: The artifact.
        feeds: By name; knobs left out have their defaults.
    """

    path: Path
    feeds: Feeds

    def open(self) -> Call:
        """Load the artifact with one thread."""
        net = dyncompile.load(self.path, threads=1)
        return lambda: [np.asarray(net(**self.feeds))]


@dataclass(frozen=True)
class Eager:
    """A module that PyTorch runs as it is, on one thread.

    Attributes:
        model: In evaluation mode.
        inputs: Its arguments.
    """

    model: nn.Module
    inputs: tuple[Tensor, ...]

    def open(self) -> Call:
        """Return a call with gradients off."""
        torch.set_num_threads(1)
        return self._call

    def _call(self) -> Sequence[NDArray[np.generic]]:
        with torch.inference_mode():
            return [self.model(*self.inputs).numpy()]


@dataclass(frozen=True)
class Comparison:
    """What sessions took, round by round.

    Attributes:
        rounds: Label to microseconds per call, the median of one turn for each round.
    """

    rounds: Mapping[str, NDArray[np.float64]]

    def median_us(self, label: str) -> float:
        """Return the median over all rounds."""
        return float(np.median(self.rounds[label]))

    def spread_us(self, label: str) -> float:
        """Return the distance between the quartiles."""
        low, high = np.percentile(self.rounds[label], [25, 75])
        return float(high - low)

    def ratio(self, label: str, reference: str) -> float:
        """Return the median over all rounds of the quotient of two sessions.

        Both ran within milliseconds of each other, so what slows the machine for longer than
        that slows both.
        """
        return float(np.median(self.rounds[label] / self.rounds[reference]))


def compare(runs: Mapping[str, Opened], seconds: float) -> Comparison:
    """Time several files in turns.

    In a round each has a turn of one call, or of as many as fit in a millisecond; the order
    rotates. Every file is opened several times, so that the place in memory of no single
    session decides. The first outputs of all have to agree.

    What counts is the time of the calling thread, which does all the work of a session with
    one thread: the latency on an idle machine, and nearly the same on one that others share.

    Args:
        runs: Label to run.
        seconds: Time to spend on each.
    """
    rounds: dict[str, list[float]] = {label: [] for label in runs}
    for _ in range(OPENINGS):
        calls = {label: run.open() for label, run in runs.items()}
        _check_outputs(calls)
        found = _time_rounds(calls, seconds * len(runs) / OPENINGS)
        for label, taken in found.items():
            rounds[label] += taken
    return Comparison({label: np.asarray(taken) for label, taken in rounds.items()})


def describe_machine() -> str:
    """Name what the figures depend on: processor, cores, versions."""
    info = Path("/proc/cpuinfo")
    model = platform.processor() or platform.machine()
    if info.exists():
        lines = info.read_text(encoding="utf-8", errors="replace").splitlines()
        names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
        model = names[0] if names else model
    return (
        f"{model}, {os.cpu_count()} cores, onnxruntime {ort.__version__}, "
        f"torch {torch.__version__}, Python {platform.python_version()}"
    )


def _check_outputs(calls: Mapping[str, Call]) -> None:
    reference, *others = (np.asarray(call()[0], np.float32) for call in calls.values())
    for label, found in zip(list(calls)[1:], others, strict=True):
        np.testing.assert_allclose(found, reference, rtol=TOLERANCE, atol=TOLERANCE, err_msg=label)


def _time_rounds(calls: Mapping[str, Call], seconds: float) -> dict[str, list[float]]:
    repeats = {label: _calls_per_turn(call) for label, call in calls.items()}
    rounds: dict[str, list[float]] = {label: [] for label in calls}
    order = list(calls)
    deadline = time.perf_counter() + seconds
    gc.disable()
    try:
        while time.perf_counter() < deadline or len(rounds[order[0]]) < LEAST_ROUNDS:
            for label in order:
                rounds[label].append(_turn(calls[label], repeats[label]))
            order.append(order.pop(0))
    finally:
        gc.enable()
    return rounds


def _calls_per_turn(call: Call) -> int:
    _turn(call, WARM_UP_CALLS)
    return max(1, int(TURN_SECONDS * 1e6 / _turn(call, WARM_UP_CALLS)))


def _turn(call: Call, repeats: int) -> float:
    """Return the median of so many calls in microseconds."""
    taken = []
    for _ in range(repeats):
        start = time.thread_time_ns()
        call()
        taken.append(time.thread_time_ns() - start)
    return statistics.median(taken) / 1e3
