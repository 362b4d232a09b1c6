"""What the demo finds."""

from __future__ import annotations

__all__ = ["Comparison", "Files", "OperatingPoint", "PathFound", "Result"]

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dyncompile.verify import Report


@dataclass(frozen=True)
class OperatingPoint:
    """A network that handles the whole test set, at one setting.

    Attributes:
        accuracy: Share of the test images classified right.
        leaving: Share of the images that leave at exit 1, at exit 2, at the end.
        milliseconds: Mean latency per image.
    """

    accuracy: float
    leaving: tuple[float, ...]
    milliseconds: float


@dataclass(frozen=True)
class PathFound:
    """One path through the artifact, beside a static network that knows no other.

    Attributes:
        path: The decisions met, by name.
        share: Share of the test images that take it.
        accuracy: Share of these classified right.
        static_accuracy: Share of all test images that the static network classifies right.
        milliseconds: Median latency of the artifact on images of the path.
        static: The same of the static network.
        static_with_scores: The same of one that also computes the scores of the decisions.
    """

    path: Mapping[str, int]
    share: float
    accuracy: float
    static_accuracy: float
    milliseconds: float
    static: float
    static_with_scores: float


@dataclass(frozen=True)
class Comparison:
    """The artifact beside static networks on the test set.

    Attributes:
        images: Size of the test set.
        agreeing: Test images on which artifact and PyTorch model give the same class.
        threshold: The chosen one: the default of the artifact's knob.
        points: Threshold to what the artifact does at it, in rising order.
        dense: What the static network does that runs every block and has no exit.
        paths: The most frequent paths at the chosen threshold, most frequent first.
    """

    images: int
    agreeing: int
    threshold: float
    points: Mapping[float, OperatingPoint]
    dense: OperatingPoint
    paths: tuple[PathFound, ...]


@dataclass(frozen=True)
class Files:
    """What the demo wrote.

    Attributes:
        artifact: The exported network.
        data: The test images, their labels and the names of the classes.
        weights: The trained weights of ``DigitsNet``.
        static_folder: Where the static networks are.
        report: A page of pictures to look at.
    """

    artifact: Path
    data: Path
    weights: Path
    static_folder: Path
    report: Path


@dataclass(frozen=True)
class Result:
    """What the demo made and found.

    Attributes:
        files: Where it is.
        validation_images: How many images the threshold was chosen on.
        report: What verification saw before the artifact was written.
        comparison: The figures.
        seconds: How long the demo took.
    """

    files: Files
    validation_images: int
    report: Report
    comparison: Comparison
    seconds: float
