"""The report in a real browser: on screens of every width, and on paper."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WIDTHS = (1280, 800, 390, 320)
EXAMPLES = ("small", "huge", "without-data", "without-decisions")
PICTURES = {"small": 7, "huge": 7, "without-data": 7, "without-decisions": 1}
SMALLEST_TEXT = 9.0  # CSS pixels
SMALLEST_PRINT = 7.5  # CSS pixels, 96 an inch
PAPER_WIDTH = 688  # A4 without its margins of 14 mm

LOOK = """() => {
  const shown = element => element.checkVisibility({contentVisibilityAuto: true});
  const box = element => {
    const {left, right, top, bottom} = element.getBoundingClientRect();
    return {left, right, top, bottom};
  };
  const height = text => parseFloat(getComputedStyle(text).fontSize)
    * text.ownerSVGElement.getScreenCTM().a;
  return {
    width: document.documentElement.clientWidth,
    needed: document.scrollingElement.scrollWidth,
    pictures: [...document.querySelectorAll("figure")].map(figure => {
      const drawings = [...figure.children].filter(shown);
      const svgs = drawings.flatMap(drawing => [...drawing.querySelectorAll("svg")]);
      const texts = svgs.flatMap(svg => [...svg.querySelectorAll("text")]);
      return {
        drawings: drawings.map(drawing => drawing.className),
        boxes: svgs.map(box),
        texts: texts.map(text => ({
          text: text.textContent, height: height(text), box: box(text),
          svg: box(text.ownerSVGElement),
        })),
      };
    }),
    tables: [...document.querySelectorAll("table")].map(
      table => ({shown: shown(table), ...box(table)})),
  };
}"""

Look = dict[str, Any]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        reason = "no Chromium or Chrome is installed; make browser"
        if os.environ.get("DYNCOMPILE_BROWSER") == "required":
            pytest.fail(reason)
        pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


@contextmanager
def opened(browser: Browser, file: Path, width: int) -> Iterator[Page]:
    """Open a report; nothing may be said, asked for, or fail meanwhile."""
    page = browser.new_page(viewport={"width": width, "height": 800})
    said: list[str] = []
    requests: list[str] = []
    page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    try:
        page.goto(file.as_uri(), wait_until="load")
        yield page
        assert said == []
        assert requests == [file.as_uri()]
    finally:
        page.close()


def widths_and_examples() -> list[Any]:
    pairs = [(name, width) for name in EXAMPLES[:2] for width in WIDTHS]
    pairs += [(name, width) for name in EXAMPLES[2:] for width in WIDTHS[::3]]
    return [pytest.param(name, width, id=f"{name}-{width}") for name, width in pairs]


@pytest.mark.parametrize(("name", "width"), widths_and_examples())
def test_the_report_fits_the_screen(
    browser: Browser, reports: Mapping[str, Path], name: str, width: int
) -> None:
    with opened(browser, reports[name], width) as page:
        look: Look = page.evaluate(LOOK)
    assert look["needed"] <= look["width"] == width
    assert len(look["pictures"]) == PICTURES[name]
    for picture in look["pictures"]:
        assert picture["drawings"] == ["wide" if width > 700 else "narrow"]
        assert picture["boxes"]
        assert all(box["left"] >= 0 and box["right"] <= width for box in picture["boxes"])
        assert all(box["right"] - box["left"] > 0.5 * min(width, 860) for box in picture["boxes"])
        assert_readable(picture["texts"], SMALLEST_TEXT)


def assert_readable(texts: list[dict[str, Any]], smallest: float) -> None:
    """No text is too small, and none is cut off at the edge of its picture."""
    assert len(texts) > 5
    assert [text["text"] for text in texts if text["height"] < smallest] == []
    cut = [
        text["text"]
        for text in texts
        if text["box"]["left"] < text["svg"]["left"] - 1
        or text["box"]["right"] > text["svg"]["right"] + 1
        or text["box"]["top"] < text["svg"]["top"] - 1
        or text["box"]["bottom"] > text["svg"]["bottom"] + 1
    ]
    assert cut == []


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_report_can_be_printed(
    browser: Browser, reports: Mapping[str, Path], name: str, tmp_path: Path
) -> None:
    with opened(browser, reports[name], PAPER_WIDTH) as page:
        page.emulate_media(media="print")
        look: Look = page.evaluate(LOOK)
        pdf = page.pdf(path=tmp_path / "report.pdf", prefer_css_page_size=True)
    assert pdf.startswith(b"%PDF-")
    assert (tmp_path / "report.pdf").read_bytes() == pdf
    assert pdf.count(b"/Type /Page\n") >= 2
    assert look["needed"] <= PAPER_WIDTH
    assert look["tables"]
    for table in look["tables"]:
        assert table["shown"]
        assert table["bottom"] - table["top"] > 10
        assert table["right"] <= PAPER_WIDTH
    for picture in look["pictures"]:
        assert picture["drawings"] == ["wide"]
        for box in picture["boxes"]:
            assert box["right"] <= PAPER_WIDTH
            assert box["bottom"] - box["top"] < 1016  # a page of A4 without its margins
        assert_readable(picture["texts"], SMALLEST_PRINT)


def test_long_tables_are_folded_on_a_screen_and_unfold(
    browser: Browser, reports: Mapping[str, Path]
) -> None:
    with opened(browser, reports["small"], 390) as page:
        shown = [table["shown"] for table in page.evaluate(LOOK)["tables"]]
        assert True in shown
        assert False in shown
        folded = page.locator("details").first
        folded.locator("summary").click()
        assert folded.locator("table").is_visible()
