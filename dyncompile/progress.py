"""Progress of long work: what is called with it, and bars that show it."""

from __future__ import annotations

__all__ = ["AddBar", "Progress", "progress_bars", "untold"]

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

Progress = Callable[[str, int, int], None]  # the part the work is at, done, to do
AddBar = Callable[[str], Progress]


def untold(_part: str, _done: int, _total: int) -> None:
    """Tell nobody."""


@contextmanager
def progress_bars(console: Console | None) -> Iterator[AddBar]:
    """Give a function that adds a bar for a long step, and returns the bar's callback.

    The callback takes the part the step is at, what is done of it, and what there is to do.
    A step ends where the next one is added. Without a console nothing is shown.
    """
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bars

    bars = Bars(
        TextColumn("{task.description:26}", markup=False),
        BarColumn(24),
        TextColumn("{task.elapsed:3.0f} s"),
        TextColumn("{task.fields[part]}", markup=False),
        console=console,
        disable=console is None,
    )

    def add(title: str) -> Progress:
        if bars.task_ids:
            bars.stop_task(bars.task_ids[-1])
        task = bars.add_task(title, part="")
        return lambda part, done, total: bars.update(task, part=part, completed=done, total=total)

    with bars:
        yield add
