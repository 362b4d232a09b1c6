"""Short tables: which rows stand in them, as data."""

from __future__ import annotations

__all__ = ["SUMMARIES", "Cell", "Line", "Summary"]

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from benchmarks import dgate_tables, idp_tables
from benchmarks.dgate_tables import Grid
from benchmarks.engine_networks import MARKERS
from benchmarks.harness import COND, EAGER, STATIC, TORCH_COMPILE
from benchmarks.rows import Results, Row
from dyncompile.errors import InputError


@dataclass(frozen=True)
class Cell:
    """One figure, or the range of several.

    Attributes:
        table: Where its rows are.
        network: Pattern of the network, as of file names.
        against: The reference.
        path: Pattern of the path.
        digits: After the point.
        unit: What is written behind it.
        measure: What the rows are measured in; None is anything.
    """

    table: str
    network: str
    against: str = STATIC
    path: str = "*"
    digits: int = 2
    unit: str = ""
    measure: str | None = None

    def rows(self, results: Mapping[str, Results]) -> list[Row]:
        """Return the rows that have a figure.

        Raises:
            InputError: there is none.
        """
        found = [row for row in results[self.table].rows if self._has(row)]
        if not found:
            raise InputError(
                f"no figure of {self.network!r} against {self.against!r} on {self.path!r}.",
                where=f"results of {self.table!r}",
                remedy=f"Run all of python -m benchmarks.{self.table}.",
            )
        return found

    def text(self, results: Mapping[str, Results]) -> str:
        """Return the smallest and the largest figure, or one if they read the same."""
        values = [row.value for row in self.rows(results) if row.value is not None]
        low, high = (f"{value:.{self.digits}f}" for value in (min(values), max(values)))
        return f"{low if low == high else f'{low} - {high}'}{self.unit}"

    def _has(self, row: Row) -> bool:
        return (
            row.value is not None
            and row.against == self.against
            and self.measure in {None, row.unit}
            and fnmatchcase(row.network, self.network)
            and fnmatchcase(row.path, self.path)
        )


@dataclass(frozen=True)
class Line:
    """What was measured, and its figures.

    Attributes:
        text: ``{ms}`` in it stands for the range of the times of the reference.
        cells: Its figures.
    """

    text: str
    cells: tuple[Cell, ...]

    def markdown(self, results: Mapping[str, Results]) -> str:
        """Return a row of a table of two columns."""
        text = self.text.replace("{ms}", _milliseconds(self.cells, results))
        return f"| {text} | {', '.join(cell.text(results) for cell in self.cells)} |"


@dataclass(frozen=True)
class Summary:
    """A short table.

    Attributes:
        headings: Of its two columns.
        lines: Its rows.
        signed: Whether the runs are named below it.
    """

    headings: tuple[str, str]
    lines: tuple[Line, ...]
    signed: bool = True

    @property
    def tables(self) -> list[str]:
        """The tables it is taken from, in order."""
        return list(dict.fromkeys(cell.table for line in self.lines for cell in line.cells))

    def markdown(self, results: Mapping[str, Results]) -> list[str]:
        """Return the lines of the table.

        Raises:
            InputError: rows are missing.
        """
        first, second = self.headings
        body = [line.markdown(results) for line in self.lines]
        return [f"| {first} | {second} |", "|---|---|", *body]


def _milliseconds(cells: tuple[Cell, ...], results: Mapping[str, Results]) -> str:
    rows = [row for cell in cells for row in cell.rows(results)]
    times = [row.reference_us / 1e3 for row in rows if row.reference_us is not None]
    low, high = (_one_digit(value) for value in (min(times, default=0), max(times, default=0)))
    return f"{low} - {high}"


def _one_digit(value: float) -> str:
    if not value:
        return "0"
    return f"{value:.{max(0, -math.floor(math.log10(value)))}f}"


_RESNET18, _RESNET20 = "ResNet-18, 5 gates", "ResNet-20, 7 gates"
_EXPORTED = "as exported"
_PLANS = ("plan", "plan float16")
_SMALL = ("gate", "switch")


def _optimized(text: str, network: str, path: str = "*") -> Line:
    """Return a line of a file made elsewhere: beside the static network, and as it was."""
    against = ((STATIC, 2), (_EXPORTED, 1))
    cells = (Cell("optimize", network, name, path, digits) for name, digits in against)
    return Line(text, tuple(cells))


def _plan(text: str, network: str, paths: tuple[str, ...] = ("plan",)) -> Line:
    """Return a line of what a plan weighs beside that of the static network."""
    return Line(text, tuple(Cell("engines", network, path=path) for path in paths))


def _added(text: str, path: str, against: str = "C API alone") -> Line:
    """Return a line of the microseconds that a call of a small network takes more."""
    cells = (Cell("cpp", f"small, a {name}", against, path, 1, " us", "us") for name in _SMALL)
    return Line(text, tuple(cells))


def _every_chip(marker: str) -> Line:
    """Return a line of the plans of a marker for all chips."""
    name, _, how = marker.partition(", ")
    shown = f"`{name}`, as {how}" if how else f"`{name}`"
    paths = ("sm*[0-9]", "sm*, float16")
    return Line(shown, tuple(Cell("engines", marker, "", path, 2, " MB") for path in paths))


SUMMARIES: Mapping[str, Summary | Grid] = {
    "summary": Summary(
        ("ONNX Runtime CPU, 1 thread, batch 1", "time / static network of the same path"),
        (
            Line(
                "ResNet-18, 224 px, 5 gates: all on, half on, all off",
                tuple(Cell("published", _RESNET18, path=path) for path in ("on", "half", "off")),
            ),
            Line(
                "ResNet-20, CIFAR size, 7 gates: all on, half on",
                tuple(Cell("paths", _RESNET20, path=path) for path in ("on", "half")),
            ),
            Line(
                "the same with all gates off, per gate",
                (Cell("paths", f"{_RESNET20}, *", path="off", digits=1, unit=" us"),),
            ),
            Line(
                "8 early exits with scores, {ms} ms",
                (Cell("paths", "8 exits *, scored"),),
            ),
            Line(
                "a switch over 8 exits, {ms} ms, every level",
                (Cell("paths", "anytime *"),),
            ),
            Line(
                "one file for four widths, VGG-16, CIFAR size: 25 %, 50 %, 75 %, 100 % of channels",
                tuple(
                    Cell("budgets", "VGG-16, switch", path=f"{percent}%", measure="x")
                    for percent in (25, 50, 75, 100)
                ),
            ),
            Line(
                "its bytes / those of the static network of full width",
                (Cell("budgets", "VGG-16, switch", "static, bare", "file"),),
            ),
            Line(
                "**time saved / time saved by static prefixes**: ResNet-101, DenseNet-201,"
                " CIFAR size, 2 early exits",
                tuple(
                    Cell("published", f"{name}, 2 exits", "static prefixes", digits=3)
                    for name in ("ResNet-101", "DenseNet-201")
                ),
            ),
            Line(
                "**time of others / ours**, ResNet-20, all on:"
                " `torch.cond` export, `torch.compile`, eager PyTorch",
                tuple(
                    Cell("paths", _RESNET20, against, "on", digits=1)
                    for against in (COND, TORCH_COMPILE, EAGER)
                ),
            ),
        ),
    ),
    "optimized": Summary(
        (
            "ONNX Runtime CPU, 1 thread, batch 1",
            "optimized / static network of the path; as exported / optimized",
        ),
        (
            _optimized("`torch.cond`: ResNet-18, 224 px, 5 gates, all on", _RESNET18, "on"),
            _optimized("`torch.cond`: ResNet-20, CIFAR size, 7 gates, all on", _RESNET20, "on"),
            _optimized("nested `torch.cond`: 8 early exits", "8 exits C64 S32", "e*"),
            _optimized("nested `torch.cond`: one of four widths", "width, nested cond", "k*"),
            _optimized("`while_loop`, weights shared by all rounds", "Loop, shared *", "n*"),
            _optimized("`while_loop`, a weight for each round", "Loop, stacked *", "n*"),
            _optimized("`while_loop` that stops when it is sure", "Loop, confidence", "n*"),
            _optimized("`scan` over weights", "Scan, stacked *", ""),
            _optimized("`Where(decision, a, b)`", "Where", "o*"),
            Line(
                "time for a file of some 100 MB: `optimize`, and with `--no-verify`",
                tuple(
                    Cell("optimize", "6 wide gates, *", "the clock", name, 1, " s")
                    for name in ("optimize", "optimize --no-verify")
                ),
            ),
        ),
    ),
    "plans": Summary(
        (
            "TensorRT for RTX, built on a CPU, not run",
            "bytes of the plan / those of the static network: float32, float16",
        ),
        (
            _plan("ResNet-18, 224 px, 5 gates", _RESNET18, _PLANS),
            _plan("8 early exits with scores", "8 exits", _PLANS),
            _plan(
                "one engine for four widths inside the blocks of ResNet-18, as a chain",
                "ResNet-18, 4 widths, chain",
                _PLANS,
            ),
            _plan("the same as a switch", "ResNet-18, 4 widths, switch"),
            _plan("the same written with `torch.cond`", f"ResNet-18, 4 widths, {COND}"),
        ),
    ),
    "chips": Summary(
        (
            "plans of small networks, one per marker",
            "smallest and largest over all chips: float32, float16",
        ),
        tuple(_every_chip(marker) for marker in MARKERS),
    ),
    "cpp-calls": Summary(
        ("ONNX Runtime CPU, 1 thread, batch 1", "two small networks: a gate, a switch"),
        (
            _added("added to a call of the C API: into buffers of the caller", "into buffers"),
            _added("by a governor", "governed, into buffers"),
            _added("with outputs returned", "returning outputs"),
            Line(
                "allocations added, into buffers",
                tuple(
                    Cell(
                        "cpp",
                        f"small, a {name}",
                        "C API alone",
                        "into buffers",
                        0,
                        "",
                        "allocations",
                    )
                    for name in _SMALL
                ),
            ),
            _added("added to a call of ours by telemetry", "into buffers", "without telemetry"),
            Line(
                "what four threads win / what they win with the C API",
                tuple(
                    Cell("cpp", f"small, a {name}", "C API alone", "4 threads") for name in _SMALL
                ),
            ),
            Line(
                "time in Python / time in C++",
                tuple(
                    Cell("cpp", f"small, a {name}", "C++, returning outputs", "Python", 1)
                    for name in _SMALL
                ),
            ),
        ),
    ),
    **dgate_tables.GRIDS,
    **idp_tables.GRIDS,
}
