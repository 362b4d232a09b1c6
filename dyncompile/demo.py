"""The demo: digits, a residual network that decides how much of itself to run, one file.

A small ResNet with two early exits and three skippable blocks is trained on the scikit-learn
digits, exported, and measured against static networks that can only do one of its paths.
Imports torch and scikit-learn; nothing else in the package imports this module.
"""

from __future__ import annotations

__all__ = [
    "EXITS",
    "SKIPS",
    "Comparison",
    "DemoResult",
    "Digits",
    "DigitsNet",
    "OperatingPoint",
    "PathTiming",
    "Split",
    "StaticPath",
    "choose_threshold",
    "compare",
    "load_images",
    "run",
    "show",
    "train",
]

import logging
import math
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnxruntime import InferenceSession, SessionOptions
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

import dyncompile
from dyncompile import markers
from dyncompile.errors import ArtifactError
from dyncompile.knobs import Knob, Threshold
from dyncompile.runtime import Net

SKIPS = ("skip1", "skip2", "skip3")
EXITS = ("exit1", "exit2")

_DECISIONS = ("skip1", "exit1", "skip2", "exit2", "skip3")
_PLACES = ("exit 1", "exit 2", "the end")
_WIDTHS = (32, 64, 128)
_SIDE = 20
_CLASSES = 10
_ALL_BLOCKS = dict.fromkeys(SKIPS, 1)
_SWEEP = (0.5, 0.7, 0.9, math.inf)
_MOST_PATHS = 6
_SAMPLES_PER_PATH = 8
_EXPORT_SAMPLES = 32

Image = NDArray[np.float32]
Classes = NDArray[np.int64]
_Path = tuple[tuple[str, int], ...]


# --- the images -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Split:
    """Images ``float32[N, 1, 20, 20]`` in 0..1 and their labels ``int64[N]``."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def head(self, count: int) -> Split:
        """Return the first ``count`` images."""
        return Split(self.images[:count], self.labels[:count])


@dataclass(frozen=True)
class Digits:
    """Three disjoint splits, each with every digit in proportion."""

    train: Split
    validation: Split
    test: Split


def load_images(seed: int, *, validation: int = 400, test: int = 500) -> Digits:
    """Return the 1797 digits of scikit-learn, enlarged from 8x8 to 20x20 and split."""
    digits = load_digits()
    small = torch.tensor(digits.images, dtype=torch.float32)[:, None] / 16
    images = F.interpolate(small, size=(_SIDE, _SIDE), mode="bilinear")
    labels = torch.tensor(digits.target)

    def divide(of: NDArray[np.int64], size: int) -> list[NDArray[np.int64]]:
        parts: list[NDArray[np.int64]] = train_test_split(
            of, test_size=size, stratify=digits.target[of], random_state=seed
        )
        return parts

    rest, held_out = divide(np.arange(len(labels)), test)
    parts = (*divide(rest, validation), held_out)
    return Digits(*(Split(images[part], labels[part]) for part in parts))


# --- the network ----------------------------------------------------------------------------


class Block(nn.Module):
    """A basic residual block; the first of a stage may halve the image."""

    def __init__(self, entering: int, leaving: int, stride: int = 1) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(entering, leaving, 3, stride, 1, bias=False),
            nn.BatchNorm2d(leaving),
            nn.ReLU(),
            nn.Conv2d(leaving, leaving, 3, 1, 1, bias=False),
            nn.BatchNorm2d(leaving),
        )
        self.shortcut: nn.Module = nn.Identity()
        if (entering, stride) != (leaving, 1):
            self.shortcut = nn.Sequential(
                nn.Conv2d(entering, leaving, 1, stride, bias=False), nn.BatchNorm2d(leaving)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Return ``float[N, leaving, H, W]``, the sides divided by the stride."""
        return F.relu(self.body(x) + self.shortcut(x))


def _pooled(side: int, *head: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.AvgPool2d(side), nn.Flatten(), *head)


class SkippableBlock(nn.Module):
    """An identity block that runs only for the samples whose score is positive."""

    def __init__(self, width: int, side: int, name: str) -> None:
        super().__init__()
        self.block = Block(width, width)
        self.score = _pooled(side, nn.Linear(width, 1), nn.BatchNorm1d(1))
        self.name = name

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the features and the decision, which carries a gradient in training."""
        score = self.score(x)
        take = score > 0
        if self.training:
            soft = torch.sigmoid(score)
            take = take.float() + soft - soft.detach()
        return markers.gate(take, self.block(x), x, name=self.name), take


class Stage(nn.Module):
    """A block that widens, a block that may be skipped, and a classifier on their result."""

    def __init__(self, number: int) -> None:
        super().__init__()
        width, side = _WIDTHS[number], _SIDE // 2**number
        self.widen = Block(_WIDTHS[max(number - 1, 0)], width, 2 if number else 1)
        self.skip = SkippableBlock(width, side, SKIPS[number])
        self.classify = _pooled(side, nn.Linear(width, _CLASSES))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the features, the logits of the stage and the decision of its gate."""
        x, take = self.skip(self.widen(x))
        return x, self.classify(x), take


class DigitsNet(nn.Module):
    """Three stages with an exit after the first two and a skippable block in each.

    Decisions: ``skip1`` ... ``skip3`` (1 runs the block), ``exit1`` and ``exit2`` (1 leaves
    with the logits of that stage).
    """

    def __init__(self) -> None:
        super().__init__()
        self.knobs: dict[str, Knob] = {"threshold": Threshold((0.8, 0.8), low=0, high=1)}
        self.stem = nn.Sequential(
            nn.Conv2d(1, _WIDTHS[0], 3, 1, 1, bias=False),
            nn.BatchNorm2d(_WIDTHS[0]),
            nn.ReLU(),
        )
        self.stages = nn.ModuleList(Stage(number) for number in range(len(_WIDTHS)))
        self.mean: Tensor
        self.deviation: Tensor
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("deviation", torch.ones(()))

    def depth(self) -> list[Stage]:
        """Return the stages in the order they run."""
        return [stage for stage in self.stages if isinstance(stage, Stage)]

    def enter(self, image: Tensor) -> Tensor:
        """Return the features before the first stage."""
        features: Tensor = self.stem((image - self.mean) / self.deviation)
        return features

    def heads(self, image: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Return the logits of every stage and the decision of every gate."""
        x, logits, takes = self.enter(image), [], []
        for stage in self.depth():
            x, out, take = stage(x)
            logits.append(out)
            takes.append(take)
        return logits, takes

    def forward(self, image: Tensor, threshold: Tensor) -> Tensor:
        """Classify ``float[N, 1, 20, 20]``; exit k is used above ``threshold[k]``."""
        (first, second, last), _ = self.heads(image)
        rest = markers.early_exit(
            confidence(second) > threshold[1], second, last, name=EXITS[1]
        )
        return markers.early_exit(confidence(first) > threshold[0], first, rest, name=EXITS[0])


def confidence(logits: Tensor) -> Tensor:
    """Return the largest softmax probability, ``float[N]``."""
    return logits.softmax(1).amax(1)


class StaticPath(nn.Module):
    """The same network, able to do one path only: what an engineer would write by hand.

    Args:
        model: The network whose weights are used.
        path: The decisions, by name; exits left out are not taken, skips left out run.
        scores: Also compute and return the scores that the decisions on the path need.
    """

    def __init__(
        self, model: DigitsNet, path: Mapping[str, int], *, scores: bool = False
    ) -> None:
        super().__init__()
        self.model = model
        self.path = dict(path)
        self.scores = scores

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Return the logits, then the scores if asked for."""
        x, scores = self.model.enter(image), []
        for stage, exit_name in zip(self.model.depth(), (*EXITS, None), strict=True):
            x = stage.widen(x)
            if self.scores:
                scores.append(stage.skip.score(x))
            if self.path.get(stage.skip.name, 1):
                x = stage.skip.block(x)
            leaves = exit_name is None or self.path.get(exit_name, 0)
            if leaves or self.scores:
                logits = stage.classify(x)
            if self.scores and exit_name:
                scores.append(confidence(logits))
            if leaves:
                break
        return logits, *scores


# --- training -------------------------------------------------------------------------------


def train(
    data: Split,
    seed: int,
    *,
    epochs: int = 14,
    batch: int = 32,
    report: Callable[[float], None] = lambda _: None,
) -> DigitsNet:
    """Train the network on one thread; the same seed gives the same weights.

    The stages' classifiers are trained jointly. All blocks run at first; then the gates learn,
    straight through their hard decisions, and the compute they cost is pulled to one half.

    Args:
        data: The images to learn from.
        seed: Seeds the weights, the order of the images and their distortions.
        epochs: How often each image is seen.
        batch: Images per step.
        report: Called after each step with the share of the training done.
    """
    with torch.random.fork_rng(devices=[]), _one_thread():
        torch.manual_seed(seed)
        model = DigitsNet().train()
        model.mean.copy_(data.images.mean())
        model.deviation.copy_(data.images.std())
        chance = torch.Generator().manual_seed(seed)
        optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.01)
        steps = epochs * (len(data) // batch)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 6e-3, total_steps=steps)
        for step in range(steps):
            if step % (steps // epochs) == 0:
                order = torch.randperm(len(data), generator=chance)
            chosen, order = order[:batch], order[batch:]
            images = _distort(data.images[chosen], chance)
            optimizer.zero_grad()
            loss = _loss(model, images, data.labels[chosen], skips=step >= 0.4 * steps)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            report((step + 1) / steps)
    return model.eval()


def _loss(model: DigitsNet, images: Tensor, labels: Tensor, *, skips: bool) -> Tensor:
    """Return the loss of all classifiers, and of the compute if blocks may be skipped."""
    with markers.follow({} if skips else _ALL_BLOCKS):
        logits, takes = model.heads(images)
    losses = [F.cross_entropy(out, labels, label_smoothing=0.05) for out in logits]
    loss = 0.5 * losses[0] + 0.7 * losses[1] + losses[2]
    for take in takes if skips else ():
        loss = loss + 2 * (take.mean() - 0.5) ** 2
    return loss


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sum in one order, whatever the number of cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _distort(images: Tensor, chance: torch.Generator) -> Tensor:
    """Turn by up to 0.2 rad, shift by up to 15 % and scale by up to 10 %."""
    turn, across, down, scale = torch.rand(4, len(images), generator=chance) * 2 - 1
    scale = 1 + 0.1 * scale
    cos, sin = scale * (0.2 * turn).cos(), scale * (0.2 * turn).sin()
    matrix = torch.stack([cos, -sin, 0.15 * across, sin, cos, 0.15 * down], 1)
    grid = F.affine_grid(matrix.reshape(-1, 2, 3), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, align_corners=False)


@torch.no_grad()
def choose_threshold(model: DigitsNet, data: Split, *, tolerance: float = 0.005) -> float:
    """Return the lowest threshold, for both exits, that keeps the accuracy.

    An image counts as lost if the end gives its class right and the exit taken does not;
    images that only an exit gets right do not make up for it. Every higher threshold keeps
    the accuracy too, so that one lucky value in a few hundred images is not chosen.

    Args:
        model: A trained network.
        data: Images held out from training; not the ones accuracy is reported on.
        tolerance: Share of the images that may be lost.

    Returns:
        A multiple of 0.01 from 0 to 1; 1 never leaves early.
    """
    logits, _ = model.heads(data.images)
    first, second, last = (out.argmax(1) == data.labels for out in logits)
    sure, surer = (confidence(out) for out in logits[:-1])
    threshold = 1.0
    for percent in reversed(range(100)):
        lower = percent / 100
        right = torch.where(sure > lower, first, torch.where(surer > lower, second, last))
        if (last & ~right).float().mean() > tolerance:
            break
        threshold = lower
    return threshold


# --- what is measured -----------------------------------------------------------------------


@dataclass(frozen=True)
class OperatingPoint:
    """The artifact deciding for itself over the whole test set, at one setting.

    Attributes:
        threshold: One number per exit.
        accuracy: Share of the test images classified right.
        leaving: Share of the images that leave at exit 1, at exit 2, at the end.
        milliseconds: Mean latency per image.
    """

    threshold: tuple[float, ...]
    accuracy: float
    leaving: tuple[float, ...]
    milliseconds: float


@dataclass(frozen=True)
class PathTiming:
    """One path: how frequent, and how fast beside networks that know no other.

    Attributes:
        path: The decisions met, by name.
        share: Share of the test images that take it.
        milliseconds: Median latency of the artifact on such images.
        static: The same of a static network of the path.
        static_with_scores: The same of one that also computes the scores of the decisions.
    """

    path: dict[str, int]
    share: float
    milliseconds: float
    static: float
    static_with_scores: float


@dataclass(frozen=True)
class Comparison:
    """The artifact against static networks on the test set.

    Attributes:
        images: Size of the test set.
        dense_accuracy: Share right with every block and no exit.
        dense_milliseconds: Mean latency per image of the static network that does that.
        stage_accuracy: Share right if all images left at exit 1, at exit 2, at the end.
        agreeing: Test images on which artifact and PyTorch model give the same class.
        points: The chosen operating point first.
        paths: The most frequent paths at the chosen point, most frequent first.
    """

    images: int
    dense_accuracy: float
    dense_milliseconds: float
    stage_accuracy: tuple[float, ...]
    agreeing: int
    points: tuple[OperatingPoint, ...]
    paths: tuple[PathTiming, ...]


@dataclass(frozen=True)
class DemoResult:
    """What the demo made and found.

    Attributes:
        artifact: The exported file.
        static_folder: Where the static networks were written.
        threshold: The chosen one, for both exits: the default of the artifact's knob.
        comparison: The figures.
        seconds: How long the demo took.
    """

    artifact: Path
    static_folder: Path
    threshold: float
    comparison: Comparison
    seconds: float


def compare(
    model: DigitsNet,
    artifact: Path,
    data: Split,
    static_folder: Path,
    report: Callable[[float], None] = lambda _: None,
) -> Comparison:
    """Measure an artifact of the model against static networks of its paths.

    Everything runs in onnxruntime on one thread, one image a call, contenders in turns.

    Args:
        model: The network the artifact was exported from, at the thresholds chosen for it.
        artifact: The exported file.
        data: The test images.
        static_folder: Where the static networks are left for inspection.
        report: Called with the share of the measuring done.
    """
    threshold = np.asarray(model.knobs["threshold"].array("threshold"), np.float32)
    images = [image[None] for image in data.images.numpy()]
    static = _StaticNetworks(model, static_folder, _opset(artifact), data.images[:1])
    net = dyncompile.load(artifact, threads=1)
    settings = (tuple(threshold.tolist()), *((value,) * len(EXITS) for value in _SWEEP))
    runs = []
    for setting in settings:
        runs.append(_decide_freely(net, images, setting))
        report(0.3 * len(runs) / len(settings))
    latencies = _mean_latencies(net, static.session(_ALL_BLOCKS), images, settings)
    report(0.6)
    paths = []
    frequent = Counter(runs[0].paths).most_common(_MOST_PATHS)
    for path, count in frequent:
        taking = [x for x, its in zip(images, runs[0].paths, strict=True) if its == path]
        medians = _path_latencies(artifact, threshold, static, dict(path), taking)
        paths.append(PathTiming(dict(path), count / len(data), *medians))
        report(0.6 + 0.4 * len(paths) / len(frequent))
    labels = data.labels.numpy()
    dense, stages, eager = _classes_in_torch(model, data.images, threshold)
    return Comparison(
        images=len(data),
        dense_accuracy=_share(dense == labels),
        dense_milliseconds=latencies[-1],
        stage_accuracy=tuple(_share(classes == labels) for classes in stages),
        agreeing=int((eager == runs[0].classes).sum()),
        points=tuple(
            OperatingPoint(setting, _share(its.classes == labels), its.leaving(), latency)
            for setting, its, latency in zip(settings, runs, latencies, strict=False)
        ),
        paths=tuple(paths),
    )


@dataclass(frozen=True)
class _Run:
    """What the artifact did with each image: the class it gave, the decisions it met."""

    classes: Classes
    paths: tuple[_Path, ...]

    def leaving(self) -> tuple[float, ...]:
        left = [next((e for e in EXITS if (e, 1) in path), None) for path in self.paths]
        return tuple(left.count(place) / len(left) for place in (*EXITS, None))


class _StaticNetworks:
    """Exports the static network of a path, with the artifact's opset, and opens it."""

    def __init__(self, model: DigitsNet, folder: Path, opset: int, image: Tensor) -> None:
        self.model = model
        self.folder = folder
        self.opset = opset
        self.image = image

    def session(self, path: Mapping[str, int], *, scores: bool = False) -> InferenceSession:
        self.folder.mkdir(parents=True, exist_ok=True)
        blocks, leaves = _spell(path)
        name = f"{blocks.replace('-', 'x')}-{leaves}{'-scores' if scores else ''}"
        file = self.folder / f"{name.replace(' ', '')}.onnx"
        network = StaticPath(self.model, path, scores=scores)
        with _quiet_exporter():
            program = torch.onnx.export(
                network, (self.image,), dynamo=True, opset_version=self.opset, verbose=False
            )
        assert program is not None
        program.save(file)
        return _open(file)


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Drop what torch says about operators this network does not use."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)


def _open(file: Path) -> InferenceSession:
    options = SessionOptions()
    options.intra_op_num_threads = 1
    return InferenceSession(file, options, providers=["CPUExecutionProvider"])


def _opset(artifact: Path) -> int:
    imports = onnx.load(artifact, load_external_data=False).opset_import
    return int(next(entry.version for entry in imports if not entry.domain))


def _decide_freely(net: Net, images: Sequence[Image], setting: tuple[float, ...]) -> _Run:
    classes, paths = [], []
    for image in images:
        classes.append(np.argmax(net(image, threshold=setting)))
        _, decisions = net.trace(image, threshold=setting)
        met = ((name, decisions[name]) for name in _DECISIONS)
        paths.append(tuple((name, option) for name, option in met if option >= 0))
    return _Run(np.array(classes), tuple(paths))


@torch.no_grad()
def _classes_in_torch(
    model: DigitsNet, images: Tensor, threshold: NDArray[np.float32]
) -> tuple[Classes, list[Classes], Classes]:
    """Return the classes of the dense network, of every stage, and of the model."""
    dense, *_ = StaticPath(model, _ALL_BLOCKS)(images)
    stages, _ = model.heads(images)
    free = model(images, torch.from_numpy(threshold))
    found = [logits.argmax(1).numpy() for logits in (dense, *stages, free)]
    return found[0], found[1:-1], found[-1]


def _mean_latencies(
    net: Net, dense: InferenceSession, images: Sequence[Image], settings: Sequence[object]
) -> list[float]:
    """Return milliseconds per image at each setting, then of the dense network."""
    name = dense.get_inputs()[0].name
    calls: list[Callable[[Image], object]] = [partial(net, threshold=s) for s in settings]
    calls.append(partial(_call, dense, name, {}))
    times = [_in_turns(calls, image, rounds=3) for image in images]
    return [float(mean) for mean in np.mean([np.median(t, 0) for t in times], 0)]


def _path_latencies(
    artifact: Path,
    threshold: NDArray[np.float32],
    static: _StaticNetworks,
    path: Mapping[str, int],
    images: Sequence[Image],
) -> list[float]:
    """Return median milliseconds of the artifact, the static network, the one with scores."""
    calls: list[Callable[[Image], object]] = []
    for session in (_open(artifact), static.session(path), static.session(path, scores=True)):
        name, *knobs = (value.name for value in session.get_inputs())
        feed = dict.fromkeys(knobs, threshold)
        calls.append(partial(_call, session, name, feed))
    some = images[:_SAMPLES_PER_PATH]
    rounds = -(-400 // len(some))
    times = [_in_turns(calls, image, rounds) for image in some]
    return [float(median) for median in np.median(np.concatenate(times), 0)]


def _call(
    session: InferenceSession, name: str, knobs: Mapping[str, Image], image: Image
) -> object:
    return session.run(None, {name: image, **knobs})


def _in_turns(
    calls: Sequence[Callable[[Image], object]], image: Image, rounds: int
) -> NDArray[np.float64]:
    """Return milliseconds ``float64[rounds, calls]``, each of a repeated call."""
    times = np.empty((rounds, len(calls)))
    for row in times:
        for column, call in enumerate(calls):
            call(image)  # an app runs one network: its weights are in the cache
            start = time.perf_counter()
            call(image)
            row[column] = 1e3 * (time.perf_counter() - start)
    return times


def _share(hits: NDArray[np.bool_]) -> float:
    return float(hits.mean())


# --- the demo -------------------------------------------------------------------------------


def run(
    folder: Path, seed: int = 0, *, console: Console | None = None, epochs: int = 14
) -> DemoResult:
    """Train, export, verify and compare; leaves ``digits.onnx`` and ``static/`` in a folder.

    Args:
        folder: Made if missing.
        seed: Of the splits and of the training.
        console: Where progress is shown; None shows nothing.
        epochs: How long to train.

    Raises:
        ArtifactError: the folder cannot be written to.
        VerificationError: the artifact and the model disagree.
    """
    start = time.perf_counter()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ArtifactError(
            f"the folder cannot be made: {error.strerror}.",
            where=str(folder),
            remedy="Name a folder you may write to.",
        ) from error
    columns = (TextColumn("{task.description:28}"), BarColumn(), TimeElapsedColumn())
    bars = Progress(*columns, console=console, disable=console is None)
    with _one_thread(), bars as progress:

        def step(title: str) -> Callable[[float], None]:
            task = progress.add_task(title, total=1.0)
            return lambda done: progress.update(task, completed=done)

        data = load_images(seed)
        model = train(data.train, seed, epochs=epochs, report=step("Training"))
        threshold = choose_threshold(model, data.validation)
        model.knobs = {"threshold": Threshold((threshold, threshold), low=0, high=1)}
        artifact = folder / "digits.onnx"
        finish = step("Exporting and verifying")
        samples = data.validation.images[:_EXPORT_SAMPLES]
        dyncompile.export(model, (samples[:1],), artifact, samples={"image": samples.numpy()})
        finish(1.0)
        static = folder / "static"
        measure = step("Comparing with static nets")
        comparison = compare(model, artifact, data.test, static, measure)
    return DemoResult(artifact, static, threshold, comparison, time.perf_counter() - start)


def show(result: DemoResult, console: Console) -> None:
    """Print what the demo found, in three tables, and where its files are."""
    found = result.comparison
    console.print(
        _accuracy_table(found), _settings_table(found), _paths_table(found), sep="\n"
    )
    console.print(
        f"{found.images} test images, so one image is {1 / found.images:.1%}. The artifact "
        f"and the PyTorch model give the same class on {found.agreeing} of them. Times: "
        f"onnxruntime, 1 thread, batch 1, in turns. {result.seconds:.0f} s in all."
    )
    console.print(f"The artifact: {result.artifact}", soft_wrap=True)
    console.print(f"The static networks: {result.static_folder}", soft_wrap=True)


def _accuracy_table(found: Comparison) -> Table:
    table = Table("Network", "Accuracy", title="Accuracy in PyTorch", title_justify="left")
    table.add_row("every block, no exit (dense)", f"{found.dense_accuracy:.1%}")
    for place, accuracy in zip(_PLACES, found.stage_accuracy, strict=True):
        table.add_row(f"own blocks, all images leave at {place}", f"{accuracy:.1%}")
    return table


def _settings_table(found: Comparison) -> Table:
    table = Table(title="One file, decided per call and image", title_justify="left")
    for heading in ("Threshold", "Accuracy", *_PLACES, "Mean ms", "Of dense"):
        table.add_column(heading, justify="right")
    for number, point in enumerate(found.points):
        table.add_row(
            " ".join("never" if math.isinf(t) else f"{t:.2f}" for t in point.threshold)
            + (" (chosen)" if number == 0 else ""),
            f"{point.accuracy:.1%}",
            *(f"{share:.0%}" for share in point.leaving),
            f"{point.milliseconds:.3f}",
            f"{point.milliseconds / found.dense_milliseconds:.2f}",
        )
    dense = (f"{found.dense_accuracy:.1%}", "0%", "0%", "100%")
    table.add_row("static dense network", *dense, f"{found.dense_milliseconds:.3f}", "1.00")
    return table


def _paths_table(found: Comparison) -> Table:
    table = Table(title="Each path beside static networks of it", title_justify="left")
    table.add_column("Blocks run")
    table.add_column("Leaves at")
    for heading in ("Images", "Artifact ms", "Static ms", "Ratio", "With scores ms", "Ratio"):
        table.add_column(heading, justify="right")
    for path in found.paths:
        table.add_row(
            *_spell(path.path),
            f"{path.share:.1%}",
            f"{path.milliseconds:.3f}",
            f"{path.static:.3f}",
            f"{path.milliseconds / path.static:.2f}",
            f"{path.static_with_scores:.3f}",
            f"{path.milliseconds / path.static_with_scores:.2f}",
        )
    return table


def _spell(path: Mapping[str, int]) -> tuple[str, str]:
    """Return the skippable blocks that run, ``-`` for one skipped, and the exit taken."""
    leaves = next((number for number, name in enumerate(EXITS) if path.get(name)), len(EXITS))
    met = SKIPS[: leaves + 1]
    blocks = " ".join(str(k + 1) if path.get(name, 1) else "-" for k, name in enumerate(met))
    return blocks, _PLACES[leaves]
