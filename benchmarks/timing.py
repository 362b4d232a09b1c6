"""Time ONNX Runtime sessions in turns, so that drift of the machine hits all alike."""

from __future__ import annotations

__all__ = ["Run", "Timing", "compare", "describe_machine", "open_session"]

import gc
import os
import platform
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort
import torch
from numpy.typing import NDArray

WARM_UP_CALLS = 3
TURN_SECONDS = 1e-3
LEAST_TURNS = 20
TOLERANCE = 1e-4

Feeds = Mapping[str, NDArray[np.generic]]


@dataclass(frozen=True)
class Run:
    """A session and what it is fed.

    Attributes:
        session: As ``open_session`` returns it.
        feeds: Built once; a call then makes its outputs and nothing else.
    """

    session: ort.InferenceSession
    feeds: Feeds

    def scores(self) -> NDArray[np.float32]:
        """Run once and return the first output."""
        found: NDArray[np.float32] = self.session.run(None, self.feeds)[0]
        return found


@dataclass(frozen=True)
class Timing:
    """How long one call takes.

    Attributes:
        median_us: Median over all calls.
        spread_us: Distance between the quartiles.
    """

    median_us: float
    spread_us: float


def open_session(path: Path) -> ort.InferenceSession:
    """Open a file on the CPU, with one thread and every optimisation on."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def compare(runs: Mapping[str, Run], seconds: float) -> dict[str, Timing]:
    """Time several sessions in turns.

    A turn is one call, or as many as fit in a millisecond; the order rotates. The first
    outputs of all runs have to agree before anything is timed.

    What counts is the time of the calling thread, which does all the work of a session with
    one thread: the latency on an idle machine, and the same on one that others share.

    Args:
        runs: Label to run; the first one is the reference.
        seconds: Time to spend on each.
    """
    reference, *others = (run.scores() for run in runs.values())
    for label, found in zip(list(runs)[1:], others, strict=True):
        np.testing.assert_allclose(
            found, reference, rtol=TOLERANCE, atol=TOLERANCE, err_msg=label
        )
    calls = {label: _calls_per_turn(run) for label, run in runs.items()}
    taken: dict[str, list[int]] = {label: [] for label in runs}
    order = list(runs)
    deadline = time.perf_counter() + seconds * len(runs)
    gc.disable()
    try:
        while time.perf_counter() < deadline or len(taken[order[0]]) < LEAST_TURNS:
            for label in order:
                taken[label] += _turn(runs[label], calls[label])
            order.append(order.pop(0))
    finally:
        gc.enable()
    return {label: _timing(values) for label, values in taken.items()}


def describe_machine() -> str:
    """Name what the figures depend on: processor, cores, versions."""
    info = Path("/proc/cpuinfo")
    model = platform.processor() or platform.machine()
    if info.exists():
        lines = info.read_text(encoding="utf-8", errors="replace").splitlines()
        names = [
            line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")
        ]
        model = names[0] if names else model
    return (
        f"{model}, {os.cpu_count()} cores, onnxruntime {ort.__version__}, "
        f"torch {torch.__version__}, Python {platform.python_version()}"
    )


def _calls_per_turn(run: Run) -> int:
    for _ in range(WARM_UP_CALLS):
        run.scores()
    fastest = min(_turn(run, WARM_UP_CALLS))
    return max(1, int(TURN_SECONDS * 1e9 / fastest))


def _turn(run: Run, calls: int) -> list[int]:
    call, feeds, taken = run.session.run, run.feeds, []
    for _ in range(calls):
        start = time.thread_time_ns()
        call(None, feeds)
        taken.append(time.thread_time_ns() - start)
    return taken


def _timing(nanoseconds: list[int]) -> Timing:
    low, median, high = np.percentile(np.asarray(nanoseconds) / 1e3, [25, 50, 75])
    return Timing(float(median), float(high - low))
