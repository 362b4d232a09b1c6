"""How far a builder is, and how it is told to stop."""

from __future__ import annotations

__all__ = ["open_monitor"]

import threading
from collections.abc import Callable
from typing import Any

from dyncompile.progress import Progress


def open_monitor(
    trt: Any,  # noqa: ANN401 - TensorRT has no types
    tell: Progress,
    enter: Callable[[str], None],
    stop: threading.Event,
) -> Any:  # noqa: ANN401
    """Return a monitor for a builder: it tells what the builder does, and may stop it.

    Args:
        trt: The builder's package.
        tell: Called with the steps of the outermost phase.
        enter: Called with the name of every phase that begins.
        stop: Ends the build when it is set.

    Phases nest, and how many there will be is not known; only the outermost one moves steadily.
    The builder may call from several threads.
    """

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self._lock = threading.Lock()
            self._steps: dict[str, int] = {}  # of the outermost phases that are open

        def phase_start(self, phase: str, parent: str | None, steps: int) -> None:
            with self._lock:
                enter(phase)
                if parent is None:
                    self._steps[phase] = steps
                    tell(phase, 0, steps)

        def step_complete(self, phase: str, step: int) -> bool:
            with self._lock:
                if phase in self._steps:
                    tell(phase, min(step + 1, self._steps[phase]), self._steps[phase])
            return not stop.is_set()

        def phase_finish(self, phase: str) -> None:
            with self._lock:
                steps = self._steps.pop(phase, None)
                if steps is not None:
                    tell(phase, steps, steps)

    return Monitor()
