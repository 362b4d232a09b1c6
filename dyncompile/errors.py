"""Every error dyncompile raises on purpose.

DyncompileError          caught once, by the command line
|- MarkerError           the network cannot be marked or exported as written
|- GraphError            an ONNX graph breaks a rule that a pass relies on
|- KnobError             a knob is unknown, malformed or out of range
|- InputError            an input of a call or an option of a command does not fit
|- ArtifactError         a file is missing, damaged, foreign, or cannot be written
|- TargetError           a backend is missing, too old, or refuses the graph
`- VerificationError     the artifact and the model do not agree
"""

from __future__ import annotations

__all__ = [
    "ArtifactError",
    "DyncompileError",
    "GraphError",
    "InputError",
    "KnobError",
    "MarkerError",
    "TargetError",
    "VerificationError",
    "one_line",
]


class DyncompileError(Exception):
    """A problem the user can act on: what happened, where, and what to do.

    Args:
        problem: One sentence, in the user's terms.
        where: The node, value, file or option concerned.
        remedy: What to change so that it does not happen again.
    """

    def __init__(self, problem: str, *, where: str, remedy: str) -> None:
        super().__init__(f"{where}: {problem} {remedy}")
        self.problem = problem
        self.where = where
        self.remedy = remedy


class MarkerError(DyncompileError):
    """The network cannot be marked or exported as written."""


class GraphError(DyncompileError):
    """An ONNX graph breaks a rule that a pass relies on."""


class KnobError(DyncompileError):
    """A knob is unknown, malformed or out of range."""


class InputError(DyncompileError):
    """An input of a call or an option of a command does not fit."""


class ArtifactError(DyncompileError):
    """A file is missing, damaged, foreign, or cannot be written."""


class TargetError(DyncompileError):
    """A backend is missing, too old, or refuses the graph."""


class VerificationError(DyncompileError):
    """The artifact and the model do not agree."""


def one_line(error: BaseException) -> str:
    """Return the kind of a foreign error and what it says, on one line and shortened."""
    said = " ".join(str(error).split())[:300].rstrip(".")
    return f"{type(error).__name__}: {said or 'no message'}"
