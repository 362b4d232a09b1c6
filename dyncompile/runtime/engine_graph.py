"""What a stream is given in a call, captured to be replayed."""

from __future__ import annotations

__all__ = ["Graph"]

from collections.abc import Callable
from contextlib import suppress

from dyncompile.errors import TargetError
from dyncompile.runtime.cuda import Cuda, Handle


class Graph:
    """What the stream is given in a call; nothing when it is new.

    Args:
        cuda: Calls of the CUDA runtime.
        stream: What captures and replays.
    """

    def __init__(self, cuda: Cuda, stream: Handle) -> None:
        self._cuda = cuda
        self._stream = stream
        self._launcher: Handle = None

    @property
    def is_ready(self) -> bool:
        """Whether there is something to replay."""
        return self._launcher is not None

    def capture(self, enqueue: Callable[[], bool]) -> bool:
        """Capture what ``enqueue`` gives the stream; return whether that is allowed."""
        taken = False
        with suppress(TargetError):
            self._cuda.begin_capture(self._stream)
            try:
                taken = enqueue()
            finally:
                self._launcher = self._cuda.end_capture(self._stream, keep=taken)
        return self.is_ready

    def launch(self) -> None:
        """Replay it."""
        self._cuda.launch(self._launcher, self._stream)

    def drop(self) -> None:
        """Forget it."""
        if self._launcher is not None:
            self._cuda.drop_launcher(self._launcher)
            self._launcher = None
