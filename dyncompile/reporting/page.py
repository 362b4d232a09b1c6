"""Findings as one HTML file that loads nothing: it works offline and from a mail."""

from __future__ import annotations

__all__ = ["page", "write_report"]

from importlib import resources
from pathlib import Path

from dyncompile.files import replacing
from dyncompile.inspecting import size_in_bytes
from dyncompile.measuring.findings import Findings
from dyncompile.reporting.pictures import PICTURES, LeftOut, Picture
from dyncompile.reporting.setups import setup_tables
from dyncompile.reporting.summary import headline, summary
from dyncompile.reporting.tables import Cell, name_cell
from dyncompile.reporting.view import View
from dyncompile.reporting.wording import clean, count, spell_setup


def write_report(findings: Findings, path: str | Path) -> None:
    """Write the report; the same findings give the same bytes.

    Raises:
        ArtifactError: the file cannot be written.
    """
    with replacing(Path(path)) as file:
        file.write(page(findings).encode())


def page(findings: Findings) -> str:
    """Return the report as HTML."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    view = View(findings)
    found = [one for picture in PICTURES for one in picture(view)]
    pictures = [one for one in found if isinstance(one, Picture)]
    missing = [f"{one.title}: {one.why}" for one in found if isinstance(one, LeftOut)]
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["cell"] = lambda cell: cell if isinstance(cell, Cell) else Cell(cell)
    environment.filters["markup"] = Markup
    return environment.from_string(_resource("page.html.jinja")).render(
        style=Markup(_resource("page.css")),
        artifact=name_cell(findings.artifact),
        date=clean(findings.date),
        facts=_facts(view),
        headline=headline(view),
        summary=summary(view),
        pictures=pictures,
        setups=setup_tables(view),
        others=[(clean(label), clean(words)) for label, words in findings.others.items()],
        left_out=[*missing, *map(clean, findings.notes)],
    )


def _resource(name: str) -> str:
    return resources.files("dyncompile.reporting").joinpath(name).read_text(encoding="utf-8")


def _facts(view: View) -> list[tuple[str, Cell]]:
    findings, point = view.findings, view.default
    samples = f"{count(point.samples, 'sample')}, " if point else ""
    data = "drawn noise" if findings.data is None else f"from {findings.data}"
    facts = [
        ("File", name_cell(f"{findings.artifact}, {size_in_bytes(findings.artifact_bytes)}", 96)),
        ("Decisions", name_cell(str(len(findings.decisions)))),
        ("Samples", name_cell(f"{samples}{data}", 96)),
        ("Machine", name_cell(findings.machine, 200)),
        ("Setup", name_cell(spell_setup(view.main.setup) if view.main else "none")),
    ]
    if point and point.timed != point.samples:
        facts.insert(3, ("Timed", name_cell(f"{count(point.timed, 'sample')} of these")))
    if len(findings.setups) > 1:
        more = "; ".join(spell_setup(one.setup) for one in findings.setups[1:])
        facts.append(("Also run", name_cell(more, 200)))
    return facts
