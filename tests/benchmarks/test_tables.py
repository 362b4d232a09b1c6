from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks import tables
from benchmarks.rows import Results, Row
from benchmarks.summary import SUMMARIES, Cell, Line, Summary
from dyncompile.errors import InputError

ROOT = Path(__file__).parents[2]

ROWS = (
    Row("Net, 2 gates", "static", "on", 1500.0, 1.0251, limit=1.02),
    Row("Net, 2 gates", "static", "off", 40.0, 1.0049, limit=1.02),
    Row("Net, 2 gates", "torch.compile", "on", None, None, note="CppError: no a|b compiler"),
)
RESULTS = Results("python -m benchmarks.paths", "A CPU", "2026-01-02", "a label", False, 61.4, ROWS)
PAGE = "# Page\n\n<!-- figures: paths -->\nold\n<!-- end figures -->\n\nmore\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    (tmp_path / "benchmarks" / "results").mkdir(parents=True)
    (tmp_path / "README.md").write_text("# Nothing to fill\n")
    (tmp_path / "docs" / "page.md").write_text(PAGE)
    _leave(tmp_path, RESULTS)
    return tmp_path


def _leave(root: Path, results: Results) -> None:
    results.write(root / "benchmarks" / "results" / "paths.json")


def test_results_are_read_as_they_were_written(root: Path) -> None:
    assert Results.read(root / "benchmarks" / "results" / "paths.json") == RESULTS


def test_a_block_gets_origin_rows_and_remarks(root: Path) -> None:
    assert tables.write_tables(root) == {"docs/page.md": ["paths"]}
    assert (
        (root / "docs" / "page.md").read_text()
        == """# Page

<!-- figures: paths -->
A CPU.

`python -m benchmarks.paths`, 2026-01-02, 61 s: a label.

| network | against | path | reference | figure | target |
|---|---|---|---|---|---|
| Net, 2 gates | static | on | 1500 us | 1.025 x | <= 1.02 (over) |
| Net, 2 gates | static | off | 40 us | 1.005 x | <= 1.02 |
| Net, 2 gates | torch.compile | on |  | CppError: no a/b compiler |  |

2 of 3 figures have a target; 1 missed it:

- Net, 2 gates, on, against static: 1.025 x, target <= 1.02
<!-- end figures -->

more
"""
    )


def test_a_second_run_changes_nothing(root: Path) -> None:
    tables.write_tables(root)
    assert tables.write_tables(root) == {"docs/page.md": []}


def test_a_stale_block_is_told_and_left_as_it_is(root: Path) -> None:
    tables.write_tables(root)
    before = (root / "docs" / "page.md").read_text()
    row = replace(ROWS[0], value=1.0)
    _leave(root, replace(RESULTS, rows=(row, *ROWS[1:])))
    result = CliRunner().invoke(tables.main, ["--check", "--root", str(root)])
    assert result.exit_code == 1
    assert "docs/page.md: paths is stale" in result.output
    assert (root / "docs" / "page.md").read_text() == before


def test_a_fresh_page_passes_the_check(root: Path) -> None:
    tables.write_tables(root)
    result = CliRunner().invoke(tables.main, ["--check", "--root", str(root)])
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ("<!-- figures: none -->\n<!-- end figures -->", "docs/page.md: there are no figures"),
        ("\n<!-- figures: paths -->\n", "docs/page.md, line 2: the block of figures 'paths'"),
        ("<!-- figures: paths -->\n" * 2 + "<!-- end figures -->", "line 1: the block of figures"),
        ("<!-- end figures -->", "docs/page.md, line 1: a block of figures ends"),
        ("<!-- figures: published -->\n<!-- end figures -->", "published.json: cannot be read"),
    ],
    ids=["unknown name", "no end", "two starts", "no start", "no results"],
)
def test_a_page_that_cannot_be_filled_is_one_clear_line(root: Path, page: str, said: str) -> None:
    (root / "docs" / "page.md").write_text(page)
    result = CliRunner().invoke(tables.main, ["--root", str(root)])
    assert result.exit_code == 1
    assert said in result.output
    assert result.output.count("\n") == 1
    assert (root / "docs" / "page.md").read_text() == page


@pytest.mark.parametrize(
    ("results", "said"),
    [
        (replace(RESULTS, quick=True), "a quick run is not published"),
        (replace(RESULTS, command=f"{RESULTS.command} --only a"), "it holds a part of the table"),
    ],
    ids=["quick", "partial"],
)
def test_results_that_are_not_the_whole_are_refused(
    root: Path, results: Results, said: str
) -> None:
    _leave(root, results)
    with pytest.raises(InputError, match=said):
        tables.write_tables(root)


def test_a_quick_run_can_be_looked_at(root: Path) -> None:
    _leave(root, replace(RESULTS, quick=True))
    tables.write_tables(root, allow_quick=True)
    assert "a quick run." in (root / "docs" / "page.md").read_text()


def test_what_is_not_results_is_refused(root: Path) -> None:
    (root / "benchmarks" / "results" / "paths.json").write_text('{"rows": [1]}')
    with pytest.raises(InputError, match="these are not the results of a benchmark"):
        tables.write_tables(root)


def test_a_short_table_shows_ranges_of_what_was_timed() -> None:
    cells = (Cell("paths", "Net, *"), Cell("paths", "Net, *", path="o[n]", digits=1, unit=" x"))
    short = Summary(("a", "b"), (Line("net, {ms} ms", cells),))
    assert short.markdown({"paths": RESULTS})[2:] == ["| net, 0.04 - 2 ms | 1.00 - 1.03, 1.0 x |"]


def test_a_short_table_of_missing_rows_is_refused() -> None:
    short = Summary(("a", "b"), (Line("net", (Cell("paths", "Other"),)),))
    with pytest.raises(InputError, match="no figure of 'Other' against 'static'"):
        short.markdown({"paths": RESULTS})


def test_readme_and_docs_show_the_results_that_lie_here() -> None:
    changed = tables.write_tables(ROOT, check=True)
    assert {"README.md", "docs/benchmarks.md"} <= set(changed)
    assert not any(changed.values()), "run: python -m benchmarks.tables"


def test_make_bench_makes_every_table() -> None:
    lines = (ROOT / "Makefile").read_text().splitlines()
    assert f"TABLES := {' '.join(tables.TABLES)}" in lines
    assert {table for short in SUMMARIES.values() for table in short.tables} <= set(tables.TABLES)
