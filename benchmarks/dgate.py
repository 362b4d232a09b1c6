"""Decision gates, trained: what they save, and what it costs: ``python -m benchmarks.dgate``.

A small ResNet is trained, gets gates, is calibrated, exported and measured on test images. What
is trained is kept in the output folder, and a second run goes on from there.
"""

from __future__ import annotations

__all__ = ["CIFAR10_OPTION", "GROUPS", "LABEL", "main", "of_study"]

from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path

import click
from rich.console import Console

from benchmarks import dgate_pictures, dgate_variants
from benchmarks.dgate_levels import level_rows, levels_of
from benchmarks.dgate_statics import prefix_rows, rival_rows, statics_of
from benchmarks.dgate_study import CIFAR10, HARD, Study
from benchmarks.dgate_variants import Variant
from benchmarks.harness import Bench, Group, Row, command
from benchmarks.svg_files import write_pictures
from dyncompile.files import make_folder

LABEL = "trained weights, test images, CPU only"


CIFAR10_OPTION = click.Option(
    ["--cifar10"],
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The same on CIFAR-10, from this folder.",
)


def study_of(bench: Bench) -> Study:
    """Return the study of this run; the same for all groups."""
    return _study(bench.folder, bench.given.get("cifar10"), quick=bench.quick)


@lru_cache(maxsize=1)
def _study(folder: Path, cifar10: Path | None, *, quick: bool) -> Study:
    plan = CIFAR10(cifar10) if cifar10 else HARD
    plan = plan.quick() if quick else plan
    make_folder(folder / plan.folder, "Name another with --output.")
    return Study(plan, folder / plan.folder, Console(stderr=True))


def of_study(rows: Variant) -> Group:
    """Return the group that these rows of a study make."""
    return lambda bench: rows(study_of(bench))


def levels(bench: Bench) -> Iterator[Row]:
    """The dense network, and the artifact at every level of effort."""
    yield from level_rows(levels_of(study_of(bench), bench))


def static(bench: Bench) -> Iterator[Row]:
    """Static networks: prefixes of the dense one, and others trained for themselves."""
    found = levels_of(study_of(bench), bench)
    statics = statics_of(found, bench)
    yield from prefix_rows(found, statics)
    yield from rival_rows(found, statics)


def pictures(bench: Bench) -> Iterator[Row]:
    """The pictures of the docs; no rows."""
    study = study_of(bench)
    found = levels_of(study, bench)
    shown = not bench.quick and study.plan is HARD
    drawn = dgate_pictures.draw_all(found, statics_of(found, bench))
    write_pictures(bench, "dgate", drawn, study.folder, shown=shown)
    yield from ()


GROUPS: Mapping[str, Group] = {
    "levels": levels,
    "static": static,
    "scores": of_study(dgate_variants.scores),
    "joint": of_study(dgate_variants.joint),
    "pictures": pictures,
}

main = command(
    "benchmarks.dgate",
    GROUPS,
    about="Train a ResNet with decision gates, export it, and print what they save and cost.",
    label=LABEL,
    options=[CIFAR10_OPTION],
)

if __name__ == "__main__":
    main()
