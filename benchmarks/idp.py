"""Incomplete dot products, trained: accuracy over work: ``python -m benchmarks.idp``.

A small VGG-16 is trained ordinarily, with incomplete dot products, and as a universally slimmable
network, and is measured on test images at each share of its channels. What is trained is kept in
the output folder, and a second run goes on from there.
"""

from __future__ import annotations

__all__ = ["GROUPS", "LABEL", "main", "study_of"]

from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path

from rich.console import Console

from benchmarks import idp_pictures
from benchmarks.harness import Bench, Group, Row, command
from benchmarks.idp_artifact import artifact_rows, time_rows
from benchmarks.idp_levels import alone_rows, found_of, level_rows
from benchmarks.idp_study import HARD, Study
from benchmarks.svg_files import write_pictures
from dyncompile.files import make_folder

LABEL = "trained weights, test images, CPU only"


def study_of(bench: Bench) -> Study:
    """Return the study of this run; the same for all groups."""
    return _study(bench.folder, quick=bench.quick)


@lru_cache(maxsize=1)
def _study(folder: Path, *, quick: bool) -> Study:
    plan = HARD.quick() if quick else HARD
    make_folder(folder / plan.folder, "Name another with --output.")
    return Study(plan, folder / plan.folder, Console(stderr=True))


def levels(bench: Bench) -> Iterator[Row]:
    """Every network at every level."""
    yield from level_rows(found_of(study_of(bench)))


def alone(bench: Bench) -> Iterator[Row]:
    """Static networks, trained for themselves."""
    yield from alone_rows(found_of(study_of(bench)))


def artifact(bench: Bench) -> Iterator[Row]:
    """The artifact on the test images, at every level."""
    yield from artifact_rows(study_of(bench))


def times(bench: Bench) -> Iterator[Row]:
    """The artifact and the static network of each level, in turns."""
    yield from time_rows(study_of(bench), bench)


def pictures(bench: Bench) -> Iterator[Row]:
    """The pictures of the docs; no rows."""
    study = study_of(bench)
    drawn = idp_pictures.draw_all(found_of(study))
    write_pictures(bench, "idp", drawn, study.folder, shown=not bench.quick)
    yield from ()


GROUPS: Mapping[str, Group] = {
    "levels": levels,
    "alone": alone,
    "artifact": artifact,
    "times": times,
    "pictures": pictures,
}

main = command(
    "benchmarks.idp",
    GROUPS,
    about="Train a VGG-16 that runs at any share of its channels, and print what each gives.",
    label=LABEL,
)

if __name__ == "__main__":
    main()
