"""Measure an artifact on this machine: path by path, deciding for itself, and part by part."""

from __future__ import annotations

__all__ = ["bench"]

import datetime as dt
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import onnx_ir as ir

from dyncompile import artifact
from dyncompile.errors import ArtifactError, InputError
from dyncompile.knobs import Threshold
from dyncompile.machine import describe_machine
from dyncompile.manifest import Manifest, no_manifest
from dyncompile.measuring.against import Against, find_against
from dyncompile.measuring.data import draw_data, read_data
from dyncompile.measuring.findings import DEAREST, SCORED, STATIC, Findings
from dyncompile.measuring.forced import Measured
from dyncompile.measuring.observed import observed_values
from dyncompile.measuring.points import Sweeps, has_range, measured_points
from dyncompile.measuring.routes import Routes, find_routes
from dyncompile.measuring.setups import measure_setup, read_setups
from dyncompile.passes.decision_values import following
from dyncompile.passes.drop_reports import drop_reports
from dyncompile.progress import Progress, untold
from dyncompile.samples import data_inputs

if TYPE_CHECKING:
    from torch import nn


SECONDS = 0.3
DRAWN = 32


def bench(  # noqa: PLR0913 - one entry point, every option by name
    path: str | Path,
    *,
    against: nn.Module | str | Path | None = None,
    weights: str | Path | None = None,
    data: str | Path | None = None,
    labels: str | None = None,
    logits: str | None = None,
    limit: int | None = None,
    sweeps: Sweeps | None = None,
    threads: Sequence[int] = (1,),
    providers: Sequence[str] = ("CPUExecutionProvider",),
    seconds: float = SECONDS,
    compiled: bool = True,
    progress: Progress | None = None,
) -> Findings:
    """Measure an artifact on this machine.

    Every path is forced and timed in turns with the static network of that path; the artifact
    runs on the samples and decides for itself, at several settings of its knobs; and ONNX
    Runtime's profiler says where the time goes. What is timed together computes the same, or
    nothing is reported. Latencies of free runs are kept as by ``Net.calibrate``.

    Args:
        path: What ``export`` wrote.
        against: The PyTorch model it was made from, or ``module.py:factory`` that builds it:
            static networks come from there, and the model itself runs in PyTorch, exported
            dense, and compiled. Or another ONNX file with the same inputs. Left out, static
            networks come from the artifact.
        weights: State dict of the model that a factory builds.
        data: An .npz with one array per input, one row per sample, and perhaps labels and
            ``classes``, the names of the classes; drawn noise when left out.
        labels: Name of the labels; the only array of whole numbers left over when left out.
        logits: The output that scores the classes; the only float output ``[1, C]`` when left
            out.
        limit: How many samples to run, spread evenly over the data; all when left out.
        sweeps: Knob to values, each tried with the other knobs at their defaults, instead of
            nine values over the range of a threshold (between the scores of the samples where
            it has none) and the levels of the manifest.
        threads: Numbers of threads; everything is measured with each.
        providers: Execution providers; everything is measured with each.
        seconds: Time for each path, and for each setting of the knobs.
        compiled: Whether ``torch.compile`` is tried; it may take a minute.
        progress: Called with a step's name, what is done and what there is to do.

    Returns:
        What was found.

    Raises:
        VerificationError: the artifact and something it is measured against disagree.
        DyncompileError: a file or an option does not fit.
    """
    file = Path(path)
    model, manifest = _read(file)
    setups = read_setups(threads, providers)
    _check_positive(seconds, limit)
    _check_names(model, data, labels, logits)
    inputs, is_dynamic = data_inputs(model, manifest.knobs, str(file))
    found = (
        draw_data(inputs, min(limit or DRAWN, DRAWN))
        if data is None
        else read_data(Path(data), inputs, any_size=is_dynamic, labels=labels, limit=limit)
    )
    sweeps = sweeps or {}
    unbounded = [n for n, k in manifest.knobs.items() if n not in sweeps and not has_range(k)]
    observed = observed_values(model, manifest, found.samples, unbounded)
    points = measured_points(manifest.knobs, manifest.operating_points, sweeps, observed)
    thresholds = [name for name, k in manifest.knobs.items() if isinstance(k, Threshold)]
    settings = measured_points(
        manifest.knobs, manifest.operating_points, dict.fromkeys(thresholds, ())
    )
    say = progress or untold
    with ExitStack() as stack:
        say("read", 0, 1)
        others = find_against(
            against,
            None if weights is None else Path(weights),
            (model, manifest),
            found.samples[0],
            stack,
            compiled=compiled,
        )
        routes = find_routes(model, manifest, settings, others.markers)
        by_knobs = following(model, manifest.decisions, manifest.knobs)
        reports = tuple(manifest.telemetry.values())
        measured = Measured(model, manifest, found.samples, seconds, say, reports)
        done, notes = [], []
        for setup in setups:
            result, left_out = measure_setup(
                file, measured, found, setup, (points, routes, others), logits
            )
            done.append(result)
            notes += left_out
    external = manifest.external_data.bytes if manifest.external_data else 0
    return Findings(
        artifact=file.name,
        artifact_bytes=file.stat().st_size + external,
        machine=describe_machine(),
        date=dt.datetime.now(tz=dt.UTC).date().isoformat(),
        decisions=manifest.decisions,
        by_data=len(by_knobs) < len(manifest.decisions),
        complete=routes.complete,
        data=found.file,
        classes=found.named_classes,
        setups=tuple(done),
        others=_words(others, done[0].others),
        notes=tuple(dict.fromkeys([*found.notes, *_notes(manifest, routes, unbounded), *notes])),
    )


def _read(file: Path) -> tuple[ir.Model, Manifest]:
    model, manifest = artifact.read(file)
    if manifest is None:
        raise no_manifest(str(file))
    if manifest.target == "marked":
        raise ArtifactError(
            "a marked file is dense: it has no paths to measure.",
            where=str(file),
            remedy="Export it with target 'onnx' first.",
        )
    for name in manifest.knobs:  # a default would keep it from being fed
        model.graph.initializers.pop(name, None)
    drop_reports(model, manifest.telemetry.values())
    return model, manifest


def _check_positive(seconds: float, limit: int | None) -> None:
    if not 0 < seconds < float("inf"):
        raise InputError(f"{seconds} is no time.", where="seconds", remedy="Give more than 0.")
    if limit is not None and limit < 1:
        raise InputError(f"{limit} samples are none.", where="limit", remedy="Give 1 or more.")


def _check_names(
    model: ir.Model, data: str | Path | None, labels: str | None, logits: str | None
) -> None:
    if data is None and labels is not None:
        raise InputError(
            "there is no data to hold them.",
            where=f"--labels {labels}",
            remedy="Leave this out, or give --data.",
        )
    outputs = [str(value.name) for value in model.graph.outputs]
    if logits is not None and logits not in outputs:
        raise InputError(
            f"the network has no output {logits!r}; it has {', '.join(outputs)}.",
            where="--logits",
            remedy="Name the one that scores the classes.",
        )


def _words(others: Against, ran: Mapping[str, object]) -> dict[str, str]:
    words = {
        STATIC: others.statics.words,
        SCORED: "the same, and the scores that its decisions need",
    }
    if DEAREST in ran:
        words[DEAREST] = "that of the forced path with most work, on all samples"
    return words | {peer.label: peer.words for peer in others.peers if peer.label in ran}


def _notes(manifest: Manifest, routes: Routes, unbounded: Sequence[str]) -> list[str]:
    notes = []
    if not manifest.decisions:
        notes.append("It decides nothing at run time: there is one path.")
    if routes.free:
        names = ", ".join(routes.free)
        notes.append(f"Not forced, being decided without a marker or inside of a loop: {names}.")
    if not routes.complete:
        notes.append(
            f"{len(routes.routes)} paths were forced, which take every decision every way; there"
            " are more."
        )
    notes += (
        f"The knob {name!r} has no range: it ran at its default, at both infinities, and between"
        f" scores that the samples have; --sweep {name}=... gives other values."
        for name in unbounded
    )
    return notes
