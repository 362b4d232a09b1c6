"""The short tables of the page on decision gates, as data: a line per path, a column per unit."""

from __future__ import annotations

__all__ = ["GRIDS", "Column", "Grid"]

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from benchmarks import dgate_units as units
from benchmarks.dgate_units import DENSE, LABELS, SPAN
from benchmarks.rows import Results, Row
from dyncompile.errors import InputError


@dataclass(frozen=True)
class Column:
    """Figures of one kind.

    Attributes:
        heading: What stands above them.
        units: Of the rows that are put together in one cell.
        against: Of these rows, a pattern as of file names.
        form: Puts them together; ``{}`` for each.
    """

    heading: str
    units: tuple[str, ...]
    against: str = "*"
    form: str = "{:.1f}"

    def text(self, rows: list[Row]) -> str:
        """Return the cell of a line: why there is no figure, or nothing, where there is none."""
        found = [self._row(rows, unit) for unit in self.units]
        values = [row.value for row in found if row is not None and row.value is not None]
        if len(values) == len(self.units):
            return self.form.format(*values)
        return next((row.note for row in found if row is not None), "")

    def _row(self, rows: list[Row], unit: str) -> Row | None:
        fitting = (r for r in rows if r.unit == unit and fnmatchcase(r.against, self.against))
        return next(fitting, None)


@dataclass(frozen=True)
class Grid:
    """A table of one network: a line for each path, in the order of the rows.

    Attributes:
        first: Heading of the paths.
        network: Pattern of the network, as of file names.
        columns: The others.
        table: Where the rows are.
        signed: Whether the run is named below it.
    """

    first: str
    network: str
    columns: tuple[Column, ...]
    table: str = "dgate"
    signed: bool = False

    @property
    def tables(self) -> list[str]:
        """The table it is taken from."""
        return [self.table]

    def markdown(self, results: Mapping[str, Results]) -> list[str]:
        """Return the lines of the table.

        Raises:
            InputError: there are no rows.
        """
        rows = [row for row in results[self.table].rows if fnmatchcase(row.network, self.network)]
        if not rows:
            raise InputError(
                f"no figure of {self.network!r}.",
                where=f"results of {self.table!r}",
                remedy=f"Run all of python -m benchmarks.{self.table}.",
            )
        headings = [self.first, *(column.heading for column in self.columns)]
        lines = [_line(headings), _line(["---"] * len(headings), "")]
        for path in dict.fromkeys(row.path for row in rows):
            mine = [row for row in rows if row.path == path]
            lines.append(_line([path, *(column.text(mine) for column in self.columns)]))
        return lines


def _line(cells: list[str], space: str = " ") -> str:
    return f"|{space}{f'{space}|{space}'.join(cells)}{space}|"


def _interval(heading: str, unit: str, against: str = "*") -> Column:
    return Column(
        heading, tuple(f"{unit}{end}" for end in SPAN), against, "{:.2f} ({:.2f} to {:.2f})"
    )


def _leaving(number: int) -> Column:
    return Column(f"leave at gate{number}, %", (units.LEAVE,), f"gate{number}")


def _right_at(place: str) -> Column:
    return Column(f"right at {place}, %", (units.RIGHT,), f"{LABELS}, {place}")


_RIGHT = Column("right, %", (units.RIGHT,), LABELS)
_LOST = _interval("lost, points", units.LOST, DENSE)
_SAVED = Column("MACs saved, %", (units.SAVED,), DENSE)
_GATES = tuple(f"gate{number}" for number in (1, 2, 3))
_STATIC = (
    _RIGHT,
    Column("MACs, % of dense", (units.SHARE,), DENSE),
    Column("time / dense", ("x",), DENSE, "{:.2f}"),
)

GRIDS: Mapping[str, Grid] = {
    "dgate-effort": Grid(
        "effort",
        "*: effort",
        (_RIGHT, _LOST, _SAVED, *(_leaving(number) for number in (1, 2, 3))),
        signed=True,
    ),
    "dgate-time": Grid(
        "effort",
        "*: effort",
        (
            Column("time saved", (units.TIME,), DENSE, "{:.1%}"),
            Column("free", (units.FREE,), DENSE, "{:.1%}"),
            Column("saved / saved by static prefixes", (units.KEPT,), form="{:.3f}"),
            _interval("above the best static prefix, points", units.ABOVE),
        ),
    ),
    "dgate-prefixes": Grid("static prefix", "*: static prefix", _STATIC),
    "dgate-static": Grid(
        "static network",
        "*: static, trained for itself",
        (*_STATIC, _interval("the default effort is above, points", units.ABOVE)),
    ),
    "dgate-scores": Grid("score", "*: score", (_SAVED, _LOST)),
    "dgate-joint": Grid(
        "trained at once",
        "*: joint training",
        (
            _right_at("the end"),
            _interval("its end lost, points", units.LOST, "the first dense network"),
            _SAVED,
            _LOST,
            *(_right_at(gate) for gate in _GATES),
        ),
    ),
}
