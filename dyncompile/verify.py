"""Hold an artifact against what it was made from: freely, and along forced paths.

Why 1e-4: float32 has the unit roundoff u = 6e-8. Summing n products in another order changes
the result by about sqrt(n) * u of the size of the terms (Higham, Accuracy and Stability of
Numerical Algorithms, 2002, section 4.2): 4e-6 for the 4608 products of a 3x3 convolution over
512 channels. Fused and blocked kernels reorder every layer, and tens of layers add up to some
1e-5. A weight, a branch or a wire that is wrong changes the result by 1e-2 and more. So 1e-4
of the largest element lies an order of magnitude from either.

Why 1e-2 for float16: its unit roundoff is u = 2^-11 = 4.9e-4. Kernels sum its products in
float32 and round the result of each layer once; fused ones leave roundings out. These are
independent, so n layers differ by about sqrt(n) * u: 3.5e-3 for fifty. 1e-2 is three times
that, and hides smaller faults: a float16 network is better verified in float32 as well. A float32
model rounds neither layers nor weights: held against it, a float16 network differs by the
roundings of both, sqrt(2n) * u, which is 4.9e-3 for fifty, half of what is allowed.
"""

from __future__ import annotations

__all__ = ["NearTie", "Reference", "Report", "draw_samples", "verify"]

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from dyncompile.agreement import difference, tolerance_of
from dyncompile.dialect import attach_functions
from dyncompile.errors import InputError, VerificationError
from dyncompile.file_reference import FileReference
from dyncompile.forcing import force_decisions
from dyncompile.knobs import Threshold
from dyncompile.manifest import Decision, Manifest, OperatingPoint
from dyncompile.margins import fetch_scores
from dyncompile.passes.decision_values import following
from dyncompile.passes.report_decisions import always_reported, report_decisions
from dyncompile.paths import DecisionTree, chosen_paths
from dyncompile.paths import Path as Taken
from dyncompile.probe import Probe
from dyncompile.progress import Progress, untold

if TYPE_CHECKING:
    from torch import nn

Array = NDArray[Any]
Sample = Mapping[str, Array]

_SAMPLES_PER_PATH = 2


class Reference(Protocol):
    """What an artifact is held against."""

    @property
    def what(self) -> str:
        """What errors call it."""

    @property
    def decisions(self) -> frozenset[str]:
        """Those known to be there; others are known when a run comes to them."""

    def follow(
        self, feeds: Mapping[str, Array], path: Mapping[str, int], where: str
    ) -> tuple[list[Array], dict[str, NDArray[np.int64]]]:
        """Run it with these decisions forced, and return its outputs and the decisions it took.

        Args:
            feeds: Inputs by name, knobs among them.
            path: The option of each decision that is forced.
            where: What errors name.

        Raises:
            InputError: it fails.
        """


@dataclass(frozen=True)
class NearTie:
    """A decision that fell differently because its score lay within the tolerance.

    Attributes:
        decision: Its name.
        sample: Number of the sample.
        operating_point: Values of the knobs.
        margin: Relative distance of the score from where it turns.
    """

    decision: str
    sample: int
    operating_point: OperatingPoint
    margin: float


@dataclass(frozen=True)
class Report:
    """What verification saw; whoever holds one holds an artifact that agreed.

    Attributes:
        operating_points: Values of the knobs at which every sample ran freely.
        samples: How many there were.
        paths: How many paths were forced, over all operating points.
        complete: Whether these are all paths of the artifact; otherwise a sample of them that
            takes every decision every way, or none where the artifact is a marked one.
        unforced: Decisions that the model makes without a marker (``f * mask``); they are
            compared where samples take them, but cannot be forced.
        largest_difference: Over all outputs, relative to ``max(1, largest element)``.
        near_ties: Decisions that fell differently, and may.
        reached: The paths that samples took by themselves, and how often; most frequent first.
        unreached: Decisions and the option that no sample took by itself.
    """

    operating_points: tuple[OperatingPoint, ...]
    samples: int
    paths: int
    complete: bool
    unforced: tuple[str, ...]
    largest_difference: float
    near_ties: tuple[NearTie, ...]
    reached: tuple[tuple[Taken, int], ...]
    unreached: tuple[tuple[str, int], ...]


def draw_samples(
    inputs: Mapping[str, Array], count: int = 4, seed: int = 0
) -> list[dict[str, Array]]:
    """Return the example inputs, then ``count`` like them filled with seeded normal noise.

    Inputs that are not floats keep the values of the example.
    """
    rng = np.random.default_rng(seed)
    samples = [{name: np.asarray(array) for name, array in inputs.items()}]
    for _ in range(count):
        samples.append(
            {
                name: rng.normal(size=array.shape).astype(array.dtype)
                if array.dtype.kind == "f"
                else array
                for name, array in samples[0].items()
            }
        )
    return samples


def verify(
    model: ir.Model,
    manifest: Manifest,
    reference: nn.Module | FileReference,
    samples: Sequence[Sample],
    *,
    tolerance: float | None = None,
    progress: Progress | None = None,
) -> Report:
    """Check that an artifact and the model it was made from agree.

    First both decide for themselves: every sample, at every operating point of the manifest,
    and with all thresholds at plus and minus infinity. A decision that the artifact reaches
    must fall as in the model, unless its score lies within the tolerance of where it turns:
    such a near-tie is reported, and the outputs are compared along the artifact's path.

    Then decisions are forced, in the artifact (as inputs) and the model (``markers.follow``):
    along all paths, up to 64, otherwise along a sample that takes every decision every way
    (``DecisionTree.paths``), each on two samples in turn. Decisions that follow from knobs
    alone are driven by the operating point. A marked artifact is dense, and only decides
    freely.

    What an artifact with telemetry decides is read from its own reports; along a forced path,
    they have to report this path.

    Outputs agree if ``|difference| <= tolerance * max(1, largest element)``, types and shapes
    are equal, and NaN and infinities stand at the same places.

    Args:
        model: A lowered or marked graph; left as it is.
        manifest: What goes with it.
        reference: The model; evaluated, and left with the modes and buffers it has. Or a
            lowered file that takes the same decisions.
        samples: Inputs by name, without the knobs.
        tolerance: Relative. None is 1e-4, or 1e-2 for outputs of float16 and everything in a
            network whose precision, by its manifest, is float16; see above why.
        progress: Called with what is done, how much of it, and how much there is.

    Raises:
        VerificationError: they do not agree.
        InputError: a sample does not fit the model.
        TargetError: ONNX Runtime is missing or refuses the artifact.
    """
    if any(name in model.graph.initializers for name in manifest.knobs):
        model = model.clone()
        for name in manifest.knobs:  # a default would keep it from being fed
            model.graph.initializers.pop(name, None)
    _check_samples(model, manifest, samples)
    with ExitStack() as stack:
        held = _reference(reference, stack)
        run = _Run(model, manifest, held, samples, tolerance, progress or untold, stack)
        return run.report()


def _reference(given: nn.Module | FileReference, stack: ExitStack) -> Reference:
    if isinstance(given, FileReference):
        return given
    from dyncompile.module_reference import ModuleReference

    return ModuleReference(given, stack)


@dataclass
class _Run:
    model: ir.Model
    manifest: Manifest
    reference: Reference
    samples: Sequence[Sample]
    given_tolerance: float | None
    progress: Progress
    stack: ExitStack
    largest: float = 0.0
    near_ties: list[NearTie] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._decisions = {decision.name: decision for decision in self.manifest.decisions}
        reports = set(self.manifest.telemetry.values())
        names = (str(value.name) for value in self.model.graph.outputs)
        self._names = [name for name in names if name not in reports]
        self._met: dict[int, set[str]] = {}  # by operating point
        self.tolerance = self._tolerance(self.manifest.precision)

    def report(self) -> Report:
        points = list(self.manifest.operating_points) or [{}]
        extremes = list(_extremes(self.manifest))
        free, outputs = self._free_session()
        reported = []
        for number, point in enumerate([*points, *extremes]):
            self.progress("operating points", number, len(points) + len(extremes))
            reported.append(
                [self._decide_freely(free, outputs, number, point, i) for i in self._numbers()]
            )
        self.progress("operating points", len(reported), len(reported))
        known = frozenset[str]().union(*self._met.values())
        unforced = tuple(
            decision.name
            for decision in self.manifest.decisions
            if not known.issuperset((decision.name, *(name for name, _ in decision.aliases)))
        )
        tree = DecisionTree.from_model(self.model, free=unforced)
        forced, complete = 0, False
        if self.manifest.target != "marked":
            forced, complete = self._force_paths(tree, points, unforced)
        own = [taken for at_point in reported[: len(points)] for taken in at_point]
        return Report(
            operating_points=(*points, *extremes),
            samples=len(self.samples),
            paths=forced,
            complete=complete,
            unforced=unforced,
            largest_difference=self.largest,
            near_ties=tuple(self.near_ties),
            reached=tuple(_counted(own, self.model)),
            unreached=tuple(_unreached(own, self.manifest.decisions)),
        )

    # --- free decisions ---

    def _free_session(self) -> tuple[Probe, dict[str, str]]:
        copy = self.model.clone()
        outputs = dict(self.manifest.telemetry)
        if self._is_single() and not outputs:
            outputs = report_decisions(copy, self._decisions.values())
        return self._session(copy), outputs

    def _is_single(self) -> bool:
        """Whether every decision is one decision per call, as all but marked graphs need."""
        _, taken = self._follow(0, {}, {})
        several = [name for name, options in taken.items() if options.size != 1]
        if several and self.manifest.target != "marked":
            raise InputError(
                f"the decision {several[0]!r} falls once per row, and this one has"
                f" {taken[several[0]].size} rows.",
                where="sample 0",
                remedy="Give samples of batch 1.",
            )
        return not several

    def _decide_freely(
        self,
        session: Probe,
        reports: Mapping[str, str],
        point_number: int,
        point: OperatingPoint,
        number: int,
    ) -> Taken:
        """Compare one free run, and return the decisions the artifact took."""
        got = session(self._feeds(number, point))
        taken = {
            name: int(got[output]) for name, output in reports.items() if int(got[output]) >= 0
        }
        ties: Taken = {}
        met = self._met.setdefault(point_number, set(self.reference.decisions))
        while True:
            wanted, options = self._follow(number, point, self._with_aliases(ties, met))
            met.update(options)
            flipped = [
                name
                for name, option in options.items()  # in the order in which they were made
                if name in taken and name not in ties and self._own(name, option) != taken[name]
            ]
            if not flipped:
                break
            wanted_option = self._own(flipped[0], options[flipped[0]])
            self._excuse(flipped[0], taken, wanted_option, number, point)
            ties[flipped[0]] = taken[flipped[0]]
        self._compare(got, wanted, _place(number, point))
        return taken

    def _excuse(
        self, name: str, taken: Taken, wanted: int, number: int, point: OperatingPoint
    ) -> None:
        """Note a near-tie; raise if the decision was none."""
        margin = self._margin(name, taken, number, point)
        if not margin <= self.tolerance:
            raise VerificationError(
                f"the decision {name!r} is {taken[name]} in the artifact and {wanted} in"
                f" {self.reference.what}, and its score is {margin:.2g} away from where it turns;"
                f" up to {self.tolerance:g} counts as a near-tie.",
                where=_place(number, point),
                remedy="Report this: the artifact is wrong.",
            )
        self.near_ties.append(NearTie(name, number, point, margin))

    def _margin(self, name: str, taken: Taken, number: int, point: OperatingPoint) -> float:
        """Return how near the artifact was to the other option, on the path that it took."""
        copy = self.model.clone()
        scores = fetch_scores(copy, self._decisions[name])
        inputs = force_decisions(copy, self._drivable())
        session = self._session(copy)
        return scores.margin(session(self._feeds(number, point), inputs, taken))

    # --- forced decisions ---

    def _force_paths(
        self, tree: DecisionTree, points: Sequence[OperatingPoint], unforced: Sequence[str]
    ) -> tuple[int, bool]:
        """Compare along paths, and return how many there were and whether they were all."""
        drivable = [d for d in self._drivable() if d.name not in unforced]
        names = {decision.name for decision in drivable}
        reported = self._reported(unforced)
        jobs, complete = self._jobs(tree, points, names)
        copy = self.model.clone()
        inputs = force_decisions(copy, drivable)
        session = self._session(copy)
        for done, (point_number, path) in enumerate(jobs):
            self.progress("paths", done, len(jobs))
            forced = {name: option for name, option in path.items() if name in names}
            for k in range(min(_SAMPLES_PER_PATH, len(self.samples))):
                number, point = (done + k) % len(self.samples), points[point_number]
                got = session(self._feeds(number, point), inputs, forced)
                wanted, _ = self._follow(
                    number, point, self._with_aliases(forced, self._met[point_number])
                )
                place = _place(number, point, path)
                self._compare(got, wanted, place)
                for name in reported & path.keys():
                    _check_report(name, path[name], int(got[self.manifest.telemetry[name]]), place)
        self.progress("paths", len(jobs), len(jobs))
        return len(jobs), complete

    def _reported(self, unforced: Sequence[str]) -> set[str]:
        """Return the decisions that the artifact itself reports wherever a path has them."""
        if not self.manifest.telemetry:
            return set()
        known = self._decisions.keys() - set(unforced)
        asked = [self._decisions[name] for name in known]
        return always_reported(self.model, asked, known)

    def _jobs(
        self, tree: DecisionTree, points: Sequence[OperatingPoint], names: set[str]
    ) -> tuple[list[tuple[int, Taken]], bool]:
        """Choose paths: all, or a sample at the default point and what is new at others."""
        default = next((k for k, point in enumerate(points) if self._is_default(point)), 0)
        return chosen_paths([tree.paths(self._fixed(point, names)) for point in points], default)

    def _fixed(self, point: OperatingPoint, drivable: set[str]) -> Taken:
        """Return the decisions that the operating point makes."""
        _, options = self._follow(0, point, {})
        return {
            name: self._own(name, options[name])
            for name in self._decisions
            if name in options and name not in drivable
        }

    def _own(self, name: str, taken: NDArray[np.int64]) -> int:
        """Return what the model took as an option of the artifact, which may lack the last ones.

        Passes leave out switches that make no difference, also the one with the most options.
        """
        return min(int(taken.item()), len(self._decisions[name].sides) - 1)

    def _is_default(self, point: OperatingPoint) -> bool:
        return all(value == self.manifest.knobs[name].default for name, value in point.items())

    def _drivable(self) -> list[Decision]:
        """Return the decisions that depend on data, not on knobs alone."""
        known = list(self._decisions.values())
        follow = following(self.model, known, self.manifest.knobs)
        return [decision for decision in known if decision not in follow]

    def _with_aliases(self, path: Taken, met: set[str]) -> Taken:
        """Return the path under every name that its decisions have in the model."""
        named: Taken = {}
        for name, option in path.items():
            if name in met:
                named[name] = option
            for other, options in self._decisions[name].aliases:
                if other in met:
                    named[other] = options[option]
        return named

    # --- either side ---

    def _numbers(self) -> range:
        return range(len(self.samples))

    def _feeds(self, number: int, point: OperatingPoint) -> dict[str, Array]:
        knobs = self.manifest.knobs
        given = {name: knob.array(name, point.get(name)) for name, knob in knobs.items()}
        return {**self.samples[number], **given}

    def _follow(
        self, number: int, point: OperatingPoint, path: Taken
    ) -> tuple[list[Array], dict[str, NDArray[np.int64]]]:
        """Run the model, and return its outputs and the decisions it took."""
        return self.reference.follow(self._feeds(number, point), path, _place(number, point, path))

    def _tolerance(self, dtype: str) -> float:
        if self.given_tolerance is not None:
            return self.given_tolerance
        return tolerance_of(dtype)

    def _session(self, model: ir.Model) -> Probe:
        if self.manifest.target == "marked":
            attach_functions(model)
        return Probe(model, self.stack)

    def _compare(self, got: Mapping[str, Array], wanted: list[Array], where: str) -> None:
        if len(wanted) != len(self._names):
            raise VerificationError(
                f"{self.reference.what} returns {len(wanted)} outputs, the artifact"
                f" {len(self._names)}.",
                where=where,
                remedy="Export the network again.",
            )
        for name, want in zip(self._names, wanted, strict=True):
            found = _difference(got[name], want, f"{where}, output {name!r}")
            tolerance = max(self.tolerance, self._tolerance(want.dtype.name))
            if not found <= tolerance:
                raise VerificationError(
                    f"the artifact and {self.reference.what} differ by {found:.2g} of the largest"
                    f" element, where {tolerance:g} is allowed.",
                    where=f"{where}, output {name!r}",
                    remedy="Give the model and weights the file was made from; if these are,"
                    " report it.",
                )
            self.largest = max(self.largest, found)


def _check_report(name: str, taken: int, report: int, where: str) -> None:
    if report != taken:
        said = f"{report}" if report >= 0 else "not reached"
        raise VerificationError(
            f"the artifact reports that the decision {name!r} is {said}, where it is {taken}.",
            where=where,
            remedy="Export the network again, or report this: the artifact is wrong.",
        )


def _check_samples(model: ir.Model, manifest: Manifest, samples: Sequence[Sample]) -> None:
    wanted = {str(value.name) for value in model.graph.inputs} - set(manifest.knobs)
    for number, sample in enumerate(samples):
        if set(sample) != wanted:
            raise InputError(
                f"it holds {', '.join(sorted(sample)) or 'nothing'}; the artifact takes"
                f" {', '.join(sorted(wanted)) or 'nothing'} besides its knobs.",
                where=f"sample {number}",
                remedy="Give one array per input.",
            )
    if not samples:
        raise InputError("there are none.", where="samples", remedy="Give at least one.")


def _extremes(manifest: Manifest) -> Iterator[OperatingPoint]:
    """Yield all thresholds at minus and at plus infinity, levels at their defaults."""
    thresholds = [name for name, k in manifest.knobs.items() if isinstance(k, Threshold)]
    default = {name: k.default for name, k in manifest.knobs.items() if name not in thresholds}
    if thresholds:
        yield {**default, **dict.fromkeys(thresholds, -math.inf)}
        yield {**default, **dict.fromkeys(thresholds, math.inf)}


def _difference(got: Array, want: Array, where: str) -> float:
    """Return the largest difference relative to ``max(1, largest element)``."""
    if got.dtype != want.dtype or got.shape != want.shape:
        raise VerificationError(
            f"the artifact gives {got.dtype}{list(got.shape)}, the model"
            f" {want.dtype}{list(want.shape)}.",
            where=where,
            remedy="Export the network again.",
        )
    return difference(got, want)


def _counted(taken: Sequence[Taken], model: ir.Model) -> Iterator[tuple[Taken, int]]:
    """Count paths; decisions that were made but not acted upon are left out."""
    tree = DecisionTree.from_model(model)
    paths = [tree.path(options) if tree.choices else options for options in taken]
    counts = Counter(tuple(path.items()) for path in paths)
    return ((dict(path), count) for path, count in counts.most_common())


def _unreached(taken: Sequence[Taken], decisions: Sequence[Decision]) -> Iterator[tuple[str, int]]:
    seen = set(itertools.chain.from_iterable(options.items() for options in taken))
    for decision in decisions:
        for option in range(len(decision.sides)):
            if (decision.name, option) not in seen:
                yield decision.name, option


def _place(number: int, point: OperatingPoint, path: Mapping[str, int] | None = None) -> str:
    knobs = "".join(f", {name}={value}" for name, value in point.items())
    along = " ".join(f"{name}={option}" for name, option in (path or {}).items())
    return f"sample {number}{knobs}" + (f", path {along}" if along else "")
