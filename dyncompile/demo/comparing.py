"""Measure the artifact beside static networks of its paths, on the test images."""

from __future__ import annotations

__all__ = ["compare"]

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from onnxruntime import InferenceSession, SessionOptions

import dyncompile
from dyncompile.data import Images
from dyncompile.demo.network import ALL_BLOCKS, EXITS, DigitsNet, spell
from dyncompile.demo.results import Comparison, OperatingPoint, PathFound
from dyncompile.demo.static import StaticPath, export_static
from dyncompile.progress import Progress, untold
from dyncompile.timing import time_in_turns

THRESHOLDS = (0.5, 0.7, 0.9, 1.0)  # measured beside the chosen one
IMAGES_PER_TURN = 25
SECONDS_PER_TURN = 0.25
IMAGES_PER_PATH = 8
SECONDS_PER_IMAGE = 0.06

Image = NDArray[np.float32]
Network = Callable[[Image], Sequence[NDArray[np.float32]]]
Decisions = tuple[tuple[str, int], ...]


def compare(
    model: DigitsNet,
    artifact: Path,
    data: Images,
    static_folder: Path,
    *,
    most_paths: int = 6,
    progress: Progress = untold,
) -> Comparison:
    """Measure an artifact of the model beside static networks of its paths.

    Everything that is timed runs in ONNX Runtime on one thread, one image a call, in turns.

    Args:
        model: The network the artifact was exported from, at the threshold chosen for it.
        artifact: The exported file.
        data: The test images.
        static_folder: An existing folder, where the static networks are left for inspection.
        most_paths: How many paths to measure, most frequent first.
        progress: Called with what is done, how much of it and how much there is.
    """
    knob = model.knobs["threshold"].array("threshold")
    chosen = round(float(knob[0]), 2)
    images = data.floats()
    test = _Test([image[None] for image in images.numpy()], data.labels.numpy())
    statics = _Statics(model, static_folder, images[:1])
    runs = _run_freely(artifact, sorted({chosen, *THRESHOLDS}), test.images, progress)
    points, dense = _measure_points(artifact, runs, statics.open(ALL_BLOCKS), test, progress)
    paths = []
    frequent = Counter(runs[chosen].paths).most_common(most_paths)
    for path, _ in frequent:
        paths.append(_measure_path(path, _at(artifact, chosen), statics, runs[chosen], test))
        progress("latency of each path", len(paths), len(frequent))
    with torch.no_grad():
        eager = model(images, torch.from_numpy(knob)).argmax(1).numpy()
    agreeing = int((eager == runs[chosen].classes).sum())
    return Comparison(len(data), agreeing, chosen, points, dense, tuple(paths))


@dataclass(frozen=True)
class _Test:
    """The test set, as the networks are fed it."""

    images: list[Image]
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class _Run:
    """What the artifact did with each image: the class it gave, the decisions it met."""

    classes: NDArray[np.int64]
    paths: tuple[Decisions, ...]

    def leaving(self) -> tuple[float, ...]:
        """Return the share of the images that leave at each exit, and at the end."""
        left = [next((e for e in EXITS if (e, 1) in path), None) for path in self.paths]
        return tuple(left.count(place) / len(left) for place in (*EXITS, None))


@dataclass(frozen=True)
class _Statics:
    """Exports and opens the static networks."""

    model: DigitsNet
    folder: Path
    image: torch.Tensor

    def open(self, path: Mapping[str, int], *, scores: bool = False) -> Network:
        blocks, place = spell(path)
        name = f"{blocks.replace('-', 'x')}-{place}{'-scores' if scores else ''}"
        file = self.folder / f"{name.replace(' ', '')}.onnx"
        export_static(StaticPath(self.model, path, scores=scores), self.image, file)
        return _open(file)


def _at(artifact: Path, threshold: float) -> Network:
    return _open(artifact, threshold=np.full(len(EXITS), threshold, np.float32))


def _open(file: Path, **knobs: NDArray[np.float32]) -> Network:
    """Open a file in plain ONNX Runtime with one thread, its knobs fixed."""
    options = SessionOptions()
    options.intra_op_num_threads = 1
    session = InferenceSession(file, options, providers=["CPUExecutionProvider"])
    (name,) = (place.name for place in session.get_inputs() if place.name not in knobs)
    return lambda image: session.run(None, {name: image, **knobs})


def _run_freely(
    artifact: Path, thresholds: Sequence[float], images: Sequence[Image], progress: Progress
) -> dict[float, _Run]:
    net = dyncompile.load(artifact, threads=1)
    runs = {}
    for threshold in thresholds:
        classes, paths = [], []
        for image in images:
            classes.append(np.argmax(net(image, threshold=threshold)))
            _, options = net.trace(image, threshold=threshold)
            paths.append(tuple((name, k) for name, k in sorted(options.items()) if k >= 0))
        runs[threshold] = _Run(np.array(classes), tuple(paths))
        progress("accuracy at each threshold", len(runs), len(thresholds))
    return runs


def _measure_points(
    artifact: Path, runs: Mapping[float, _Run], dense: Network, test: _Test, progress: Progress
) -> tuple[dict[float, OperatingPoint], OperatingPoint]:
    """Return what the artifact does at each threshold, and what the dense network does."""
    networks = [*(_at(artifact, threshold) for threshold in runs), dense]
    total = np.zeros(len(networks))
    for start in range(0, len(test.images), IMAGES_PER_TURN):
        total += _milliseconds(
            networks, test.images[start : start + IMAGES_PER_TURN], SECONDS_PER_TURN
        )
        progress("latency at each threshold", start + IMAGES_PER_TURN, len(test.images))
    *latencies, dense_latency = (total / len(test.images)).tolist()
    points = {
        threshold: OperatingPoint(_share(run.classes == test.labels), run.leaving(), latency)
        for (threshold, run), latency in zip(runs.items(), latencies, strict=True)
    }
    return points, OperatingPoint(_accuracy(dense, test), (0.0, 0.0, 1.0), dense_latency)


def _measure_path(
    path: Decisions, artifact: Network, statics: _Statics, run: _Run, test: _Test
) -> PathFound:
    static, scored = (statics.open(dict(path), scores=scores) for scores in (False, True))
    taking = np.array([each == path for each in run.paths])
    some = np.flatnonzero(taking)[:IMAGES_PER_PATH]
    networks = [artifact, static, scored]
    times = [_milliseconds(networks, [test.images[k]], SECONDS_PER_IMAGE) for k in some]
    return PathFound(
        dict(path),
        _share(taking),
        _share((run.classes == test.labels)[taking]),
        _accuracy(static, test),
        *np.median(times, axis=0).tolist(),
    )


def _milliseconds(
    networks: Sequence[Network], images: Sequence[Image], seconds: float
) -> NDArray[np.float64]:
    """Return what each network takes for all images, one after the other."""

    def run_all(network: Network) -> None:
        for image in images:
            network(image)

    labels = [str(number) for number in range(len(networks))]
    calls = {n: partial(run_all, network) for n, network in zip(labels, networks, strict=True)}
    found = time_in_turns(calls, seconds=seconds)
    return np.array([found.us(label).median for label in labels]) / 1e3


def _accuracy(network: Network, test: _Test) -> float:
    classes = [np.argmax(network(image)[0]) for image in test.images]
    return _share(np.array(classes) == test.labels)


def _share(hits: NDArray[np.bool_]) -> float:
    return float(hits.mean())
