"""Hold what was compiled against what it was compiled from."""

from __future__ import annotations

__all__ = ["report_on"]

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from dyncompile.errors import InputError
from dyncompile.file_reference import FileReference
from dyncompile.jobs import Job
from dyncompile.manifest import Manifest
from dyncompile.optimizing.feeding import draw_feeds, specs_for
from dyncompile.progress import Progress
from dyncompile.samples import InputSpec, split_samples
from dyncompile.sources import Lowered

if TYPE_CHECKING:
    from torch import nn

    from dyncompile.verify import Report

Array = NDArray[Any]
Feeds = Mapping[str, Array]


def report_on(
    graph: ir.Model, manifest: Manifest, job: Job, source: Lowered | None, progress: Progress
) -> Report | None:
    """Verify a graph; None if there is neither a module nor a file to hold it against.

    Args:
        graph: What was compiled.
        manifest: What goes with it.
        job: What there was to compile.
        source: A lowered file to hold it against, as it was before the first pass.
        progress: Called with what is done, how much of it, and how much there is.

    Raises:
        DyncompileError: they do not agree, or the samples do not fit.
    """
    from dyncompile.verify import verify

    if source is not None:
        with ExitStack() as stack:
            reference = FileReference(source.graph, source.manifest.decisions, stack)
            samples = list(_samples_of_file(job, source, reference))
            return verify(graph, manifest, reference, samples, progress=progress)
    if isinstance(job.model, (str, Path)):
        return None
    samples = _samples_of_module(job, job.model, manifest)
    return verify(graph, manifest, job.model, samples, progress=progress)


def _samples_of_module(job: Job, module: nn.Module, manifest: Manifest) -> list[Feeds]:
    from dyncompile.binding import bind_inputs
    from dyncompile.examples import sample_arrays
    from dyncompile.verify import draw_samples

    inputs = () if job.example_inputs is None else job.example_inputs
    bound = bind_inputs(module, inputs, manifest.knobs)
    example = {n: v.cpu().numpy() for n, v in bound.items() if n not in manifest.knobs}
    if job.samples is None:
        return [*draw_samples(example)]
    if isinstance(job.samples, Mapping):
        arrays = sample_arrays(job.samples, "samples")
        return [*split_samples(arrays, example, "samples", any_size=True)]
    return [sample_arrays(sample, f"sample {n}") for n, sample in enumerate(job.samples)]


def _samples_of_file(job: Job, source: Lowered, reference: FileReference) -> Iterator[Feeds]:
    """Yield the samples given, or drawn ones; of these those that the file takes."""
    given = _by_name(job.example_inputs, source)
    described = [InputSpec(name, array.dtype, array.shape) for name, array in given.items()]
    drawn_as = specs_for(source.graph, described, source.where, without=source.knobs)
    specs = [spec if spec.name in given else _sized(spec, job, source) for spec in drawn_as]
    if isinstance(job.samples, Mapping):
        arrays = {name: np.asarray(array) for name, array in job.samples.items()}
        example = {spec.name: np.zeros(spec.shape, spec.dtype) for spec in specs}
        yield from split_samples(arrays, example, "samples", any_size=True)
        return
    if job.samples is not None:
        for sample in job.samples:
            yield {name: np.asarray(array) for name, array in sample.items()}
        return
    knobs = {name: knob.array(name, None) for name, knob in source.knobs.items()}
    kept = {name: array for name, array in given.items() if array.dtype.kind != "f"}
    for number, feeds in enumerate(draw_feeds(specs)):
        drawn = {**feeds, **kept}
        try:
            reference.follow({**drawn, **knobs}, {}, f"sample {number}")
        except InputError:
            if not number:
                raise
        else:
            yield drawn


def _sized(spec: InputSpec, job: Job, source: Lowered) -> InputSpec:
    """Return how to draw an input, in the sizes asked for where the file leaves them free."""
    value = next(v for v in source.graph.graph.inputs if v.name == spec.name)
    wanted = job.sizes.get(spec.name, ())
    if value.shape is None or len(wanted) != len(value.shape):
        return spec
    both = zip(value.shape, wanted, strict=True)
    return replace(spec, shape=tuple(n if isinstance(n, int) else size for n, size in both))


def _by_name(given: Any, source: Lowered) -> dict[str, Array]:  # noqa: ANN401
    """Return examples of the inputs by name, as they were given by name or in order."""
    if given is None:
        return {}
    names = [str(v.name) for v in source.graph.graph.inputs if v.name not in source.knobs]
    if not isinstance(given, Mapping):
        several: Sequence[Any] = [given] if hasattr(given, "shape") else given
        given = dict(zip(names, several, strict=False))
    return {name: np.asarray(array) for name, array in given.items()}
