"""What a builder says while it works: which of it matters, in words that can be shown."""

from __future__ import annotations

__all__ = ["Messages", "is_out_of_memory", "last_words", "open_logger", "readable"]

import re
from typing import Any, TextIO

# Where in NVIDIA's sources something happened, and that there is no GPU to ask.
_NOISE = re.compile(
    r"\(In \w+ at /\S+:\d+\)| ?\bIn \w+ at /\S+:\d+|^\w+\.[ch]pp:\d+: |^\[\w+\.cpp::\w+::\d+\] "
)
_NO_GPU = ("cudaError 35", "CUDA initialization failure", "Unable to determine GPU memory usage")
_HARMLESS = (
    *_NO_GPU,
    "Make sure input",
    "Make sure output",
    "generated with INT64 weights",
    "is deprecated",
    "Overriding data to nullptr",
    "Unused Input",
    "used only at compile-time",
    "Was not able to infer",
    "using Elementwise fallback",
)
_WRONG_GRAPH = (
    "number of channels not equal to channels in the weights",
    "Defaulting to INT8 instead",  # an unsigned zero point
    "outside the range of FLOAT was clamped",
    "is out of range. Clamping to",
    "output tensors of this new instance will not be queryable",  # two nodes of one name
    'currently ignores the "seed" field',
)
_WRONG_RANGES = ("values are not self-consistent",)  # the network cannot run with them
_OUT_OF_MEMORY = (
    "out of memory",
    "OutOfMemory",
    "bad_alloc",
    "MemoryError",
    "failed to allocate",
    "Cannot allocate memory",
    "insufficient memory",
    "insufficient workspace",
    "within workspace limit",
)
_MANY = 20


class Messages:
    """Messages of a builder, kept by how serious they are.

    Args:
        echo: Where each is written as it comes, so that it is known should the builder crash.
    """

    def __init__(self, echo: TextIO | None = None) -> None:
        self.errors: list[str] = []
        self._warnings: dict[str, None] = {}
        self._echo = echo

    def warn(self, text: str) -> None:
        """Keep a warning."""
        self._warnings[text] = None
        self._write(text)

    def fail(self, text: str) -> None:
        """Keep an error."""
        self.errors.append(text)
        self._write(text)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the builder warned of, or called an error, each once; not what is harmless."""
        errors = [text for text in self.errors if not _says(text, _NO_GPU)]
        told = [text for text in [*self._warnings, *errors] if not _says(text, _HARMLESS)]
        return tuple(dict.fromkeys(map(readable, told)))

    @property
    def wrong_graph(self) -> str | None:
        """A warning that the engine would compute something else; None if there is none."""
        return self._first(_WRONG_GRAPH)

    @property
    def wrong_ranges(self) -> str | None:
        """A warning that the network cannot run with the ranges it is built for."""
        return self._first(_WRONG_RANGES)

    @property
    def out_of_memory(self) -> bool:
        """Whether an error says so."""
        return any(map(is_out_of_memory, self.errors))

    def why(self) -> str:
        """Return the last error that says something."""
        said = [text for text in self.errors if not _says(text, _NO_GPU)] or self.errors
        return readable(said[-1]) if said else "it gave no reason"

    def _first(self, phrases: tuple[str, ...]) -> str | None:
        found = (text for text in [*self._warnings, *self.errors] if _says(text, phrases))
        return next(map(readable, found), None)

    def _write(self, text: str) -> None:
        if self._echo is not None and not _says(text, _HARMLESS):
            print(readable(text), file=self._echo, flush=True)


def open_logger(trt: Any, messages: Messages) -> Any:  # noqa: ANN401 - TensorRT has no types
    """Return a logger for a builder that keeps what it is told in ``messages``."""

    class Logger(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, text: str) -> None:  # noqa: ANN401
            if severity in {trt.ILogger.INTERNAL_ERROR, trt.ILogger.ERROR}:
                messages.fail(text)
            elif severity == trt.ILogger.WARNING:
                messages.warn(text)

    return Logger()


def is_out_of_memory(text: str) -> bool:
    """Whether a message says that memory ran out."""
    return _says(text, _OUT_OF_MEMORY)


def readable(text: str) -> str:
    """Return a message on one line, shortened, without places in the builder's sources."""
    lines = [line for line in text.splitlines() if not _says(line, _NO_GPU)] or [text]
    return " ".join(_NOISE.sub("", " ".join(lines)).split())[:300].rstrip(" .(")


def last_words(lines: list[str]) -> str:
    """Return what a process said last, on one line."""
    said = [readable(line) for line in lines[-_MANY:] if line.strip()]
    return " / ".join(said[-3:])[-300:] or "none"


def _says(text: str, any_of: tuple[str, ...]) -> bool:
    lowered = text.lower()
    return any(phrase.lower() in lowered for phrase in any_of)
