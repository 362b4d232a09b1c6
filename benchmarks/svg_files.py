"""Pictures of the docs as SVG files that stand for themselves."""

from __future__ import annotations

__all__ = ["svg_file", "write_pictures"]

from collections.abc import Iterable
from pathlib import Path

from benchmarks.harness import Bench
from dyncompile.files import make_folder
from dyncompile.reporting.sheet import Sheet
from dyncompile.reporting.svg import markup_of

DOCS = Path("docs/pictures")

_HEAD = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" ',
    '<rect width="100%" height="100%" fill="#fff"/>',
)


def svg_file(sheet: Sheet, name: str, seen: str) -> bytes:
    """Return a drawing as a file, with a namespace, a size, and white below.

    To be called within ``style``.

    Args:
        sheet: The drawing.
        name: What the ids in it begin with.
        seen: What it shows, for those who do not see it.
    """
    start, ground = _HEAD
    start = start.format(width=sheet.screen.width, height=round(sheet.height))
    markup = markup_of(sheet, name, seen).replace("<svg ", start, 1)
    first = markup.index(">") + 1
    return f"{markup[:first]}{ground}{markup[first:]}\n".encode()


def write_pictures(
    bench: Bench, stem: str, drawn: Iterable[tuple[str, bytes]], folder: Path, *, shown: bool
) -> None:
    """Write pictures into the folder of a study, and into the docs if those show the study.

    Args:
        bench: Says what is written.
        stem: What the names of the files begin with.
        drawn: A name and a file each.
        folder: Of the study.
        shown: Whether the docs show it.
    """
    if shown:
        make_folder(DOCS, "Run this in the folder of the repository.")
    for name, content in drawn:
        for place in (folder, *([DOCS] if shown else [])):
            (place / f"{stem}-{name}.svg").write_bytes(content)
            bench.say(f"{place / f'{stem}-{name}.svg'}")
