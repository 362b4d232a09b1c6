"""Print what calls of an artifact take on this machine."""

from __future__ import annotations

__all__ = ["print_latencies"]

from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from dyncompile.engine_file import SUFFIX
from dyncompile.inspecting import plain
from dyncompile.runtime import latency_cache

if TYPE_CHECKING:
    from rich.console import Console

    from dyncompile.manifest import OperatingPoint
    from dyncompile.runtime.calibration import Calibration


def print_latencies(file: Path, console: Console) -> None:
    """Print what is kept of an artifact or an engine for this machine, or how to get it."""
    found = latency_cache.kept_here(latency_cache.digest(file))
    if not found:
        bench = "" if file.suffix == SUFFIX else f"dyncompile bench {plain(file)}, or "
        console.print(f"Latency here: not measured. Run {bench}net.calibrate(samples).")
    for calibration in found:
        console.print(_table(calibration))


def _table(calibration: Calibration) -> Table:
    table = Table(title=plain(_title(calibration)), title_justify="left")
    table.add_column("operating point")
    for heading in ("median ms", "mean ms", "p95 ms"):
        table.add_column(heading, justify="right")
    table.add_column("measured on")
    for latency in calibration.latencies:
        what = "drawn noise" if latency.drawn else f"{latency.samples} sample"
        table.add_row(
            plain(_spell(latency.point)),
            *(f"{ms:.3g}" for ms in (latency.median_ms, latency.mean_ms, latency.p95_ms)),
            what if latency.drawn or latency.samples == 1 else f"{what}s",
        )
    return table


def _title(calibration: Calibration) -> str:
    found = calibration.conditions
    threads = f"{found.threads or 'default'} thread{'' if found.threads == 1 else 's'}"
    providers = ", ".join(found.providers)
    return f"Latency here: {threads}, {providers}, {found.runtime}, {calibration.date}"


def _spell(point: OperatingPoint) -> str:
    return " ".join(f"{name}={value}" for name, value in point.items()) or "no knobs"
