"""What the demo found, in tables."""

from __future__ import annotations

__all__ = ["show"]

import shlex
import shutil
import sys
from itertools import chain

from rich import box
from rich.console import Console
from rich.table import Table

from dyncompile.demo.network import PLACES, DigitsNet, spell
from dyncompile.demo.results import Comparison, Files, OperatingPoint, Result
from dyncompile.demo.training import TOLERANCE
from dyncompile.machine import describe_machine
from dyncompile.verify import Report


def show(result: Result, console: Console) -> None:
    """Print what the demo found, in two tables, and where its files are."""
    found = result.comparison
    console.print()
    console.print(_thresholds_table(found))
    console.print(
        "An image leaves at the first exit that is surer of its class than the threshold"
        " (softmax). Chosen: the lowest threshold at which leaving early costs at most"
        f" {TOLERANCE:.1%} of the {result.validation_images} validation images their right"
        " class. Static, dense: a network that runs every block and has no exit.\n"
    )
    console.print(_paths_table(found))
    console.print(
        "Blocks: the skippable blocks on the path, - for one skipped. Images: share of the"
        " test images that take the path. Right: of these. Static: a network that can do only"
        " this path, and takes it with every image. Scored: one that also computes the scores"
        " the decisions need. Times are medians over a few images of the path."
        f" Other paths: {_others(found):.1%} of the images.\n"
    )
    console.print(_verified(result.report))
    console.print(
        f"On {found.agreeing} of the {found.images} test images the artifact and the PyTorch"
        " model give the same class.\n"
        f"Times: {describe_machine()}; 1 thread, batch 1, in turns."
        f" {result.seconds:.0f} s in all.\n"
    )
    files = result.files
    for what, file in (
        ("artifact", files.artifact),
        ("weights", files.weights),
        ("test images", files.data),
        ("static networks", files.static_folder),
        ("report", files.report),
    ):
        console.print(f"{what + ':':17}{file}", soft_wrap=True, markup=False)
    console.print(
        f"\nMeasure it again, with torch.compile too:\n{_bench(files)}",
        soft_wrap=True,
        markup=False,
    )


def _bench(files: Files) -> str:
    program = "dyncompile" if shutil.which("dyncompile") else sys.argv[0]
    options = {
        "--data": files.data,
        "--against": f"{DigitsNet.__module__}:{DigitsNet.__name__}",
        "--weights": files.weights,
        "-o": files.report,
    }
    words = [program, "bench", files.artifact]
    return shlex.join(map(str, chain(words, *options.items())))


def _thresholds_table(found: Comparison) -> Table:
    title = f"One file, a threshold per call: {found.images} test images"
    places = (f"Leave at\n{place}" for place in PLACES)
    table = _table(title, "Threshold", "Right", *places, "Mean\nms", "Time\n/ dense")

    def add(name: str, point: OperatingPoint) -> None:
        table.add_row(
            name,
            f"{point.accuracy:.1%}",
            *(f"{share:.0%}" for share in point.leaving),
            f"{point.milliseconds:.3f}",
            f"{point.milliseconds / found.dense.milliseconds:.2f}",
        )

    for threshold, point in found.points.items():
        add(f"{threshold:.2f}{' (chosen)' * (threshold == found.threshold)}", point)
    add("static, dense", found.dense)
    return table


def _paths_table(found: Comparison) -> Table:
    title = f"Each path beside static networks, at threshold {found.threshold:.2f}"
    columns = ["Blocks", "Leave\nat", "Images", "Right", "Static\nright"]
    columns += ["Artifact\nms", "Static\nms", "Artifact\n/ static", "Artifact\n/ scored"]
    table = _table(title, *columns)
    for path in found.paths:
        table.add_row(
            *spell(path.path),
            f"{path.share:.1%}",
            f"{path.accuracy:.1%}",
            f"{path.static_accuracy:.1%}",
            f"{path.milliseconds:.3f}",
            f"{path.static:.3f}",
            f"{path.milliseconds / path.static:.2f}",
            f"{path.milliseconds / path.static_with_scores:.2f}",
        )
    return table


def _table(title: str, *headings: str) -> Table:
    table = Table(
        title=title,
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),  # the nine columns of paths fit 80 characters
        pad_edge=False,
    )
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="right" if number else "left", no_wrap=True)
    return table


def _others(found: Comparison) -> float:
    return max(0.0, 1 - sum(path.share for path in found.paths))


def _verified(report: Report) -> str:
    return (
        f"Verified before it was written: {report.samples} validation images at"
        f" {len(report.operating_points)} settings of the threshold, and {report.paths} paths"
        f"{', all there are,' * report.complete} with the decisions forced."
        f" Largest relative difference to PyTorch: {report.largest_difference:.0e}."
        f" Near-ties: {len(report.near_ties)}."
    )
