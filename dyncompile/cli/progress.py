"""Progress of long steps, on the terminal only."""

from __future__ import annotations

__all__ = ["showing_progress"]

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def showing_progress() -> Iterator[Callable[[str, int, int], None]]:
    """Show one line on stderr, gone at the end; nothing if stderr is no terminal.

    Yields:
        What to call with the name of a step, what is done of it, and what there is to do.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
    )

    console = Console(file=sys.stderr)  # this one, also while torch's is redirected
    columns = (SpinnerColumn(), TextColumn("{task.description:28}", markup=False), BarColumn())
    with Progress(
        *columns,
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as bars:
        task = bars.add_task("load", total=None)

        def show(name: str, done: int, total: int) -> None:
            bars.update(task, description=name, completed=done, total=total)

        yield show
