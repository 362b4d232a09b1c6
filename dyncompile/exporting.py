"""From a trained module, or a marked file, to an artifact."""

from __future__ import annotations

__all__ = ["export"]

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import onnx_ir as ir
from numpy.typing import NDArray

from dyncompile import artifact, pipeline
from dyncompile.describe import manifest_from_model
from dyncompile.dialect import attach_functions, detach_functions
from dyncompile.errors import ArtifactError, InputError, KnobError
from dyncompile.files import check_writable
from dyncompile.knobs import Knob, Levels, Threshold
from dyncompile.manifest import Manifest
from dyncompile.passes import DefaultKnobs
from dyncompile.passes.specialise_levels import LOWERINGS, Lowering
from dyncompile.progress import Progress, untold
from dyncompile.targets import ort

if TYPE_CHECKING:
    from torch import Tensor, nn

    from dyncompile.binding import Example
    from dyncompile.verify import Report

Sample = Mapping[str, "NDArray[Any] | Tensor"]
Samples = Sample | Sequence[Sample]

_KNOBS_REMEDY = 'Write it as {"t": Threshold(0.5)} or {"level": Levels((0.5, 1))}.'


def export(  # noqa: PLR0913, PLR0917 - one entry point, every option by name
    model: nn.Module | str | Path,
    example_inputs: Sequence[Example] | Mapping[str, Example] | Tensor | None,
    path: str | Path,
    knobs: Mapping[str, Knob] | None = None,
    target: Literal["onnx", "marked"] = "onnx",
    dynamic_shapes: Mapping[str, Any] | Sequence[Any] | None = None,
    samples: Samples | None = None,
    verify: bool = True,
    *,
    budgets: Lowering = "auto",
    default_knobs: bool = False,
    external_data: bool | None = None,
    progress: Progress | None = None,
) -> Report | None:
    """Compile a dynamic network to one file, and prove it equal to the model.

    Args:
        model: The module, or the path of a marked file written by ``target="marked"``.
        example_inputs: Inputs of ``forward`` without the knobs, in order or by name; the batch
            is 1 where a decision is per sample. None for a marked file.
        path: Where the artifact goes.
        knobs: Parameters of ``forward`` that scale the network at run time. The model's
            ``knobs`` attribute is read first; entries given here override it.
        target: ``onnx`` for ONNX Runtime, ``marked`` for the compiler's own input: dense,
            runnable, and compiled later without torch.
        dynamic_shapes: As for ``torch.export.export``, for the inputs that are not knobs.
        samples: Inputs for verification, as arrays or tensors: by name, with one more leading
            axis than the inputs (one entry per sample), or a list of inputs by name. Seeded
            noise if None.
        verify: Whether to hold the artifact against the module before it is written.
        budgets: How channel budgets become less work: ``switch`` is one network per level, all
            cut from the same weights, ``slice`` one network whose weights are cut in each call;
            ``auto`` chooses by size and speed. A marked file has them as they are.
        default_knobs: Give knobs a default initializer, so that ONNX Runtime runs the file
            without feeding them.
        external_data: Whether weights go to a second file; None decides by size.
        progress: Called with a step's name, what is done and what there is to do.

    Returns:
        What verification saw; None if it was not asked for, or for a marked file, which has
        no module to be held against.

    Raises:
        DyncompileError: the model cannot be captured or lowered, does not agree with the
            artifact, or the file cannot be written. Nothing is written then.
    """
    report_progress = progress or untold
    path = Path(path)
    check_writable(path)
    _check_lowering(budgets)
    graph, known = _marked_graph(model, example_inputs, knobs, dynamic_shapes, report_progress)
    if target == "onnx":
        passes = ort.passes(budgets)
        for number, step in enumerate(pipeline.run(graph, passes), 1):
            report_progress(step.name, number, len(passes))
    manifest = manifest_from_model(graph, known, target)
    if target == "marked":
        attach_functions(graph)
    report = None
    if verify and not isinstance(model, (str, Path)):
        report = _verify(graph, manifest, model, example_inputs, samples, report_progress)
    if target == "onnx":
        for _ in pipeline.run(graph, ort.FINISHING):
            pass
    if default_knobs:
        DefaultKnobs(tuple(known.items()))(graph)
    artifact.write(graph, manifest, path, external_data=external_data)
    return report


def _check_lowering(budgets: str) -> None:
    if budgets not in LOWERINGS:
        *most, last = map(repr, LOWERINGS)
        raise InputError(
            f"{budgets!r} is no way to lower channel budgets.",
            where="budgets",
            remedy=f"Give {', '.join(most)} or {last}.",
        )


def _marked_graph(
    model: nn.Module | str | Path,
    example_inputs: Sequence[Example] | Mapping[str, Example] | Tensor | None,
    knobs: Mapping[str, Knob] | None,
    dynamic_shapes: Mapping[str, Any] | Sequence[Any] | None,
    progress: Progress,
) -> tuple[ir.Model, dict[str, Knob]]:
    """Return the compiler's input, captured or read, and the knobs it has."""
    if isinstance(model, (str, Path)):
        graph, given = _read_marked(Path(model))
        return graph, {**given, **_checked(knobs, "knobs")}
    from dyncompile.capture import capture_model

    declared = _checked(getattr(model, "knobs", None), f"{type(model).__name__}.knobs")
    known = {**declared, **_checked(knobs, "knobs")}
    progress("capture", 0, 1)
    inputs = () if example_inputs is None else example_inputs
    graph = capture_model(model, inputs, known, dynamic_shapes)
    progress("capture", 1, 1)
    return graph, known


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


def _read_marked(path: Path) -> tuple[ir.Model, Mapping[str, Knob]]:
    model, manifest = artifact.read(path)
    if manifest is None:
        raise ArtifactError(
            "this ONNX file was not written by dyncompile.",
            where=str(path),
            remedy="Give a module, or a file written with target 'marked'.",
        )
    if manifest.target != "marked":
        raise ArtifactError(
            "this file is already lowered, and its decisions cannot be turned back.",
            where=str(path),
            remedy="Give the marked file.",
        )
    detach_functions(model)
    return model, manifest.knobs


def _verify(
    graph: ir.Model,
    manifest: Manifest,
    model: nn.Module,
    example_inputs: Any,  # noqa: ANN401
    samples: Samples | None,
    progress: Progress,
) -> Report:
    from dyncompile import verify
    from dyncompile.binding import bind_inputs
    from dyncompile.examples import sample_arrays
    from dyncompile.samples import split_samples

    bound = bind_inputs(model, () if example_inputs is None else example_inputs, manifest.knobs)
    example = {n: v.cpu().numpy() for n, v in bound.items() if n not in manifest.knobs}
    if samples is None:
        chosen = verify.draw_samples(example)
    elif isinstance(samples, Mapping):
        arrays = sample_arrays(samples, "samples")
        chosen = split_samples(arrays, example, "samples", any_size=True)
    else:
        chosen = [sample_arrays(sample, f"sample {n}") for n, sample in enumerate(samples)]
    return verify.verify(graph, manifest, model, chosen, progress=progress)
