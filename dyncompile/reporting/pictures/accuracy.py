"""Accuracy, or work without labels, against latency over the knobs."""

from __future__ import annotations

__all__ = ["accuracy", "points_table"]

from collections.abc import Mapping

from dyncompile.measuring.findings import PointFound
from dyncompile.reporting.pictures.knob_lines import Cloud, draw_cloud
from dyncompile.reporting.pictures.picture import LeftOut, Picture, draw
from dyncompile.reporting.tables import Cell, Table, name_cell
from dyncompile.reporting.view import View
from dyncompile.reporting.wording import amount, clean, count, duration, listed, number, percent

FAR = 4.0  # times the slowest setting: what is further right is only named


def accuracy(view: View) -> tuple[Picture | LeftOut, ...]:
    """Show one point per setting of the knobs, and beside them what they are compared with."""
    title = "Accuracy against latency"
    left_out: tuple[LeftOut, ...] = ()
    if not view.labelled:
        left_out = (LeftOut(title, "The samples have no labels."),)
        title = "Work against latency"
    if not view.points or (len(view.points) == 1 and not view.labelled):
        return left_out
    near, far = _marks(view)
    says = [
        "Each point is one setting of the knobs, at its mean time a call.",
        "The thin line to its right ends where 95 of 100 calls are done.",
    ]
    if near:
        says.append("Dashed: the time of what it is compared with.")
    if far:
        beyond = listed([f"{clean(name)} ({duration(us)})" for name, us in far.items()])
        says.append(f"Beyond the right edge: {beyond}.")
    cloud = _cloud(view, near)
    seen = f"{title}: {count(len(view.points), 'setting')} of the knobs as points. {says[-1]}"
    drawings = draw("accuracy", seen, lambda screen: draw_cloud(cloud, screen))
    return (*left_out, Picture("accuracy", title, tuple(says), drawings, (points_table(view),)))


def _marks(view: View) -> tuple[dict[str, float], dict[str, float]]:
    """Return the mean times to compare with: those in reach, and those far beyond."""
    slowest = max(point.mean_us for point in view.points)
    found = {name: other.mean_us for name, other in view.others.items()}
    if view.static_us is not None:
        found = {"static network of the dearest path": view.static_us, **found}
    near = {name: us for name, us in found.items() if us <= FAR * slowest}
    return near, {name: us for name, us in found.items() if name not in near}


def _cloud(view: View, marks: Mapping[str, float]) -> Cloud:
    divisor, unit = _unit(view)
    return Cloud(
        points=view.points,
        heights=tuple(_height(view, point) / divisor for point in view.points),
        axis="classified right, %" if view.labelled else f"mean MACs a sample{unit}",
        marks=marks,
        most=100.0 if view.labelled else None,
    )


def _unit(view: View) -> tuple[float, str]:
    most = max(_height(view, point) for point in view.points)
    if view.labelled or most < 1e4:
        return 1.0, ""
    return (1e6, ", millions") if most >= 1e6 else (1e3, ", thousands")


def _height(view: View, point: PointFound) -> float:
    if not view.labelled:
        return point.macs
    return 100 * (point.right or 0) / max(point.samples, 1)


def points_table(view: View) -> Table:
    """Return the figures of every setting of the knobs."""
    dearest = view.static_us
    rows: list[tuple[Cell | str, ...]] = [
        (
            name_cell(view.point_name(point)),
            *([_right(point)] if view.labelled else []),
            duration(point.mean_us),
            duration(point.us.median),
            duration(point.p95_us),
            amount(point.macs),
            *([number(point.mean_us / dearest)] if dearest else []),
        )
        for point in view.points
    ]
    headings = (
        "knobs",
        *(["right"] if view.labelled else []),
        *("mean", "median", "95 % within", "mean MACs"),
        *(["mean / static"] if dearest else []),
    )
    return Table("Settings of the knobs", headings, tuple(rows))


def _right(point: PointFound) -> str:
    return "-" if point.right is None else percent(point.right / max(point.samples, 1))
