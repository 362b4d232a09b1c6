"""Make ONNX files faster that other tools made."""

from __future__ import annotations

__all__ = ["Optimization", "optimize"]

import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import onnx_ir as ir

from dyncompile import artifact, pipeline
from dyncompile.describe import manifest_from_model
from dyncompile.errors import ArtifactError
from dyncompile.files import check_writable, replacing
from dyncompile.optimizing.feeding import Samples, feeds_for
from dyncompile.optimizing.foreign import read_foreign
from dyncompile.optimizing.gains import Gains
from dyncompile.optimizing.proving import Proof, prove
from dyncompile.optimizing.rewriting import rewrite
from dyncompile.passes import NameUniquely
from dyncompile.progress import Progress, untold
from dyncompile.samples import InputSpec
from dyncompile.targets import ort


@dataclass(frozen=True)
class Optimization:
    """What became of a file.

    Attributes:
        changed: Whether there was anything to win; if not, the output is a copy of the source.
        gains: What changed, and what it should win.
        decisions: The decisions that the result takes, by name.
        sizes: Bytes of the source and of the output, weights in other files left out.
        proof: What the comparison saw; None if it was not asked for, or nothing changed.
        overridable: Weights that are inputs with a default value, and so were left alone.
    """

    changed: bool
    gains: Gains
    decisions: tuple[str, ...]
    sizes: tuple[int, int]
    proof: Proof | None
    overridable: tuple[str, ...]


def optimize(  # noqa: PLR0913 - one entry point, every option by name
    source: str | Path,
    output: str | Path,
    *,
    samples: Samples | None = None,
    inputs: Sequence[InputSpec] = (),
    verify: bool = True,
    custom_ops: Sequence[str | Path] = (),
    fold_defaults: bool = False,
    external_data: bool | None = None,
    progress: Progress | None = None,
) -> Optimization:
    """Rewrite the control flow of an ONNX file so that ONNX Runtime skips more and runs faster.

    Weights move into the branches that use them, Ifs on equal conditions become one, work that
    only one branch needs moves there, and selections by a decision (``Where``, ``f * mask``)
    become branches if work can be skipped. The inputs and outputs stay as they are. The
    decisions get a manifest, so that the result can be loaded, inspected and timed.

    Args:
        source: The file; only read, unless it is the output too.
        output: Where the result goes, whole or not at all.
        samples: Inputs to compare with: by name, with one more leading axis (one entry per
            sample), or a list of inputs by name. Seeded noise if None.
        inputs: How to draw inputs whose type or shape the file does not fix.
        verify: Whether to compare the numbers of both in ONNX Runtime before anything is
            written: freely, and along forced paths.
        custom_ops: Libraries of operators that ONNX Runtime does not have.
        fold_defaults: Whether inputs with a default value become constants, so that weights
            that are inputs too can be placed.
        external_data: Whether weights go to a second file; None decides by size.
        progress: Called with a step's name, what is done and what there is to do.

    Returns:
        What changed, what it should win, and what the comparison saw.

    Raises:
        DyncompileError: the file cannot be read, is no foreign ONNX file, does not run on the
            inputs, or the numbers differ. Nothing is written then.
    """
    source, output = Path(source), Path(output)
    check_writable(output)
    tell = progress or untold
    model, is_inlined = read_foreign(source, fold_defaults=fold_defaults)
    _keep_weights_of(source, model, output)
    NameUniquely()(model)  # decisions are named after the nodes of the original
    original = model
    for passes in ort.FOREIGN, ort.FOREIGN_AS_IT_IS, ort.WEIGHTS:
        model = original.clone()
        gains = rewrite(model, passes, tell)
        if gains.is_lazy:
            break
    for old, new in zip(original.graph.outputs, model.graph.outputs, strict=True):
        new.type, new.shape = old.type, old.shape
    overridable = tuple(str(v.name) for v in model.graph.inputs if v.is_initializer())
    if not gains.any:
        _copy(source, original, output)
        size = output.stat().st_size
        return Optimization(False, gains, (), (source.stat().st_size, size), None, overridable)
    manifest = manifest_from_model(model, {}, "onnx")
    for _ in pipeline.run(model, ort.FINISHING):
        pass
    proof = None
    if verify:
        feeds = feeds_for(original, samples, inputs, str(source))
        libraries = [Path(library) for library in custom_ops]
        pair = original, model.clone()
        file = source if is_inlined else None
        proof = prove(
            *pair,
            manifest,
            feeds,
            file,
            drawn=samples is None,
            custom_ops=libraries,
            progress=tell,
        )
    before = source.stat().st_size
    artifact.write(model, manifest, output, external_data=external_data, keep_notes=True)
    return Optimization(
        changed=True,
        gains=gains,
        decisions=tuple(decision.name for decision in manifest.decisions),
        sizes=(before, output.stat().st_size),
        proof=proof,
        overridable=overridable,
    )


def _weight_files(model: ir.Model) -> set[str]:
    return {
        str(value.const_value.location)
        for graph in model.graphs()
        for value in graph.initializers.values()
        if isinstance(value.const_value, ir.ExternalTensor)
    }


def _keep_weights_of(source: Path, model: ir.Model, output: Path) -> None:
    """Refuse an output whose weights would take the place of those of the source."""
    data = output.with_name(f"{output.name}.data")
    if not data.exists() or (output.exists() and output.samefile(source)):
        return
    if any(data.samefile(source.parent / name) for name in _weight_files(model)):
        raise ArtifactError(
            f"the weights of {source.name} are in a file of this name.",
            where=str(data),
            remedy="Give the output another name.",
        )


def _copy(source: Path, model: ir.Model, output: Path) -> None:
    """Copy a file, and the files beside it that hold its weights."""
    if output.exists() and output.samefile(source):
        return
    beside = _weight_files(model)
    with ExitStack() as stack:
        copies = [(source, output)]
        copies += [(source.parent / name, output.parent / name) for name in sorted(beside)]
        for old, new in copies:
            if new.exists() and new.samefile(old):
                continue
            if new.exists() and new != output:
                raise ArtifactError(
                    "a file of that name is there already.",
                    where=str(new),
                    remedy="The weights have to be copied too: write to another folder.",
                )
            with old.open("rb") as given:
                shutil.copyfileobj(given, stack.enter_context(replacing(new)))
