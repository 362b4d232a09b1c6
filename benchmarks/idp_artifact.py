"""The artifact at each level: what it says, what it computes, and how long it takes."""

from __future__ import annotations

__all__ = ["KEPT", "artifact_rows", "classes_of", "level_macs", "time_rows"]

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray
from torch import tensor

import dyncompile
from benchmarks.dgate_units import DENSE, LABELS, RIGHT, SAVED, TIME
from benchmarks.harness import STATIC, Bench, Row, feeds
from benchmarks.idp_compact import compact
from benchmarks.idp_levels import found_of
from benchmarks.idp_study import IDP, Study
from dyncompile import cost
from dyncompile.data import Images
from dyncompile.progress import Progress, untold

AGREE = "% agree in class"
AGREE_AT_LEAST = 99.9  # per cent: sums in another order may turn a tie
KEPT = "of its saving"
FILE = "x bytes"


def classes_of(
    artifact: Path, images: Images, level: int, progress: Progress = untold
) -> NDArray[np.int64]:
    """Return what the artifact says at a level, one call for each image."""
    net = dyncompile.load(artifact, threads=1)
    pixels = images.floats().numpy()
    said = []
    for number in range(len(pixels)):
        said.append(int(np.asarray(net(pixels[number : number + 1], level=level)).argmax()))
        progress("images", number + 1, len(pixels))
    return np.array(said, np.int64)


def level_macs(artifact: Path) -> list[int]:
    """Return the multiply-accumulates of a call at each level."""
    (decision,) = dyncompile.load(artifact).decisions
    paths = [{decision.name: option} for option in range(len(decision.sides))]
    return [side.macs for side in cost.along(ir.load(artifact), paths)]


def artifact_rows(study: Study) -> Iterator[Row]:
    """Return the rows of each level: how often it is right, PyTorch beside it, and its work."""
    name, net = _name(study), study.recalibrated(IDP)
    dense = found_of(study).dense_macs
    work = level_macs(study.artifact)
    for level, ratio in enumerate(study.plan.ratios):
        path = f"{ratio:g}"
        with study.bar(f"Artifact, level {level}") as bar:
            said = classes_of(study.artifact, study.data.test, level, bar)
        yield Row(name, LABELS, path, None, 100 * float(study.right(said).mean()), RIGHT)
        agree = 100 * float((said == study.classes_at(net, level)).mean())
        yield Row(name, "PyTorch", path, None, agree, AGREE, AGREE_AT_LEAST, at_least=True)
        yield Row(name, DENSE, path, None, 100 * (1 - work[level] / dense), SAVED)


def time_rows(study: Study, bench: Bench) -> Iterator[Row]:
    """Return the rows of each level: its time beside the static network of its own weights."""
    name, ratios = _name(study), [f"{ratio:g}" for ratio in study.plan.ratios]
    statics = _statics(study, replace(bench, folder=study.folder, made={}))
    x = study.data.test.floats(slice(1))
    ours = [(study.artifact, feeds(x=x, level=tensor(level))) for level in range(len(ratios))]
    runs = {_ours(path): run for path, run in zip(ratios, ours, strict=True)}
    runs |= {_static(path): (file, feeds(x=x)) for path, file in zip(ratios, statics, strict=True)}
    seen = bench.compare(runs, [[_static(path), _ours(path)] for path in ratios])
    dense = _static(ratios[-1])
    dense_us = seen.us(dense).median
    for path in ratios:
        ratio = seen.ratio(_ours(path), _static(path)).median
        yield Row(name, STATIC, path, seen.us(_static(path)).median, ratio)
        saved, would = (1 - seen.ratio(one(path), dense).median for one in (_ours, _static))
        yield Row(name, DENSE, path, dense_us, saved, TIME)
        kept = saved / would if would > 0 else None
        yield Row(name, STATIC, path, dense_us, kept, KEPT, note="it saves nothing")
    size = study.artifact.stat().st_size / statics[-1].stat().st_size
    yield Row(f"{name}: file", STATIC, "all levels", None, size, FILE)


def _statics(study: Study, bench: Bench) -> Sequence[Path]:
    net = study.recalibrated(IDP)
    return [
        bench.torch_file(f"static-level{level}", compact(net, level), study.example)
        for level in range(len(study.plan.ratios))
    ]


def _name(study: Study) -> str:
    return f"{study.plan.network}: artifact of IDP"


def _ours(path: str) -> str:
    return f"ours, {path}"


def _static(path: str) -> str:
    return f"static, {path}"
