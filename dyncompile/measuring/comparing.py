"""What is timed together computes the same."""

from __future__ import annotations

__all__ = ["NearTies", "check_same"]

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from typing import Any

import onnx_ir as ir
from numpy.typing import NDArray

from dyncompile.agreement import TOLERANCE, difference, tolerance_of
from dyncompile.errors import VerificationError
from dyncompile.manifest import Decision
from dyncompile.margins import fetch_scores
from dyncompile.measuring.findings import Setup
from dyncompile.measuring.sessions import content_of, open_network

Array = NDArray[Any]

_LABEL = "the artifact with its scores"


def check_same(artifact: Iterable[Array], other: Iterable[Array], label: str, where: str) -> None:
    """Compare outputs one by one.

    Raises:
        VerificationError: they differ in number, type or shape, or by more than 1e-4 (float16:
            1e-2) of the largest element.
    """
    ours, theirs = list(artifact), list(other)
    if [_kind(a) for a in ours] != [_kind(a) for a in theirs]:
        raise VerificationError(
            f"the artifact gives {_spell(ours)}, {label} {_spell(theirs)}.",
            where=where,
            remedy="Compare with the network that the artifact was made from.",
        )
    for number, (got, want) in enumerate(zip(ours, theirs, strict=True)):
        apart = difference(got, want)
        if not apart <= tolerance_of(want.dtype.name):
            raise VerificationError(
                f"the artifact and {label} differ by {apart:.2g} of the largest element, where"
                f" {tolerance_of(want.dtype.name):g} is allowed.",
                where=f"{where}, output {number}",
                remedy="Compare with the network, and the weights, that it was made from.",
            )


def _kind(array: Array) -> tuple[str, tuple[int, ...]]:
    return array.dtype.name, array.shape


def _spell(arrays: Iterable[Array]) -> str:
    return ", ".join(f"{array.dtype}{list(array.shape)}" for array in arrays) or "nothing"


class NearTies:
    """Says where networks that decide for themselves may go separate ways.

    Args:
        model: A lowered graph.
        decisions: Those of its manifest.
        setup: How it runs.
    """

    def __init__(self, model: ir.Model, decisions: Iterable[Decision], setup: Setup) -> None:
        copy = model.clone()
        self._scores = [fetch_scores(copy, decision) for decision in decisions]
        with ExitStack() as stack:
            self._session = open_network(content_of(copy, _LABEL, stack), setup, _LABEL)

    def __call__(self, feeds: Mapping[str, Array]) -> bool:
        """Whether a score lies within the tolerance of where its decision turns."""
        outputs = self._session.run(feeds)
        return any(scores.margin(outputs) <= TOLERANCE for scores in self._scores)
