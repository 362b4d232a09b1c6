"""What the study of incomplete dot products trains and exports; each thing once, on first use."""

from __future__ import annotations

__all__ = ["HARD", "IDP", "ORDINARY", "SANDWICH", "Plan", "Study"]

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

import dyncompile
from benchmarks.idp_compact import compact
from benchmarks.study import StudyOf
from dyncompile.backbones import Backbone, vgg16
from dyncompile.data import Images, Splits, make_hard_digits
from dyncompile.methods import idp
from dyncompile.training import Recipe, in_batches, train

ORDINARY, IDP, SANDWICH = "trained ordinarily", "IDP, linear profile", "US-Nets"
VERIFIED = 32  # images that the artifact is held against the model on


@dataclass(frozen=True)
class Plan:
    """A study, as data.

    Attributes:
        title: Of the images.
        folder: Of its files, inside of the folder of all benchmarks.
        read: Returns the images.
        recipe: Every network is trained by it, but for the epochs of US-Nets.
        sandwich_epochs: Of US-Nets, each of whose steps runs the network at four widths.
        width: Channels of the first stage of the VGG-16.
        ratios: Shares of the channels, one per level; the last is all of them.
        dropout: As a multiple of what the paper drops.
        recalibrated_on: Images of the training that the statistics of each level are taken from.
        alone: Widths of static networks that are trained for themselves.
    """

    title: str
    folder: str
    read: Callable[[], Splits[Images]]
    recipe: Recipe
    sandwich_epochs: int = 4
    width: int = 16
    ratios: tuple[float, ...] = (0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1.0)
    dropout: float = 0.25
    recalibrated_on: int = 4096
    alone: tuple[int, ...] = (4, 8)

    @property
    def network(self) -> str:
        """What rows call the network and its images."""
        return f"VGG-16, {self.width} channels, {self.title}"

    def quick(self) -> Plan:
        """Return one that takes seconds and finds nothing."""
        return replace(
            self,
            folder=f"{self.folder}-quick",
            read=lambda: make_hard_digits(train=2000, validation=0, test=600),
            recipe=replace(self.recipe, epochs=1, batch_size=64),
            sandwich_epochs=1,
            width=8,
            recalibrated_on=256,
            alone=(2, 4),
        )


HARD = Plan(
    "hard digits",
    "idp",
    lambda: make_hard_digits(validation=0),
    Recipe(epochs=8, lr=0.1, precision="bfloat16"),
)


@dataclass(frozen=True, eq=False)
class Study(StudyOf[Plan]):
    """What the study makes, each thing once."""

    def untrained(self, width: int) -> Backbone:
        """Return a VGG-16 that drops what the plan has it drop."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.plan.recipe.seed)
            classes, channels = len(self.data.train.classes), self.data.train.pixels.shape[1]
            return vgg16(classes, channels=channels, width=width, dropout=self.plan.dropout)

    def static(self, width: int) -> Backbone:
        """Return a VGG-16 trained by the recipe."""
        name = f"vgg16-width{width}"

        def make() -> Backbone:
            net = self.untrained(width)
            with self.bar(f"Training {name}") as bar:
                train(
                    net,
                    self.data.train,
                    self.plan.recipe,
                    checkpoint=self.folder / f"{name}.pt",
                    progress=bar,
                )
            return net.eval()

        return self.once(name, make)

    def trained(self, how: str) -> idp.IncompleteNet:
        """Return a network that runs at every level, not recalibrated; ``how`` it was trained."""
        return self.once(how, lambda: self._trained(how))

    def _trained(self, how: str) -> idp.IncompleteNet:
        if how == ORDINARY:
            return self._convert(self.static(self.plan.width), "all-one").eval()
        trainings: dict[str, tuple[Callable[..., None], str, str, int]] = {
            IDP: (idp.fit, "linear", "idp.pt", self.plan.recipe.epochs),
            SANDWICH: (idp.fit_sandwich, "all-one", "us-nets.pt", self.plan.sandwich_epochs),
        }
        fit, profile, file, epochs = trainings[how]
        net = self._convert(self.untrained(self.plan.width), profile)
        with self.bar(f"Training {how}") as bar:
            checkpoint, recipe = self.folder / file, replace(self.plan.recipe, epochs=epochs)
            fit(net, self.data.train, recipe=recipe, checkpoint=checkpoint, progress=bar)
        return net.eval()

    def _convert(self, backbone: nn.Module, profile: str) -> idp.IncompleteNet:
        return idp.convert(
            backbone,
            ratios=self.plan.ratios,
            profile=profile,
            example=self.example,
            complete=("classifier",),
        )

    def recalibrated(self, how: str) -> idp.IncompleteNet:
        """Return the same network with statistics of each level of its own."""

        def make() -> idp.IncompleteNet:
            net = copy.deepcopy(self.trained(how))
            samples = self.plan.recalibrated_on
            with self.bar(f"Recalibrating {how}") as bar:
                idp.recalibrate(net, self.data.train, samples=samples, progress=bar)
            return net.eval()

        return self.once(("recalibrated", how), make)

    # --- what they say ---

    def classes(self, net: nn.Module) -> NDArray[np.int64]:
        """Return what a static network says of the test images, ``int64[N]``."""
        with self.bar("Test images") as bar:
            logits, _ = in_batches(net, self.data.test, progress=bar)
        return np.asarray(logits.argmax(-1), np.int64)

    def classes_at(self, net: idp.IncompleteNet, level: int) -> NDArray[np.int64]:
        """Return what a network says of the test images at a level, ``int64[N]``.

        Its static network is asked: it gives the same, and has less to compute.
        """
        return self.once(("classes", net, level), lambda: self.classes(compact(net, level)))

    def right(self, classes: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return where these are the labels of the test images, ``bool[N]``."""
        return np.asarray(classes == self.data.test.labels.numpy())

    @property
    def groups(self) -> NDArray[np.int64] | None:
        """What each test image was made from."""
        groups = self.data.test.groups
        return None if groups is None else groups.numpy()

    # --- the artifact ---

    @cached_property
    def artifact(self) -> Path:
        """The network trained with IDP, exported; held against the model before it is written."""
        path = self.folder / "net.onnx"
        samples = {"x": self.data.test.head(VERIFIED).floats().numpy()}
        with self.bar("Exporting and verifying") as bar:
            dyncompile.export(
                self.recalibrated(IDP), (self.example,), path, samples=samples, progress=bar
            )
        return path
