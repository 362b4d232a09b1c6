"""Write the figures of all runs into README and docs: ``python -m benchmarks.tables``.

A run leaves ``benchmarks/results/NAME.json``. A page asks for its rows with a block::

    <!-- figures: NAME -->
    <!-- end figures -->

where NAME is that of a run, for all rows, or of a short table in ``summary.py``.
"""

from __future__ import annotations

__all__ = ["TABLES", "main", "write_tables"]

from collections.abc import Iterator, Mapping
from pathlib import Path

import click

from benchmarks.blocks import names_of, replaced
from benchmarks.rows import Results, Row
from benchmarks.summary import SUMMARIES
from dyncompile.errors import DyncompileError, InputError
from dyncompile.files import replacing

TABLES = ("paths", "published", "optimize", "budgets", "engines", "cpp", "dgate", "idp")
RESULTS = Path("benchmarks/results")
COMMAND = "python -m benchmarks.tables"


def write_tables(
    root: Path, *, check: bool = False, allow_quick: bool = False
) -> dict[str, list[str]]:
    """Fill every block of figures in README and docs.

    Args:
        root: The repository.
        check: Write nothing.
        allow_quick: Take runs whose timings were short.

    Returns:
        For each page with blocks, the blocks that have changed.

    Raises:
        InputError: a block is unknown or malformed, or its results are missing or quick.
        ArtifactError: a page cannot be written.
    """
    pages = {page: page.read_text(encoding="utf-8") for page in _pages(root)}
    asked = {page: names_of(text, _name(page, root)) for page, text in pages.items()}
    content: dict[str, str] = {}
    for page, names in asked.items():
        for name in names:
            if name not in content:
                content[name] = _content(name, _name(page, root), root, allow_quick=allow_quick)
    filled = {
        page: replaced(text, _name(page, root), content.__getitem__)
        for page, text in pages.items()
        if asked[page]
    }
    for page, (text, changed) in filled.items():
        if changed and not check:
            with replacing(page) as file:
                file.write(text.encode())
    return {_name(page, root): changed for page, (_, changed) in filled.items()}


def _pages(root: Path) -> list[Path]:
    return [root / "README.md", *sorted((root / "docs").rglob("*.md"))]


def _name(page: Path, root: Path) -> str:
    return page.relative_to(root).as_posix()


def _content(name: str, page: str, root: Path, *, allow_quick: bool) -> str:
    if name in SUMMARIES:
        summary = SUMMARIES[name]
        results = {
            table: _results(root, table, allow_quick=allow_quick) for table in summary.tables
        }
        signed = ["", "\n\n".join(_origins(results))] if summary.signed else []
        return "\n".join([*summary.markdown(results), *signed])
    if name not in TABLES:
        raise InputError(
            f"there are no figures called {name!r}.",
            where=page,
            remedy=f"There are {', '.join([*SUMMARIES, *TABLES])}.",
        )
    one = _results(root, name, allow_quick=allow_quick)
    origins = "\n\n".join(_origins({name: one}))
    return "\n".join([origins, "", *_table(one.rows), "", *_remarks(one.rows)])


def _results(root: Path, table: str, *, allow_quick: bool) -> Results:
    path = RESULTS / f"{table}.json"
    results = Results.read(root / path)
    if "--only" in results.command:
        raise InputError(
            "it holds a part of the table.",
            where=path.as_posix(),
            remedy=f"Run make bench-{table}.",
        )
    if results.quick and not allow_quick:
        raise InputError(
            "a quick run is not published.",
            where=path.as_posix(),
            remedy=f"Run make bench-{table}, or give --allow-quick to see what it would look like.",
        )
    return results


def _origins(results: Mapping[str, Results]) -> Iterator[str]:
    machines = list(dict.fromkeys(one.machine for one in results.values()))
    for machine in machines:
        yield f"{machine}."
        for one in results.values():
            if one.machine == machine:
                yield (
                    f"`{one.command}`, {one.date}, {one.seconds:.0f} s: {one.label}"
                    f"{', a quick run' if one.quick else ''}."
                )


def _table(rows: tuple[Row, ...]) -> Iterator[str]:
    yield "| network | against | path | reference | figure | target |"
    yield "|---|---|---|---|---|---|"
    for row in rows:
        target = f"{row.target} (over)" if row.verdict == "over" else row.target
        cells = (row.network, row.against, row.path, _time(row), row.figure, target)
        yield f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def _time(row: Row) -> str:
    if row.reference_us is None:
        return ""
    if row.reference_us >= 1e6:
        return f"{row.reference_us / 1e6:.1f} s"
    return f"{row.reference_us:.0f} us"


def _remarks(rows: tuple[Row, ...]) -> Iterator[str]:
    aimed = sum(row.limit is not None for row in rows)
    over = [row for row in rows if row.verdict == "over"]
    missed = f"{len(over) or 'none'} missed it{':' if over else '.'}"
    yield f"{aimed} of {len(rows)} figures have a target; {missed}"
    if over:
        yield ""
    for row in over:
        path = f", {row.path}" if row.path else ""
        yield f"- {row.network}{path}, against {row.against}: {row.figure}, target {row.target}"


@click.command()
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 if a block is stale.")
@click.option("--allow-quick", is_flag=True, help="Take quick runs.")
@click.option(
    "--root",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path(),
    help="The repository, if not the current folder.",
)
def main(*, check: bool, allow_quick: bool, root: Path) -> None:
    """Write the figures of all runs into README and docs."""
    try:
        pages = write_tables(root, check=check, allow_quick=allow_quick)
    except DyncompileError as error:
        raise click.ClickException(str(error)) from error
    stale = False
    for page, changed in pages.items():
        for name in changed:
            stale = True
            click.echo(f"{page}: {name} {'is stale' if check else 'written'}")
    if not stale:
        click.echo(f"{len(pages)} pages are up to date")
    elif check:
        raise click.ClickException(f"run {COMMAND}.")


if __name__ == "__main__":
    main()
