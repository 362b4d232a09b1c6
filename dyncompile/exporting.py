"""From a trained module, or a marked file, to an artifact."""

from __future__ import annotations

__all__ = ["export"]

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dyncompile import artifact
from dyncompile.compiling import compiled
from dyncompile.errors import InputError
from dyncompile.files import check_writable
from dyncompile.jobs import Job, Samples
from dyncompile.knobs import Knob
from dyncompile.manifest import TargetName
from dyncompile.passes import DefaultKnobs
from dyncompile.passes.specialise_levels import Lowering
from dyncompile.progress import Progress, untold
from dyncompile.targets.known import target_named

if TYPE_CHECKING:
    from torch import Tensor, nn

    from dyncompile.binding import Example
    from dyncompile.verify import Report


def export(  # noqa: PLR0913, PLR0917 - one entry point, every option by name
    model: nn.Module | str | Path,
    example_inputs: Sequence[Example] | Mapping[str, Example] | Tensor | None,
    path: str | Path,
    knobs: Mapping[str, Knob] | None = None,
    target: TargetName = "onnx",
    dynamic_shapes: Mapping[str, Any] | Sequence[Any] | None = None,
    samples: Samples | None = None,
    verify: bool = True,
    *,
    fp16: bool = False,
    budgets: Lowering = "auto",
    default_knobs: bool = False,
    external_data: bool | None = None,
    telemetry: bool = False,
    progress: Progress | None = None,
) -> Report | None:
    """Compile a dynamic network to one file, and prove it equal to the model.

    Args:
        model: The module, or the path of a marked file written by ``target="marked"``. For
            TensorRT also that of a lowered file, ours or another's.
        example_inputs: Inputs of ``forward`` without the knobs, in order or by name; the batch
            is 1 where a decision is per sample. None for a marked file; of a lowered one, those
            that the file alone does not say how to draw.
        path: Where the artifact goes.
        knobs: Parameters of ``forward`` that scale the network at run time. The model's
            ``knobs`` attribute is read first; entries given here override it.
        target: ``onnx`` for ONNX Runtime; ``tensorrt`` for TensorRT and TensorRT for RTX, the
            file that ``build`` makes engines of; ``marked`` for the compiler's own input: dense,
            runnable, and compiled later without torch.
        dynamic_shapes: As for ``torch.export.export``, for the inputs that are not knobs.
        samples: Inputs for verification, as arrays or tensors: by name, with one more leading
            axis than the inputs (one entry per sample), or a list of inputs by name. Seeded
            noise if None.
        verify: Whether to hold the artifact against the module, or the lowered file, before it
            is written.
        fp16: Whether arithmetic becomes float16, by casts in the graph; inputs and outputs stay
            as they are. For target ``tensorrt``.
        budgets: How channel budgets become less work: ``switch`` is one network per level, all
            cut from the same weights; ``slice`` (ONNX Runtime) one network whose weights are cut
            in each call; ``chain`` (TensorRT) what each level adds to the one before; ``auto``
            chooses by size and speed. A marked file has them as they are.
        default_knobs: Give knobs a default initializer, so that ONNX Runtime runs the file
            without feeding them.
        external_data: Whether weights go to a second file; None decides by size.
        telemetry: Whether the file has one further output per decision, ``<decision>.option``,
            that reports the option each call takes. A lowered file that has them keeps them.
        progress: Called with a step's name, what is done and what there is to do.

    Returns:
        What verification saw; None if it was not asked for, or there is nothing to hold the
        result against: of a marked file for ONNX Runtime, and a file that is in form already.

    Raises:
        DyncompileError: the model cannot be captured or lowered, does not agree with the
            artifact, or the file cannot be written. Nothing is written then.
    """
    path = Path(path)
    check_writable(path)
    chosen = target_named(target)
    if default_knobs and not chosen.keeps_defaults:
        raise InputError(
            "an input with a default value is a constant to TensorRT.",
            where="default_knobs",
            remedy="Leave it out, and feed the knobs.",
        )
    job = Job(
        model,
        example_inputs,
        knobs,
        dynamic_shapes,
        samples,
        verify=verify,
        target=chosen,
        budgets=budgets,
        fp16=fp16,
        telemetry=telemetry,
    )
    made = compiled(job, progress or untold)
    if default_knobs:
        DefaultKnobs(tuple(made.manifest.knobs.items()))(made.graph)
    artifact.write(made.graph, made.manifest, path, external_data=external_data)
    return made.report
