"""A process of ours: started, listened to, ended."""

from __future__ import annotations

__all__ = ["Child"]

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from types import TracebackType
from typing import IO, Any, Self

from dyncompile.errors import TargetError

_GRACE_SECONDS = 3.0
_LOOK_SECONDS = 0.5
_LINES_KEPT = 50
_LONGEST_LINE = 1 << 20


class Child:
    """The process that builds, from its request to its end.

    It runs in a session of its own, so that Ctrl-C reaches it through this process only. When its
    input is closed, which it is also if this process dies, it stops.

    Args:
        request: The line it is given.

    Raises:
        TargetError: it cannot be started.
    """

    def __init__(self, request: str) -> None:
        paths = [path or os.getcwd() for path in sys.path]  # noqa: PTH109 - an entry of sys.path
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "dyncompile.engines.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            )
        except OSError as error:
            raise TargetError(
                f"the process that builds cannot be started: {error.strerror or error}.",
                where=sys.executable,
                remedy="Close what else uses memory and processes.",
            ) from error
        self._answers: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._said: deque[str] = deque(maxlen=_LINES_KEPT)
        self._listeners: list[tuple[threading.Thread, IO[bytes]]] = []
        try:
            self._listen()
            with suppress(BrokenPipeError):  # it died; what it said tells why
                self._stdin.write(request.encode() + b"\n")
                self._stdin.flush()
        except BaseException:
            self._end()
            raise

    def _listen(self) -> None:
        answers, words = self._process.stdout, self._process.stderr
        assert answers is not None
        assert words is not None
        for read, heard in ((self._read_answers, answers), (self._read_words, words)):
            listener = threading.Thread(target=read, args=(heard,), daemon=True)
            listener.start()
            self._listeners.append((listener, heard))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self._end()

    def messages(self, deadline: float | None) -> Iterator[dict[str, Any] | None]:
        """Give its messages until it ends; None when the time is over.

        Args:
            deadline: On the monotonic clock.
        """
        while True:
            left = _LOOK_SECONDS if deadline is None else deadline - time.monotonic()
            if left <= 0:
                yield None
                return
            with suppress(queue.Empty):
                message = self._answers.get(timeout=min(left, _LOOK_SECONDS))
                if message is None:
                    return
                yield message

    def exit_code(self) -> int:
        """Return how it ended; negative is a signal."""
        return self._process.wait()

    def said(self) -> list[str]:
        """Return the last lines of what it wrote for people."""
        self._listeners[1][0].join(_GRACE_SECONDS)
        return list(self._said)

    @property
    def _stdin(self) -> IO[bytes]:
        assert self._process.stdin is not None
        return self._process.stdin

    def _read_answers(self, answers: IO[bytes]) -> None:
        for line in answers:
            with suppress(ValueError):  # not ours
                message = json.loads(line)
                if isinstance(message, dict):
                    self._answers.put(message)
        self._answers.put(None)

    def _read_words(self, words: IO[bytes]) -> None:
        while line := words.readline(_LONGEST_LINE):
            self._said.append(line.decode(errors="replace"))

    def _end(self) -> None:
        try:
            with suppress(OSError):
                self._stdin.close()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_GRACE_SECONDS)
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_GRACE_SECONDS)
        finally:
            self._process.kill()
            self._process.wait()
            for listener, _ in self._listeners:
                listener.join(_GRACE_SECONDS)
            held = [heard for listener, heard in self._listeners if listener.is_alive()]
            for heard in (self._process.stdout, self._process.stderr):
                if heard is not None and heard not in held:  # else somebody has the other end
                    heard.close()
