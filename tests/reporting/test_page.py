from __future__ import annotations

import dataclasses
import html.parser
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest

from dyncompile.errors import ArtifactError
from dyncompile.measuring.findings import Findings
from dyncompile.reporting import write_report
from dyncompile.reporting.page import page
from tests.reporting import examples
from tests.reporting.conftest import EXAMPLES

MOST_BYTES = 1_500_000


class Reader(html.parser.HTMLParser):
    """Collects what the tests ask of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.ids: list[str] = []
        self.references: list[str] = []
        self.headings: list[str] = []
        self.svgs: list[Mapping[str, str | None]] = []
        self.titles: list[str] = []
        self.said: dict[str, str] = {}
        self._open: list[str] = []
        self._section = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags[tag] += 1
        self._open.append(tag)
        if tag == "section":
            self._section = found["id"] or ""
        if tag == "svg":
            self.svgs.append(found)
        for key, value in found.items():
            if key == "id":
                self.ids.append(value or "")
            elif key in {"href", "src", "xlink:href"}:
                self.references.append(value or "")
            elif key == "title":
                self.titles.append(value or "")
            else:
                self.references += re.findall(r"url\(([^)]*)\)", value or "")

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if "h2" in self._open:
            self.headings.append(data)
        if not {"svg", "style", "table"} & set(self._open):
            self.said[self._section] = self.said.get(self._section, "") + data


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_file_needs_nothing_else_and_is_small(reports: Mapping[str, Path], name: str) -> None:
    text = reports[name].read_text(encoding="utf-8")
    found = Reader(text)
    assert reports[name].stat().st_size < MOST_BYTES
    assert not {"script", "link", "iframe", "object", "base"} & set(found.tags)
    ids = {f"#{one}" for one in found.ids}
    assert len(ids) == len(found.ids)
    assert all(one in ids or one.startswith("data:image/") for one in found.references)
    assert "default-src 'none'" in text


@pytest.mark.parametrize("name", ["small", "without-decisions"])
def test_the_same_findings_give_the_same_bytes(
    reports: Mapping[str, Path], name: str, tmp_path: Path
) -> None:
    again = tmp_path / "again.html"
    write_report(EXAMPLES[name](), again)
    assert again.read_bytes() == reports[name].read_bytes()


def test_every_picture_is_told_in_words_and_followed_by_its_numbers(
    reports: Mapping[str, Path],
) -> None:
    text = reports["small"].read_text(encoding="utf-8")
    found = Reader(text)
    assert found.tags["figure"] == 7
    assert len(found.svgs) == 2 * 7
    assert all(svg["role"] == "img" and len(svg["aria-label"] or "") > 30 for svg in found.svgs)
    for section in re.findall(r"<section.*?</section>", text, re.DOTALL):
        if "<figure" in section:
            assert "<table" in section.partition("</figure>")[2]


def test_names_are_text_never_markup(reports: Mapping[str, Path]) -> None:
    text = reports["huge"].read_text(encoding="utf-8")
    found = Reader(text)
    assert found.tags["script"] == 0
    assert "&lt;script&gt;alert(" in text
    assert any(examples.LONG in title for title in found.titles)
    assert max(map(len, text.split("<"))) < 20_000


@pytest.mark.parametrize(
    ("findings", "said"),
    [
        pytest.param(
            examples.without_data(),
            ["Accuracy against latency: The samples have no labels."],
            id="without-labels",
        ),
        pytest.param(
            examples.without_decisions(),
            [
                "Which paths the samples take: The network takes no decisions",
                "Share of samples per decision and class: The network takes no decisions.",
                "Where the time goes: The time was not profiled by operator.",
                "The decision tree: The network takes no decisions.",
            ],
            id="without-decisions",
        ),
        pytest.param(
            dataclasses.replace(examples.small(), setups=(), notes=("Nothing could be run.",)),
            [
                "Each path beside a static network of it: No path was forced.",
                "Nothing could be run.",
            ],
            id="nothing-measured",
        ),
    ],
)
def test_a_missing_picture_is_said(findings: Findings, said: list[str]) -> None:
    found = Reader(page(findings))
    for sentence in said:
        assert sentence in found.said["left-out"]
        assert sentence.partition(":")[0] not in found.headings


def test_without_labels_work_stands_in_for_accuracy(reports: Mapping[str, Path]) -> None:
    found = Reader(reports["without-data"].read_text(encoding="utf-8"))
    assert "Work against latency" in found.headings
    assert "classified right" not in reports["without-data"].read_text(encoding="utf-8")


def test_what_no_file_can_hold_is_replaced() -> None:
    findings = dataclasses.replace(
        examples.small(), artifact="a\x00b\udc80.onnx", classes=("\x1b[0m \u202e",) * 10
    )
    text = page(findings)
    assert text.encode()
    assert not set("\x00\x1b\u202e\udc80") & set(text)


@pytest.mark.parametrize("name", ["missing/report.html", "."], ids=["no-folder", "a-folder"])
def test_a_path_that_cannot_be_written_is_one_clear_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(ArtifactError):
        write_report(examples.without_decisions(), tmp_path / name)
    assert list(tmp_path.iterdir()) == []
