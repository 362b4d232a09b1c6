"""Pictures of the docs as SVG files that stand for themselves."""

from __future__ import annotations

__all__ = ["svg_file"]

from dyncompile.reporting.sheet import Sheet
from dyncompile.reporting.svg import markup_of

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
