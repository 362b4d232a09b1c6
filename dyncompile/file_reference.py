"""A lowered file as what another form of it is held against."""

from __future__ import annotations

__all__ = ["FileReference"]

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from dyncompile.errors import InputError, VerificationError
from dyncompile.manifest import Decision
from dyncompile.optimizing.overriding import override_decisions
from dyncompile.passes.report_decisions import NOT_REACHED, report_decisions
from dyncompile.probe import Probe

Array = NDArray[Any]


class FileReference:
    """A lowered graph in ONNX Runtime, its decisions free or forced.

    Args:
        model: Left as it is.
        decisions: Those it takes.
        stack: Keeps the files of a model that is too large for memory, until it closes.

    Attributes:
        decisions: Those that can be forced, whether a run comes to them or not.

    Raises:
        TargetError: ONNX Runtime is missing, or refuses the graph.
    """

    what = "the original"

    def __init__(self, model: ir.Model, decisions: Iterable[Decision], stack: ExitStack) -> None:
        decisions = tuple(decisions)
        copy = model.clone()
        self._outputs = [str(value.name) for value in copy.graph.outputs]
        self._reports = report_decisions(copy, decisions)
        self._overrides = override_decisions(copy, decisions)
        self._probe = Probe(copy, stack, what=self.what)
        self.decisions = frozenset(self._overrides.inputs)

    def follow(
        self, feeds: Mapping[str, Array], path: Mapping[str, int], where: str
    ) -> tuple[list[Array], dict[str, NDArray[np.int64]]]:
        """Run the file, and return its outputs and the decisions it came to.

        Raises:
            InputError: it fails.
        """
        try:
            got = self._probe({**feeds, **self._overrides.feeds(path)})
        except VerificationError as error:
            raise InputError(
                error.problem, where=where, remedy="Give inputs that it takes, as samples."
            ) from error
        taken = {
            name: np.asarray(got[report], np.int64)
            for name, report in self._reports.items()
            if int(got[report]) != NOT_REACHED
        }
        return [got[name] for name in self._outputs], taken
