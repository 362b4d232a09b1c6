"""The short tables of the study, as data."""

from __future__ import annotations

__all__ = ["GRIDS"]

from collections.abc import Mapping

from benchmarks.dgate_tables import Column, Grid
from benchmarks.dgate_units import ABOVE, DENSE, LABELS, RIGHT, SAVED, SHARE, SPAN, TIME
from benchmarks.harness import STATIC
from benchmarks.idp_levels import beside, named
from benchmarks.idp_study import IDP, ORDINARY, SANDWICH

_TRUNCATED = named(ORDINARY, recalibrated=False)
_ORDINARY, _IDP, _SANDWICH = (named(how, recalibrated=True) for how in (ORDINARY, IDP, SANDWICH))


def _right(heading: str, series: str) -> Column:
    return Column(heading, (RIGHT,), series)


def _above(heading: str, against: str) -> Column:
    units = tuple(f"{ABOVE}{end}" for end in SPAN)
    return Column(heading, units, against, "{:.2f} ({:.2f} to {:.2f})")


_WORK = Column("MACs, % of all channels", (SHARE,), DENSE)

GRIDS: Mapping[str, Grid] = {
    "idp-levels": Grid(
        "channels",
        "*: level",
        (
            _WORK,
            _right("trained ordinarily", _TRUNCATED),
            _right("recalibrated", _ORDINARY),
            _right("IDP", _IDP),
            _right("US-Nets", _SANDWICH),
        ),
        table="idp",
        signed=True,
    ),
    "idp-differences": Grid(
        "channels",
        "*: level",
        (
            _above("IDP above ordinary", beside(_IDP, _TRUNCATED)),
            _above("above ordinary, recalibrated", beside(_IDP, _ORDINARY)),
            _above("above US-Nets", beside(_IDP, _SANDWICH)),
        ),
        table="idp",
    ),
    "idp-alone": Grid(
        "static VGG-16",
        "*, trained for itself",
        (
            Column("right, %", (RIGHT,), LABELS),
            _WORK,
            _above("IDP of that width is above, points", _IDP),
            _above("US-Nets of that width are above, points", _SANDWICH),
        ),
        table="idp",
    ),
    "idp-artifact": Grid(
        "channels",
        "*: artifact of IDP",
        (
            Column("right, %", (RIGHT,), LABELS),
            Column("MACs saved, %", (SAVED,), DENSE),
            Column("time saved", (TIME,), DENSE, "{:.1%}"),
            Column("time / static network of the level", ("x",), STATIC, "{:.2f}"),
        ),
        table="idp",
    ),
}
