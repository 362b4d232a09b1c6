"""What the study of decision gates trains, fits and exports; each thing once, on first use."""

from __future__ import annotations

__all__ = ["CIFAR10", "HARD", "GateLoss", "Plan", "Study"]

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

import dyncompile
from benchmarks.dgate_answers import Answers, answers_of
from benchmarks.study import StudyOf
from dyncompile.array_files import write_arrays
from dyncompile.backbones import ResNet, cifar_resnet
from dyncompile.data import Images, Splits, make_hard_digits, read_cifar10, shift_and_flip
from dyncompile.measuring.findings import Findings
from dyncompile.methods import dgate
from dyncompile.reporting import write_report
from dyncompile.training import Recipe, in_batches, train

GateLoss = Literal["hinge", "crammer-singer", "cross-entropy"]


SMOOTHING = 0.05
VERIFIED = 32  # images that the artifact is held against the model on


@dataclass(frozen=True)
class Plan:
    """A study, as data.

    Attributes:
        title: Of the images.
        folder: Of its files, inside of the folder of all benchmarks.
        read: Returns the images.
        augment: Changes the batches of a training.
        recipe: Every network is trained by it.
        depth: Layers of the dense network.
        width: Channels of its first stage.
        after: Where the gates stand.
        pool: Side of the grid their features are averaged to.
        drops: Accuracy that may be given up, as shares; the first is the default. The written
            digits of the validation images, half of which measure, are too few to show 0.01.
        macs: Further levels, by their share of the dense network's MACs.
        joint: Weights of the gates and of the end where all is trained at once.
        gates: The gates are trained by it; None is what ``fit`` does by itself.
        others: Static networks trained for themselves, depth and width.
    """

    title: str
    folder: str
    read: Callable[[], Splits[Images]]
    recipe: Recipe
    augment: Callable[[Tensor], Tensor] | None = None
    depth: int = 20
    width: int = 32
    after: tuple[str, ...] = ("blocks.0", "blocks.3", "blocks.6")
    pool: int = 4
    drops: tuple[float, ...] = (0.02, 0.015, 0.03, 0.05)
    macs: tuple[float, ...] = (0.75,)
    joint: tuple[float, ...] = (0.3, 0.3, 0.3, 1.0)
    gates: Recipe | None = None
    others: tuple[tuple[int, int], ...] = ((8, 32),)

    @property
    def network(self) -> str:
        """What rows call the network and its images."""
        return f"ResNet-{self.depth}, {self.width} channels, {self.title}"

    def quick(self) -> Plan:
        """Return one that takes seconds and finds nothing."""
        return replace(
            self,
            folder=f"{self.folder}-quick",
            read=lambda: _few(self.read()) if self.read is not make_hard_digits else _few_digits(),
            recipe=replace(self.recipe, epochs=2, lr=0.05, batch_size=32),
            gates=Recipe(epochs=3, lr=0.5, optimizer="adamw"),
            width=8,
            drops=(0.1, 0.2),
            others=((8, 8),),
        )


HARD = Plan(
    "hard digits",
    "dgate",
    make_hard_digits,
    Recipe(epochs=8, lr=0.3, precision="bfloat16"),
)


def CIFAR10(folder: Path) -> Plan:  # noqa: N802 - a plan like the other
    """Return the same study on CIFAR-10; more epochs, and the usual augmentation."""
    recipe = replace(HARD.recipe, epochs=30)
    read = partial(read_cifar10, folder)
    return replace(
        HARD,
        title="CIFAR-10",
        folder="dgate-cifar10",
        read=read,
        recipe=recipe,
        augment=shift_and_flip,
    )


def _few_digits() -> Splits[Images]:
    return make_hard_digits(train=2000, validation=1500, test=600)


def _few(data: Splits[Images]) -> Splits[Images]:
    return Splits(data.train.head(2000), data.validation.head(1500), data.test.head(600))


@dataclass(frozen=True, eq=False)
class Study(StudyOf[Plan]):
    """What the study makes, each thing once."""

    @cached_property
    def dense(self) -> ResNet:
        """The network that everything is compared with."""
        return self.static(self.plan.depth, self.plan.width)

    def static(self, depth: int, width: int) -> ResNet:
        """Return a ResNet trained by the recipe."""
        name = f"resnet{depth}-width{width}"

        def make() -> ResNet:
            net = self._untrained(depth, width)
            with self.bar(f"Training {name}") as bar:
                train(
                    net,
                    self.data.train,
                    self.plan.recipe,
                    loss=smoothed,
                    augment=self.plan.augment,
                    checkpoint=self.folder / f"{name}.pt",
                    progress=bar,
                )
            return net.eval()

        return self.once(name, make)

    def _untrained(self, depth: int, width: int) -> ResNet:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.plan.recipe.seed)
            classes, channels = len(self.data.train.classes), self.data.train.pixels.shape[1]
            return cifar_resnet(depth, classes, channels=channels, width=width)

    def gated(
        self, after: Sequence[str] = (), pool: int = 0, loss: GateLoss = "hinge"
    ) -> dgate.DecisionGates:
        """Return the dense network with gates that were trained alone.

        Args:
            after: Where they stand; those of the plan if left out.
            pool: Side of their grid; that of the plan if left out.
            loss: What they were trained by.
        """
        places, side = tuple(after or self.plan.after), pool or self.plan.pool

        def make() -> dgate.DecisionGates:
            net = self._convert(self.dense, places, pool=side)
            with self.bar(f"Gates, pool {side}, {loss}") as bar:
                dgate.fit(net, self.data.train, recipe=self.plan.gates, loss=loss, progress=bar)
            return net.eval()

        return self.once((places, side, loss), make)

    def scored(self, score: str) -> dgate.DecisionGates:
        """Return the same gates with another score."""
        net = self._convert(self.dense, self.plan.after, pool=self.plan.pool, score=score)
        net.gates.load_state_dict(self.gated().gates.state_dict())
        return net.eval()

    def joint(self) -> dgate.DecisionGates:
        """Return a network trained with its gates from the start."""
        plan = self.plan
        start = self._untrained(plan.depth, plan.width)
        net = self._convert(start, plan.after, pool=plan.pool)
        with self.bar("Training jointly") as bar:
            dgate.fit(
                net,
                self.data.train,
                recipe=plan.recipe,
                joint=plan.joint,
                augment=plan.augment,
                checkpoint=self.folder / "joint.pt",
                progress=bar,
            )
        return net.eval()

    def _convert(
        self, backbone: nn.Module, after: Sequence[str], *, pool: int, score: str = "margin"
    ) -> dgate.DecisionGates:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.plan.recipe.seed)
            return dgate.convert(backbone, after, example=self.example, pool=pool, score=score)

    # --- what they say ---

    def calibrate(self, net: dgate.DecisionGates) -> None:
        """Calibrate on the validation images, for the default drop."""
        with self.bar("Calibrating") as bar:
            dgate.calibrate(net, self.data.validation, drop=self.plan.drops[0], progress=bar)

    def answers(self, net: dgate.DecisionGates, images: Images | None = None) -> Answers:
        """Return what every exit says of the test images, or of others."""
        with self.bar("Exits") as bar:
            return answers_of(net, images or self.data.test, bar)

    def right(self, net: nn.Module, images: Images) -> NDArray[np.bool_]:
        """Return of which images a static network says the class, ``bool[N]``."""

        def make() -> NDArray[np.bool_]:
            with self.bar("Images") as bar:
                logits, labels = in_batches(net, images, progress=bar)
            return np.asarray(logits.argmax(-1) == labels)

        return self.once(("right", net, id(images)), make)

    @property
    def groups(self) -> NDArray[np.int64] | None:
        """What each test image was made from."""
        groups = self.data.test.groups
        return None if groups is None else groups.numpy()

    # --- the artifact ---

    @cached_property
    def calibrated(self) -> tuple[dgate.DecisionGates, dgate.Calibration]:
        """The network that is exported, and what its calibration found."""
        plan, net = self.plan, copy.deepcopy(self.gated())
        with self.bar("Calibrating") as bar:
            found = dgate.calibrate(
                net, self.data.validation, drop=plan.drops, macs=plan.macs, progress=bar
            )
        return net, found

    def level_name(self, number: int) -> str:
        """Return what rows call a level of effort."""
        found = self.calibrated[1]
        name = f"{number}: {', '.join(found.levels[number].asked)}"
        return f"{name} (default)" if number == found.default else name

    @cached_property
    def artifact(self) -> Path:
        """The exported network, held against the model before it was written."""
        path = self.folder / "net.onnx"
        samples = {"x": self.data.validation.head(VERIFIED).floats().numpy()}
        with self.bar("Exporting and verifying") as bar:
            dyncompile.export(
                self.calibrated[0], (self.example,), path, samples=samples, progress=bar
            )
        return path

    def findings(self, seconds: float, *, compiled: bool) -> Findings:
        """Bench the artifact on the test images, and write the report."""
        test, net = self.folder / "test.npz", self.calibrated[0]
        images = self.data.test
        names = np.array(images.classes)
        arrays = {"x": images.floats().numpy(), "labels": images.labels.numpy(), "classes": names}
        write_arrays(test, arrays)
        gates = range(1, len(net.gates) + 1)
        with self.bar("Measuring") as bar:
            findings = dyncompile.bench(
                self.artifact,
                against=net,
                data=test,
                labels="labels",
                # The levels of effort alone: thresholds stay as they are.
                sweeps={f"threshold{number}": [net.score.always] for number in gates},
                seconds=seconds,
                compiled=compiled,
                progress=bar,
            )
        write_report(findings, self.folder / "report.html")
        return findings


def smoothed(model: nn.Module, batch: Tensor, labels: Tensor) -> Tensor:
    """Return the cross-entropy with smoothed labels."""
    return F.cross_entropy(model(batch).float(), labels, label_smoothing=SMOOTHING)
