"""Options of a training, checked before anything is done."""

from __future__ import annotations

__all__ = ["check_augment", "check_progress", "check_recipe", "path_of"]

from pathlib import Path

from dyncompile.errors import InputError
from dyncompile.training.recipe import Recipe


def check_recipe(recipe: object) -> None:
    """See that a recipe is one.

    Raises:
        InputError: it is something else.
    """
    if not isinstance(recipe, Recipe):
        raise InputError(
            f"this is {type(recipe).__name__}, not a Recipe.",
            where="recipe",
            remedy="Give Recipe(epochs=20, lr=0.1), with the settings that you want.",
        )


def check_augment(augment: object) -> None:
    """See that an augmentation can be called; None is none.

    Raises:
        InputError: it cannot.
    """
    _check_callable(augment, "augment", "Give a function of a batch that returns another, or None.")


def check_progress(progress: object) -> None:
    """See that what is told of progress can be called; None is nobody.

    Raises:
        InputError: it cannot.
    """
    remedy = "Give a function of a name, what is done and what there is to do, or None."
    _check_callable(progress, "progress", remedy)


def _check_callable(value: object, where: str, remedy: str) -> None:
    if value is not None and not callable(value):
        raise InputError(
            f"this is {type(value).__name__}, which cannot be called.", where=where, remedy=remedy
        )


def path_of(checkpoint: object) -> Path | None:
    """Return the file of a checkpoint; None is none.

    Raises:
        InputError: this names no file.
    """
    if checkpoint is None or isinstance(checkpoint, Path):
        return checkpoint
    if isinstance(checkpoint, str) and checkpoint:
        return Path(checkpoint)
    raise InputError(
        f"{checkpoint!r} names no file.", where="checkpoint", remedy="Give a path, or None."
    )
