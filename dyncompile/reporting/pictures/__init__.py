"""The pictures of the report, in order."""

from __future__ import annotations

__all__ = ["PICTURES", "LeftOut", "Picture"]

from collections.abc import Callable

from dyncompile.reporting.pictures.accuracy import accuracy
from dyncompile.reporting.pictures.classes import classes
from dyncompile.reporting.pictures.exits import exits
from dyncompile.reporting.pictures.parts import parts
from dyncompile.reporting.pictures.paths import paths
from dyncompile.reporting.pictures.picture import LeftOut, Picture
from dyncompile.reporting.pictures.tree import tree
from dyncompile.reporting.view import View

PICTURES: tuple[Callable[[View], tuple[Picture | LeftOut, ...]], ...] = (
    accuracy,
    exits,
    classes,
    parts,
    tree,
    paths,
)
