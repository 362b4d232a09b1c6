from __future__ import annotations

import itertools
import re

import pytest

from dyncompile.reporting.sheet import (
    NARROW,
    WIDE,
    Key,
    Pen,
    Sheet,
    fitted,
    in_parts,
    legend_height,
    shades,
    text_width,
)
from dyncompile.reporting.svg import markup_of, style


def test_width_is_that_of_the_font() -> None:
    assert text_width("iiii", 10) < text_width("MMMM", 10)
    assert text_width("MMMM", 20) == pytest.approx(2 * text_width("MMMM", 10))
    assert text_width("block", 10, bold=True) > text_width("block", 10)
    assert text_width("語", 10) == 10


@pytest.mark.parametrize("room", [200.0, 60.0, 20.0], ids=str)
def test_fitted_text_fits_and_leaves_no_room_for_more(room: float) -> None:
    text = "stage3.block17.skip"
    short = fitted(text, room, 12)
    assert text_width(short, 12) <= room
    assert short == text or text_width(fitted(text, room + 24, 12), 12) > text_width(short, 12)


@pytest.mark.parametrize(
    ("size", "most", "lengths"),
    [
        pytest.param(0, 5, [], id="none"),
        pytest.param(5, 5, [5], id="one-part"),
        pytest.param(6, 5, [3, 3], id="two-parts"),
        pytest.param(11, 5, [3, 4, 4], id="three-parts"),
    ],
)
def test_parts_are_about_as_long(size: int, most: int, lengths: list[int]) -> None:
    parts = in_parts(size, most)
    assert [len(part) for part in parts] == lengths
    assert [n for part in parts for n in part] == list(range(size))


def test_a_legend_flows_into_lines() -> None:
    keys = [Key(f"entry number {n}", "#000000") for n in range(8)]
    assert legend_height(NARROW, keys, 10) > legend_height(WIDE, keys, 10)
    assert legend_height(WIDE, keys[:1], 10) == WIDE.line
    assert legend_height(WIDE, [], 10) == 0


def test_colours_differ_in_grey() -> None:
    def grey(color: str) -> float:
        red, green, blue = (int(color[n : n + 2], 16) for n in (1, 3, 5))
        return 0.299 * red + 0.587 * green + 0.114 * blue

    greys = [grey(color) for color in shades(7)]
    assert all(abs(one - other) > 25 for one, other in itertools.pairwise(greys))


def drawn(name: str) -> str:
    with style(NARROW):
        sheet = Sheet(NARROW, 100)
        axes = sheet.axes(20, 10, 300, 80)
        axes.plot([0, 1], [0, 1])
        sheet.write(10, 20, "a name that is <far> too $long$ for its room", Pen(bold=True), room=80)
        sheet.write(10, 40, "$x_1$ & y")
        return markup_of(sheet, name, 'seen by "all"')


def test_text_stays_text_in_a_generic_font() -> None:
    markup = drawn("a")
    assert "$x_1$ &amp; y" in markup
    assert "<title>a name that is &lt;far&gt; too $long$ for its room</title>" in markup
    families = re.findall(r"font-family: ([^;\"]*)", markup)
    sizes = re.findall(r"font-size: ([^;\"]*)", markup)
    assert set(families) == {"sans-serif"}
    assert set(sizes) == {"11.5px"}
    assert len(families) == len(sizes) == markup.count("<text") > 4


def test_a_picture_brings_no_style_and_only_ids_of_its_own() -> None:
    markup = drawn("a")
    assert markup.startswith('<svg viewBox="0 0 340 100" role="img" aria-label="seen by &quot;all')
    assert "<style" not in markup
    assert "<metadata" not in markup
    ids = re.findall(r' id="([^"]*)"', markup)
    assert ids
    assert all(one.startswith("a-") for one in ids)
    assert {f"#{one}" for one in ids} == {
        found
        for pair in re.findall(r'href="(#[^"]*)"|url\((#[^)]*)\)', markup)
        for found in pair
        if found
    }
    assert drawn("a") == markup
    assert drawn("b") == markup.replace('"a-', '"b-').replace("#a-", "#b-")


def test_drawing_leaves_the_settings_of_matplotlib_alone() -> None:
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    drawn("a")
    assert dict(mpl.rcParams) == before
