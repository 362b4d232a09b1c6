"""From a network to an engine: ``dyncompile.build``."""

from __future__ import annotations

__all__ = ["BuildReport", "build"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dyncompile import artifact
from dyncompile.compiling import Compiled, compiled
from dyncompile.engine_file import SUFFIX, Engine, description_path, write_engine
from dyncompile.engines.arguments import (
    check_apart,
    check_limits,
    free_sizes,
    given_chips,
    given_ranges,
)
from dyncompile.engines.flavors import Asked, Choice, choose_flavor
from dyncompile.engines.laziness import lazy_nodes
from dyncompile.engines.process import run_build
from dyncompile.engines.profiles import ranges
from dyncompile.engines.request import BuildRequest, BuildResult, ShapeRange
from dyncompile.errors import InputError, TargetError
from dyncompile.files import check_writable, temporary_folder
from dyncompile.jobs import Job, Samples
from dyncompile.knobs import Knob
from dyncompile.passes.specialise_levels import Lowering
from dyncompile.progress import Progress, untold
from dyncompile.targets.known import target_named
from dyncompile.targets.trt.passes import tailoring

if TYPE_CHECKING:
    from torch import Tensor, nn

    from dyncompile.binding import Example
    from dyncompile.verify import Report

_MODEL = "net.onnx"
_REFUSED = "does not build the network"
_NO_ROOM = "Free some space, or name a folder with room in TMPDIR."
_FREE_SIZES = (
    "TensorRT for RTX 1.7 does not build branches inside of branches where sizes are free, and"
    " these could not be put after each other: build one size per engine (one shape for all"
    " three), or with --flavor tensorrt."
)


@dataclass(frozen=True)
class BuildReport:
    """What became of a network; whoever holds one holds an engine on disk.

    Attributes:
        engine: What its description says.
        why: Why it was built with this flavor, as a sentence.
        verification: What was seen when the graph, before it was built, was held against its
            source in ONNX Runtime; None if it was not asked for, or there was nothing to hold
            it against.
        built: What the builder says.
        lazy: How many layers were seen to run only if their branch is taken.
    """

    engine: Engine
    why: str
    verification: Report | None
    built: BuildResult
    lazy: int


def build(  # noqa: PLR0913 - one entry point, every option by name
    model: nn.Module | str | Path,
    path: str | Path,
    example_inputs: Sequence[Example] | Mapping[str, Example] | Tensor | None = None,
    knobs: Mapping[str, Knob] | None = None,
    *,
    flavor: Asked = "auto",
    chips: str | Sequence[str] = (),
    fp16: bool = False,
    budgets: Lowering = "auto",
    shapes: Mapping[str, ShapeRange | Sequence[Sequence[int]]] | None = None,
    dynamic_shapes: Mapping[str, Any] | Sequence[Any] | None = None,
    telemetry: bool = False,
    samples: Samples | None = None,
    verify: bool = True,
    timeout: float | None = 1800.0,
    memory: int | None = None,
    timing_cache: str | Path | None = None,
    progress: Progress | None = None,
) -> BuildReport:
    """Compile a dynamic network to an engine of TensorRT that keeps its knobs.

    The graph that the builder gets is the one that ``export(..., target="tensorrt")`` writes.
    It is proved equal to its source in ONNX Runtime before it is built. The builder runs in a
    process of its own.

    Args:
        model: The module, or the path of a marked file, of a lowered one, ours or another's, or
            of one written for target ``tensorrt``.
        path: Where the engine goes; its description goes beside it, under this name and ``.json``.
        example_inputs: As for ``export``.
        knobs: As for ``export``.
        flavor: ``tensorrt``, which needs the GPU it builds for; ``tensorrt-rtx``, which needs
            none; ``auto`` is the one that can build here for these chips.
        chips: What to build for, as ``sm89``; none is the default of the builder.
        fp16: Whether arithmetic becomes float16; inputs and outputs stay as they are.
        budgets: How channel budgets are lowered: ``switch``, ``chain`` or ``auto``.
        shapes: Sizes of inputs with dynamic dimensions: for each the least, the best and the
            most, or one for all three. Of a module, the dimensions that differ become dynamic.
            For an integer input that sizes are computed from, its values.
        dynamic_shapes: As for ``export``, where ``shapes`` do not say enough.
        telemetry: As for ``export``; without it an engine does not report its decisions.
        samples: As for ``export``.
        verify: Whether to hold the graph against its source before it is built.
        timeout: Seconds that the builder may take; None waits.
        memory: Bytes that the builder may use as workspace on the GPU; None is its default.
        timing_cache: A file of measured times, read if it is there and written on success.
        progress: Called with a step's name, what is done and what there is to do.

    Returns:
        What was built, and what was seen.

    Raises:
        DyncompileError: no builder can build this, the network cannot be captured, lowered or
            verified, or a file cannot be written. Nothing is written then, and an engine that
            was there stays.
    """
    path, tell = Path(path), progress or untold
    cache = None if timing_cache is None else Path(timing_cache)
    written = [path, description_path(path), *([] if cache is None else [cache])]
    for file in written:
        check_writable(file)
    check_apart(model, written)
    if path.suffix != SUFFIX:
        raise InputError(
            f"the name of an engine ends in {SUFFIX}: load knows engines by it.",
            where=str(path),
            remedy=f"Write to {path.with_suffix(SUFFIX).name}.",
        )
    check_limits(timeout, memory)
    given = given_ranges(shapes)
    choice = choose_flavor(flavor, given_chips(chips))
    job = Job(
        model,
        example_inputs,
        knobs,
        dynamic_shapes or free_sizes(model, example_inputs, knobs, given),
        samples,
        verify=verify,
        target=replace(target_named("tensorrt"), tailoring=tailoring(choice.chips)),
        budgets=budgets,
        fp16=fp16,
        sizes={name: sizes.best for name, sizes in given.items()},
        telemetry=telemetry,
    )
    made = compiled(job, tell)
    sizes, values = ranges(made.graph, made.manifest, given)
    with temporary_folder() as folder:
        request = BuildRequest(
            flavor=choice.flavor,
            model=folder / _MODEL,
            plan=folder / "plan",
            chips=choice.chips,
            ranges=sizes,
            values=values,
            memory=memory,
            timing_cache=cache,
            lazy=lazy_nodes(made.graph),
        )
        artifact.write(made.graph, made.manifest, request.model)
        name = str(model) if isinstance(model, (str, Path)) else type(model).__name__
        built = _built(request, name, timeout, tell)
        engine = write_engine(path, request.plan, _engine(choice, made, built))
    seen = [n for n in request.lazy if {n.name, *n.ifs}.isdisjoint(built.untraced)]
    return BuildReport(engine, choice.why, made.report, built, len(seen))


def _built(request: BuildRequest, name: str, timeout: float | None, tell: Progress) -> BuildResult:
    try:
        return run_build(request, timeout=timeout, progress=tell)
    except TargetError as error:
        if error.where == str(request.plan.parent):
            place = str(request.plan.parent.parent)
            raise TargetError(error.problem, where=place, remedy=_NO_ROOM) from error
        if error.where != str(request.model):  # a file that is gone by now
            raise
        is_known = _REFUSED in error.problem and _nests_with_free_sizes(request)
        remedy = _FREE_SIZES if is_known else error.remedy
        raise TargetError(error.problem, where=name, remedy=remedy) from error


def _nests_with_free_sizes(request: BuildRequest) -> bool:
    """Whether this is what TensorRT for RTX 1.7 fails at, without saying so."""
    is_free = any(given.least != given.most for given in request.ranges)
    nests = any(len(node.ifs) > 1 for node in request.lazy)
    return request.flavor == "tensorrt-rtx" and is_free and nests


def _engine(choice: Choice, made: Compiled, built: BuildResult) -> Engine:
    inputs = {binding.name for binding in built.inputs}
    lost = [v.name for v in made.graph.graph.inputs if v.name not in inputs]
    if lost:
        role = "knob" if lost[0] in made.manifest.knobs else "input"
        raise TargetError(
            f"the builder made a constant of the {role} {lost[0]!r}.",
            where=f"{choice.flavor} {built.version}",
            remedy="Report this; nothing is written.",
        )
    return Engine(
        flavor=choice.flavor,
        version=built.version,
        chips=choice.chips,
        precision=made.manifest.precision,
        inputs=built.inputs,
        outputs=built.outputs,
        manifest=made.manifest,
    )
