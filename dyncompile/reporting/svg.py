"""Figures as SVG that can stand in a page: no prologue, no global style, ids of their own."""

from __future__ import annotations

__all__ = ["markup_of", "style"]

import io
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from xml.etree import ElementTree as ET

from dyncompile.reporting.sheet import HALO, PALE, Screen, Sheet

_LONG_NUMBER = re.compile(r"-?\d+\.\d{3,}")
_REFERENCE = re.compile(r"(?:url\(|^)#([^)]+)")
_FAMILY = re.compile(
    r"""(px |font-family: ?)(?:'[^']*'|"[^"]*"|[\w -]+)(?:, *(?:'[^']*'|"[^"]*"|[\w -]+))*"""
)
_NO_TURN = ("rotate(-0 ", "rotate(0 ")
_DROPPED = frozenset({"metadata", "style"})


@contextmanager
def style(screen: Screen) -> Iterator[None]:
    """Set how matplotlib draws, for the time being."""
    import matplotlib as mpl

    settings: dict[str, Any] = {
        "svg.fonttype": "none",
        "svg.hashsalt": "dyncompile",
        "text.parse_math": False,
        "font.family": "DejaVu Sans",
        "font.size": screen.font,
        "axes.labelsize": screen.font,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.edgecolor": "#8c959f",
        "axes.axisbelow": True,
        "axes.unicode_minus": False,
        "xtick.labelsize": screen.font,
        "ytick.labelsize": screen.font,
        "grid.color": PALE,
        "grid.linewidth": 0.7,
        "lines.linewidth": 1.6,
        "figure.facecolor": "none",
        "axes.facecolor": "none",
    }
    with mpl.rc_context(), warnings.catch_warnings():
        mpl.rcdefaults()
        mpl.rcParams.update(settings)  # type: ignore[arg-type]
        warnings.filterwarnings("ignore", "Glyph .* missing from")  # the browser has fonts for it
        yield


def markup_of(sheet: Sheet, name: str, seen: str) -> str:
    """Return a sheet as an ``svg`` element; to be called within ``style``.

    Args:
        sheet: What was drawn.
        name: Prefix of the ids in it, unique in the page.
        seen: What there is to see, for who cannot.
    """
    file = io.StringIO()
    nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
    sheet.figure.savefig(file, format="svg", metadata=nothing)
    root = ET.fromstring(file.getvalue())
    _prune(root)
    _title(root, sheet.titles)
    kept = _references(root)
    for element in root.iter():
        _tidy(element, kept, name)
    root.attrib = {
        "viewBox": f"0 0 {sheet.screen.width} {round(sheet.height)}",
        "role": "img",
        "aria-label": seen,
    }
    return ET.tostring(root, encoding="unicode")


def _prune(element: ET.Element) -> None:
    element.tag = element.tag.rpartition("}")[2]
    element.text = None if element.tag != "text" else element.text
    element.tail = None
    for child in list(element):
        if child.tag.rpartition("}")[2] in _DROPPED:
            element.remove(child)
        else:
            _prune(child)


def _title(root: ET.Element, titles: Mapping[str, str]) -> None:
    for element in root.iter("g"):
        if element.get("id", "").startswith(HALO):
            element.set("class", HALO)
        if full := titles.get(element.get("id", "")):
            title = ET.Element("title")
            title.text = full
            element.insert(0, title)


def _references(root: ET.Element) -> set[str]:
    return {
        found
        for element in root.iter()
        for value in element.attrib.values()
        for found in _REFERENCE.findall(value)
    }


def _tidy(element: ET.Element, kept: set[str], name: str) -> None:
    """Give ids the prefix or drop them, round numbers, leave the choice of the font to the page."""
    changed = {}
    for qualified, value in element.attrib.items():
        key = qualified.rpartition("}")[2]
        if value.startswith(_NO_TURN):
            continue
        if key != "id":
            changed[key] = value if value.startswith("data:") else _tidied(value, name)
        elif value in kept:
            changed[key] = f"{name}-{value}"
    element.attrib = changed


def _tidied(value: str, name: str) -> str:
    referring = _REFERENCE.sub(lambda found: found[0].replace("#", f"#{name}-"), value)
    generic = _FAMILY.sub(r"\1sans-serif", referring) if "font" in value else referring
    return _LONG_NUMBER.sub(_rounded, generic)


def _rounded(found: re.Match[str]) -> str:
    return f"{float(found[0]):.2f}".rstrip("0").rstrip(".")
