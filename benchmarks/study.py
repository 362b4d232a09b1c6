"""What studies have in common: images, what is made once, and where progress is shown."""

from __future__ import annotations

__all__ = ["Reads", "StudyOf"]

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Generic, Protocol, TypeVar, cast

import torch
from rich.console import Console
from torch import Tensor

from dyncompile.data import Images, Splits
from dyncompile.progress import Progress, progress_bars

Made = TypeVar("Made")


class Reads(Protocol):
    """A plan that says where its images come from."""

    @property
    def read(self) -> Callable[[], Splits[Images]]:
        """What returns the images."""
        ...


PlanT = TypeVar("PlanT", bound=Reads)


@dataclass(frozen=True, eq=False)
class StudyOf(Generic[PlanT]):
    """Everything of one run.

    Attributes:
        plan: What to do.
        folder: Receives all files. Trainings that were stopped go on from what lies there.
        console: Where progress is shown; None shows nothing.
    """

    plan: PlanT
    folder: Path
    console: Console | None = None
    _made: dict[object, object] = field(default_factory=dict)

    def once(self, key: object, make: Callable[[], Made]) -> Made:
        """Return what ``make`` returns; it is called once for a key."""
        if key not in self._made:
            self._made[key] = make()
        return cast(Made, self._made[key])

    @cached_property
    def data(self) -> Splits[Images]:
        """The images."""
        with self.bar("Images") as bar:
            bar("", 0, 1)
            data = self.plan.read()
            bar("", 1, 1)
        return data

    @property
    def example(self) -> Tensor:
        """An image of the right shape."""
        return torch.zeros(1, *self.data.test.pixels.shape[1:])

    @contextmanager
    def bar(self, title: str) -> Iterator[Progress]:
        """Show a long step."""
        with progress_bars(self.console) as add:
            yield add(title)
