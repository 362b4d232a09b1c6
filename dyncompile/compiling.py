"""From a source to a verified graph for one target: what ``export`` and ``build`` share."""

from __future__ import annotations

__all__ = ["Compiled", "compiled"]

import dataclasses
import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import onnx_ir as ir

from dyncompile import pipeline
from dyncompile.describe import manifest_from_model
from dyncompile.dialect import attach_functions
from dyncompile.errors import InputError
from dyncompile.holding import report_on
from dyncompile.jobs import Job
from dyncompile.manifest import Manifest
from dyncompile.passes.report_decisions import report_decisions
from dyncompile.progress import Progress
from dyncompile.sources import Lowered, Marked, read_source
from dyncompile.targets import ort
from dyncompile.targets.target import Passes, Target

if TYPE_CHECKING:
    from dyncompile.verify import Report

_HALF = "float16"


@dataclass(frozen=True)
class Compiled:
    """A graph that its target takes.

    Attributes:
        graph: It.
        manifest: What it says about itself.
        report: What verification saw; None if it was not asked for, or there was nothing to
            hold the graph against.
    """

    graph: ir.Model
    manifest: Manifest
    report: Report | None


def compiled(job: Job, progress: Progress) -> Compiled:
    """Bring a network into the form of its target, and prove it equal to what it was made from.

    A module is what the result is held against; of a file that is lowered already, the file
    itself, in ONNX Runtime; of a marked file, for TensorRT, its form for ONNX Runtime. A file that
    is in this form already is checked, and left as it is, but for reports that are asked for. A
    file that has reports keeps them.

    Raises:
        DyncompileError: the source cannot be read, captured or lowered, the target refuses
            it, or the result does not agree with it.
    """
    source = read_source(job, progress)
    original = _original(job, source) if job.verify else None
    had_reports = isinstance(source, Lowered) and bool(source.manifest.telemetry)
    new_reports = job.telemetry and not had_reports
    changing = (*_forming(job, source), *_halving(job, source), *job.target.tailoring)
    graph = _graph_for(job.target, source.graph, changing, progress)
    manifest = _manifest(job, source, graph, is_changed=bool(changing))
    if had_reports or new_reports:
        manifest = _with_reports(job.target, graph, manifest)
    report = None
    if job.verify and (changing or new_reports or isinstance(source, Marked)):
        report = report_on(graph, manifest, job, original, progress)
    if job.target.keeps_markers:
        attach_functions(graph)
    for _ in pipeline.run(graph, job.target.finishing):
        pass
    return Compiled(graph, manifest, report)


def _original(job: Job, source: Marked | Lowered) -> Lowered | None:
    """Return what the result is held against where there is no module.

    Of a file that is lowered already, it is the file; of a marked one, its portable form, where
    the target is another.
    """
    if isinstance(source, Lowered):
        return dataclasses.replace(source, graph=source.graph.clone())
    if not isinstance(job.model, (str, Path)) or job.target.legalising is None:
        return None
    graph = source.graph.clone()
    for _ in pipeline.run(graph, ort.passes()):
        pass
    manifest = manifest_from_model(graph, source.knobs, "onnx")
    return Lowered(graph, source.knobs, manifest, str(job.model))


def _graph_for(target: Target, graph: ir.Model, changing: Passes, progress: Progress) -> ir.Model:
    """Return what the target makes of a graph."""
    count = len(changing) + len(target.checking)
    steps = itertools.count(1)
    for step in pipeline.run(graph, changing):
        progress(step.name, next(steps), count)
    graph = target.surgery(graph)
    for step in pipeline.run(graph, target.checking):
        progress(step.name, next(steps), count)
    return graph


def _with_reports(target: Target, graph: ir.Model, manifest: Manifest) -> Manifest:
    """Let a finished graph report its decisions, and see that its target takes that too."""
    reports = report_decisions(graph, manifest.decisions)
    for _ in pipeline.run(graph, target.checking):
        pass
    return dataclasses.replace(manifest, telemetry=reports)


def _forming(job: Job, source: Marked | Lowered) -> Passes:
    """Return the passes that bring a source into the form of the target."""
    if isinstance(source, Marked):
        return job.target.lowering(job.budgets)
    if job.budgets != "auto":
        raise InputError(
            "its channel budgets are lowered already.",
            where=source.where,
            remedy="Leave the way to lower them out, or give the marked file.",
        )
    if source.manifest.target == job.target.name:
        return ()
    assert job.target.legalising is not None, "other lowered files are refused when they are read"
    return job.target.legalising


def _halving(job: Job, source: Marked | Lowered) -> Passes:
    is_half = isinstance(source, Lowered) and source.manifest.precision == _HALF
    return job.target.halving or () if job.fp16 and not is_half else ()


def _manifest(job: Job, source: Marked | Lowered, graph: ir.Model, *, is_changed: bool) -> Manifest:
    manifest = manifest_from_model(graph, source.knobs, job.target.name)
    if isinstance(source, Lowered):  # the notes on budgets are in its manifest
        manifest = dataclasses.replace(manifest, budgets=source.manifest.budgets)
        if not is_changed:  # costs were read from types, which a finished file leaves out
            manifest = dataclasses.replace(
                manifest,
                decisions=source.manifest.decisions,
                precision=source.manifest.precision,
            )
    return dataclasses.replace(manifest, precision=_HALF) if job.fp16 else manifest
