"""Hold an optimised file against the one it was made from, in ONNX Runtime."""

from __future__ import annotations

__all__ = ["TOLERANCE", "Proof", "prove"]

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from dyncompile.agreement import difference
from dyncompile.errors import InputError, VerificationError, one_line
from dyncompile.manifest import Manifest
from dyncompile.optimizing.overriding import (
    names_of,
    override_decisions,
    override_nodes,
    under_all_names,
)
from dyncompile.optimizing.path_sample import sample_paths
from dyncompile.optimizing.running import open_file, open_pair
from dyncompile.passes.report_decisions import report_decisions
from dyncompile.paths import DecisionTree
from dyncompile.progress import Progress, untold

Array = NDArray[Any]
Feeds = Mapping[str, Array]

TOLERANCE = 1e-5
_TOLERANCES = {"float16": 1e-2, "bfloat16": 1e-2}  # of types in which 1e-5 is less than one step
_MOST_PATHS = 16
_SECONDS = 0.2  # for free runs, and again for forced ones; two of either are made anyway
_FEWEST = 2


@dataclass(frozen=True)
class Proof:
    """What the comparison saw; whoever holds one holds a file that agreed.

    Attributes:
        samples: How many inputs ran freely.
        paths: How many paths were forced.
        complete: Whether these are all there are.
        largest_difference: Over all outputs, relative to ``max(1, largest element)``.
        unproven: Decisions and the option that neither a sample took nor a path forced.
    """

    samples: int
    paths: int
    complete: bool
    largest_difference: float
    unproven: tuple[tuple[str, int], ...]


def prove(  # noqa: PLR0913 - the two sides, and what to feed
    original: ir.Model,
    result: ir.Model,
    manifest: Manifest,
    samples: Sequence[Feeds],
    source: Path | None = None,
    *,
    drawn: bool = False,
    custom_ops: Sequence[Path] = (),
    progress: Progress | None = None,
) -> Proof:
    """Compare outputs, deciding freely and along forced paths; both models are changed.

    Args:
        original: The file before any pass, its nodes named as they were at the first one.
        result: What became of it.
        manifest: Of the result.
        samples: Inputs by name.
        source: The file that ``original`` was read from, where they differ (functions that
            were inlined): then it runs freely in the place of the model.
        drawn: Whether nobody gave the samples: then those behind the first are left out which
            the original refuses.
        custom_ops: Libraries of operators that the file uses.
        progress: Called with what is done, how much of it, and how much there is.

    Raises:
        VerificationError: numbers differ by more than 1e-5 of ``max(1, largest element)`` (1e-2
            for 16-bit floats), or types, shapes or non-finite places.
        InputError: the original does not run on the samples.
        TargetError: ONNX Runtime is missing, or refuses one of the two.
    """
    with ExitStack() as stack:
        comparison = _Comparison(original, result, manifest, source, custom_ops, stack)
        return comparison.run(samples, progress or untold, drawn=drawn)


class _Comparison:
    def __init__(
        self,
        original: ir.Model,
        result: ir.Model,
        manifest: Manifest,
        source: Path | None,
        libraries: Sequence[Path],
        stack: ExitStack,
    ) -> None:
        names = {str(node.name) for node in original.graph.all_nodes()}
        self._known = [d for d in manifest.decisions if names_of(d) & names and d.kind == "gate"]
        self._decisions = manifest.decisions
        free = {d.name for d in manifest.decisions} - {d.name for d in self._known}
        self._tree = DecisionTree.from_model(result, free=free)
        self._outputs = [str(value.name) for value in original.graph.outputs]
        wanted = frozenset[str]().union(*map(names_of, self._known))
        self._old_overrides = override_nodes(original, wanted)
        self._reports = report_decisions(result, manifest.decisions)
        self._new_overrides = override_decisions(result, self._known)
        self._file = None if source is None else open_file(source, libraries)
        pair = {"the original": original, "the optimised file": result}
        self._old, self._new = open_pair(pair, libraries, stack)
        self._largest = 0.0
        self._seen: set[tuple[str, int]] = set()

    def run(self, samples: Sequence[Feeds], progress: Progress, *, drawn: bool) -> Proof:
        free: list[Feeds] = []
        for number in _within(len(samples), lambda n: progress("samples", n, len(samples))):
            try:
                self._compare(samples[number], {}, f"sample {number}")
            except InputError:
                if not (drawn and free):
                    raise
            else:
                free.append(samples[number])
        found, are_all = sample_paths(self._tree, _MOST_PATHS)
        paths = [path for path in found if path]
        forced = 0
        for number in _within(len(paths), lambda n: progress("paths", n, len(paths))):
            forced += self._compare_along(paths[number], free[number % len(free)])
        missing = [
            (decision.name, option)
            for decision in self._decisions
            for option in range(len(decision.sides))
            if (decision.name, option) not in self._seen
        ]
        all_known = len(self._known) == len(self._decisions)
        complete = are_all and all_known and forced == len(paths)
        return Proof(len(free), forced, complete, self._largest, tuple(missing))

    def _compare_along(self, path: Mapping[str, int], sample: Feeds) -> bool:
        along = " ".join(f"{name}={option}" for name, option in path.items())
        try:
            self._compare(sample, path, f"path {along}")
        except InputError:  # a path that the original cannot take either
            return False
        self._seen.update(path.items())
        return True

    def _compare(self, sample: Feeds, path: Mapping[str, int], where: str) -> None:
        olds = under_all_names(self._known, path)
        try:
            if self._file is not None and not path:
                wanted = self._file.run(None, dict(sample))
            else:
                wanted = self._old.run(None, {**sample, **self._old_overrides.feeds(olds)})
        except Exception as error:  # its errors share no class of their own
            raise InputError(
                f"the original fails: {one_line(error)}.",
                where=where,
                remedy="Give inputs that it takes: --samples data.npz, or --input.",
            ) from error
        try:
            got = self._new.run(None, {**sample, **self._new_overrides.feeds(path)})
        except Exception as error:
            raise VerificationError(
                f"the optimised file fails where the original runs: {one_line(error)}.",
                where=where,
                remedy="Report this; nothing is written.",
            ) from error
        for name, want, have in zip(self._outputs, wanted, got, strict=False):
            self._check(have, want, f"{where}, output {name!r}")
        if not path:
            options = zip(self._reports, got[len(self._outputs) :], strict=True)
            self._seen.update((name, int(option)) for name, option in options)

    def _check(self, got: Any, want: Any, where: str) -> None:  # noqa: ANN401
        if isinstance(want, list | tuple):
            self._require(0.0 if len(got) == len(want) else math.inf, "sequence", where)
            for number, (have, each) in enumerate(zip(got, want, strict=True)):
                self._check(have, each, f"{where}, element {number}")
            return
        if not isinstance(want, np.ndarray):  # a map, or nothing
            self._require(0.0 if got == want else math.inf, "object", where)
            return
        if got.dtype != want.dtype or got.shape != want.shape:
            raise VerificationError(
                f"the optimised file gives {got.dtype}{list(got.shape)}, the original"
                f" {want.dtype}{list(want.shape)}.",
                where=where,
                remedy="Report this; nothing is written.",
            )
        if want.dtype.kind not in "fV" and want.dtype.name != "bfloat16":
            self._require(0.0 if np.array_equal(got, want) else math.inf, "exact", where)
        elif want.size:
            self._require(difference(got, want), want.dtype.name, where)

    def _require(self, found: float, dtype: str, where: str) -> None:
        tolerance = _TOLERANCES.get(dtype, TOLERANCE)
        if not found <= tolerance:
            raise VerificationError(
                f"the optimised file and the original differ by {found:.2g} of the largest"
                f" element, where {tolerance:g} is allowed.",
                where=where,
                remedy="Report this; nothing is written.",
            )
        self._largest = max(self._largest, found)


def _within(count: int, tell: Callable[[int], None]) -> Iterator[int]:
    """Yield numbers up to the count, or fewer once the time is over."""
    start = time.perf_counter()
    for number in range(count):
        if number >= _FEWEST and time.perf_counter() - start > _SECONDS:
            return
        tell(number)
        yield number
