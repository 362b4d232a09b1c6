"""Time networks in turns, so that drift of the machine hits all alike."""

from __future__ import annotations

__all__ = ["Call", "Image", "open_network", "time_in_turns"]

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnxruntime import InferenceSession, SessionOptions

Image = NDArray[np.float32]
Call = Callable[[Image], Sequence[NDArray[np.float32]]]


def open_network(file: Path, **knobs: NDArray[np.float32]) -> Call:
    """Open an ONNX file in plain ONNX Runtime with one thread, its knobs fixed."""
    options = SessionOptions()
    options.intra_op_num_threads = 1
    session = InferenceSession(file, options, providers=["CPUExecutionProvider"])
    (name,) = (place.name for place in session.get_inputs() if place.name not in knobs)
    return lambda image: session.run(None, {name: image, **knobs})


def time_in_turns(calls: Sequence[Call], image: Image, rounds: int) -> NDArray[np.float64]:
    """Return the median milliseconds of each call, ``float64[calls]``."""
    times = np.empty((rounds, len(calls)))
    for row in times:
        for column, call in enumerate(calls):
            call(image)  # an app runs one network: its weights are in the cache
            start = time.perf_counter()
            call(image)
            row[column] = 1e3 * (time.perf_counter() - start)
    medians: NDArray[np.float64] = np.median(times, axis=0)
    return medians
