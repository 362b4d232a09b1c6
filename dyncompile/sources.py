"""What networks come from: a module, a marked file, or a file that is lowered already."""

from __future__ import annotations

__all__ = ["Lowered", "Marked", "read_source"]

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import onnx_ir as ir

from dyncompile import artifact
from dyncompile.describe import manifest_from_model
from dyncompile.dialect import detach_functions
from dyncompile.errors import ArtifactError, InputError, KnobError
from dyncompile.jobs import Job
from dyncompile.knobs import Knob, Levels, Threshold
from dyncompile.manifest import Manifest
from dyncompile.optimizing.foreign import read_foreign
from dyncompile.passes import NameUniquely, NoteDecisions
from dyncompile.passes.drop_input_defaults import DropInputDefaults
from dyncompile.passes.drop_reports import drop_reports
from dyncompile.progress import Progress
from dyncompile.targets.target import Target

_MOST_VALUES = 64  # of an input that is no weight
_KNOBS_REMEDY = 'Write it as {"t": Threshold(0.5)} or {"level": Levels((0.5, 1))}.'


@dataclass(frozen=True)
class Marked:
    """A marked graph, captured or read, and its knobs."""

    graph: ir.Model
    knobs: dict[str, Knob]


@dataclass(frozen=True)
class Lowered:
    """A graph whose decisions are control flow, and what is known of it.

    Attributes:
        graph: As it was read, with notes of its decisions, and without reports of them.
        knobs: Those of its manifest, or as they were given.
        manifest: Its own; of a file made elsewhere, what its notes say.
        where: The file.
    """

    graph: ir.Model
    knobs: dict[str, Knob]
    manifest: Manifest
    where: str


def read_source(job: Job, progress: Progress) -> Marked | Lowered:
    """Capture a module, or read a file.

    Raises:
        DyncompileError: it cannot be captured or read, it is lowered already and the target
            does not take such files, or what is given as knobs are none.
    """
    given = _checked(job.knobs, "knobs")
    if isinstance(job.model, (str, Path)):
        return _read(Path(job.model), given, job.target)
    from dyncompile.capture import capture_model

    declared = _checked(getattr(job.model, "knobs", None), f"{type(job.model).__name__}.knobs")
    known = {**declared, **given}
    progress("capture", 0, 1)
    inputs = () if job.example_inputs is None else job.example_inputs
    graph = capture_model(job.model, inputs, known, job.dynamic_shapes)
    progress("capture", 1, 1)
    return Marked(graph, known)


def _read(path: Path, given: Mapping[str, Knob], target: Target) -> Marked | Lowered:
    graph, manifest = artifact.read(path)
    if manifest is not None and manifest.target == "marked":
        detach_functions(graph)
        return Marked(graph, {**manifest.knobs, **given})
    if target.legalising is None:
        raise _refused(path, manifest)
    if manifest is None:
        return _foreign(path, given)
    DropInputDefaults()(graph)
    drop_reports(graph, manifest.telemetry.values())
    return Lowered(graph, {**manifest.knobs, **given}, manifest, str(path))


def _foreign(path: Path, given: Mapping[str, Knob]) -> Lowered:
    graph, _ = read_foreign(path)
    weight = next((v for v in graph.graph.inputs if _is_weight(v)), None)
    if weight is not None:
        raise InputError(
            f"the weight {weight.name!r} is an input with a default value, and would be an input"
            " of the engine.",
            where=str(path),
            remedy="Export it again without weights as inputs, or let dyncompile optimize"
            " --fold-defaults make constants of them.",
        )
    for rewrite in DropInputDefaults(), NameUniquely(), NoteDecisions():
        rewrite(graph)
    return Lowered(graph, dict(given), manifest_from_model(graph, given, "onnx"), str(path))


def _is_weight(value: ir.Value) -> bool:
    tensor = value.const_value if value.is_initializer() else None
    return tensor is not None and tensor.size > _MOST_VALUES


def _refused(path: Path, manifest: Manifest | None) -> ArtifactError:
    if manifest is None:
        return ArtifactError(
            "this ONNX file was not written by dyncompile.",
            where=str(path),
            remedy="Give a module, or a file written with target 'marked'.",
        )
    return ArtifactError(
        "this file is already lowered, and its decisions cannot be turned back.",
        where=str(path),
        remedy="Give the marked file.",
    )


def _checked(knobs: object, where: str) -> dict[str, Knob]:
    """Return knobs by name; None is none."""
    if knobs is None:
        return {}
    if not isinstance(knobs, Mapping):
        raise KnobError(
            f"this is {type(knobs).__name__}, not a dict of knobs by name.",
            where=where,
            remedy=_KNOBS_REMEDY,
        )
    for name, knob in knobs.items():
        if not isinstance(name, str) or not isinstance(knob, Levels | Threshold):
            raise KnobError(
                f"{knob!r} is not a knob.", where=f"{where}[{name!r}]", remedy=_KNOBS_REMEDY
            )
    return dict(knobs)
