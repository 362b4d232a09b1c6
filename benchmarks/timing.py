"""Open networks in ONNX Runtime and in PyTorch, and time them in turns."""

from __future__ import annotations

__all__ = ["Eager", "Loaded", "Opened", "Run", "compare", "compile_or_reason"]

import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
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
from dyncompile.errors import one_line
from dyncompile.timing import Timings, time_in_turns

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
    """A module that PyTorch runs, on one thread.

    Attributes:
        model: In evaluation mode, as it is or compiled.
        inputs: Its arguments.
    """

    model: Callable[..., Tensor]
    inputs: tuple[Tensor, ...]

    def open(self) -> Call:
        """Return a call with gradients off."""
        torch.set_num_threads(1)
        return self._call

    def _call(self) -> Sequence[NDArray[np.generic]]:
        with torch.inference_mode():
            return [self.model(*self.inputs).numpy()]


def compile_or_reason(model: nn.Module, inputs: tuple[Tensor, ...]) -> Eager | str:
    """Return the module compiled by torch, or why it cannot be: most often, no C++ compiler."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.compiler.reset()  # it compiles the same forward a limited number of times
            compiled = Eager(torch.compile(model, dynamic=False), inputs)
            compiled.open()()
    except Exception as error:
        return one_line(error)
    return compiled


def compare(
    runs: Mapping[str, Opened],
    seconds: float,
    alike: Collection[Collection[str]] | None = None,
) -> Timings:
    """Time several files in turns.

    Every file is opened several times, so that the place in memory of no single session
    decides.

    Args:
        runs: Label to run.
        seconds: Time to spend on each.
        alike: Labels whose first outputs have to agree, set by set; None means all of them.
    """
    parts = []
    for _ in range(OPENINGS):
        calls = {label: run.open() for label, run in runs.items()}
        for labels in [runs] if alike is None else alike:
            _check_outputs({label: calls[label] for label in labels})
        parts.append(time_in_turns(calls, seconds=seconds * len(runs) / OPENINGS))
    return Timings.joined(parts)


def _check_outputs(calls: Mapping[str, Call]) -> None:
    reference, *others = (np.asarray(call()[0], np.float32) for call in calls.values())
    for label, found in zip(list(calls)[1:], others, strict=True):
        np.testing.assert_allclose(found, reference, rtol=TOLERANCE, atol=TOLERANCE, err_msg=label)
