"""Errors that a worker of a ``DataLoader`` can hand on as they are."""

from __future__ import annotations

__all__ = ["WorkerError"]

from typing import ClassVar

from dyncompile.errors import DyncompileError


class WorkerError(DyncompileError):
    """An error that is made from one text.

    A worker hands an error on as the text of its traceback, from which a new one of the same class
    is made, where its class takes a text alone: this one keeps the last line.

    Args:
        said: ``where: problem``, or a traceback that ends in what this error says.

    Attributes:
        REMEDY: What to do, for all errors of a class.
    """

    REMEDY: ClassVar[str]

    def __init__(self, said: str) -> None:
        line = said.rstrip().rpartition("\n")[2].rpartition(f"{type(self).__name__}: ")[2]
        where, _, problem = line.removesuffix(f" {self.REMEDY}").partition(": ")
        super().__init__(problem, where=where, remedy=self.REMEDY)
