"""What the pictures and the text ask of the findings."""

from __future__ import annotations

__all__ = ["View", "changed_knobs", "knob_order", "option_name"]

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dyncompile.manifest import Decision, OperatingPoint
from dyncompile.measuring.findings import (
    ARTIFACT,
    DEAREST,
    Findings,
    OtherFound,
    PathFound,
    PointFound,
    SetupFound,
)
from dyncompile.reporting.wording import shortened, spell_point

ALL_SAMPLES = "all"
LONGEST_KNOB = 28


@dataclass(frozen=True)
class View:
    """Findings as one setup gives them, and what follows from them.

    Attributes:
        findings: Everything.
        place: Which setup; the first one is the main one, which the pictures show.
    """

    findings: Findings
    place: int = 0

    @property
    def main(self) -> SetupFound | None:
        """What was found with the setup."""
        setups = self.findings.setups
        return setups[self.place] if self.place < len(setups) else None

    @property
    def paths(self) -> tuple[PathFound, ...]:
        """The forced paths."""
        return self.main.paths if self.main else ()

    @functools.cached_property
    def points(self) -> tuple[PointFound, ...]:
        """The free runs, knob by knob in order of their values; the default among the first's."""
        found = self.main.points if self.main else ()
        if self.default is None:
            return found
        usual = self.default.point
        swept = [k for k in usual if any(changed_knobs(p.point, usual) == {k} for p in found)]

        def order(point: PointFound) -> tuple[int, tuple[float, ...]]:
            changed = changed_knobs(point.point, usual) or set(swept[:1])
            if len(changed) != 1 or not changed <= set(swept):
                return len(swept), ()
            (knob,) = changed
            return swept.index(knob), knob_order(point.point[knob])

        return tuple(sorted(found, key=order))

    @property
    def default(self) -> PointFound | None:
        """The free run with all knobs at their defaults."""
        found = self.main.points if self.main else ()
        return next((point for point in found if point.is_default), None)

    @property
    def labelled(self) -> bool:
        """Whether it is known which samples were classified right."""
        return any(point.right is not None for point in self.points)

    @property
    def dearest(self) -> PathFound | None:
        """The forced path that takes most work; on equal work, that takes longest."""
        return max(
            self.paths,
            key=lambda found: (
                found.macs,
                found.us[ARTIFACT].median if ARTIFACT in found.us else 0,
            ),
            default=None,
        )

    @property
    def static_us(self) -> float | None:
        """Mean microseconds of the static network of the dearest path, on the same samples."""
        found = self.main.others.get(DEAREST) if self.main else None
        return found.mean_us if found else None

    @property
    def others(self) -> Mapping[str, OtherFound]:
        """What else ran on the samples."""
        found = self.main.others if self.main else {}
        return {label: one for label, one in found.items() if label != DEAREST}

    @functools.cached_property
    def numbers(self) -> Mapping[tuple[tuple[str, int], ...], int]:
        """Number of each path: the forced ones by their work, then others by frequency."""
        setups = self.findings.setups
        forced = sorted((found for one in setups for found in one.paths), key=lambda f: f.macs)
        taken = [t.path for one in setups for point in one.points for t in point.taken]
        keys = [path_key(path) for path in [*(found.path for found in forced), *taken]]
        return {key: place for place, key in enumerate(dict.fromkeys(keys), 1)}

    def path_number(self, path: Mapping[str, int]) -> int:
        """Return the number that a path has all over the report."""
        return self.numbers[path_key(path)]

    def point_name(self, found: PointFound) -> str:
        """Spell a point by what differs from the default; names of knobs shortened."""
        usual = {} if self.default is None else self.default.point
        if found.is_default:  # by the knobs that other points change
            points = [one.point for one in self.points]
            changed = set[str]().union(*(changed_knobs(one, usual) for one in points))
        else:
            changed = changed_knobs(found.point, usual)
        name = spell_point(
            {shortened(k, LONGEST_KNOB): v for k, v in found.point.items() if k in changed}
        )
        if not found.is_default:
            return name
        return f"{name} (default)" if len(changed) == 1 else "default"

    def class_names(self) -> tuple[str, ...]:
        """Return the names of the classes that decisions are counted by; at least one."""
        point = self.default
        width = max((len(rows) for rows in point.options.values()), default=1) if point else 1
        names = self.findings.classes
        if width == 1 and len(names) != 1:
            return (ALL_SAMPLES,)
        return tuple(names[n] if n < len(names) else f"class {n}" for n in range(width))

    def share(self, decision: Decision, option: int) -> float | None:
        """Return the share of the samples that took an option at the default knobs.

        ``option`` may be the number of options: the samples that did not come to the decision.
        """
        rows = self.default.options.get(decision.name, ()) if self.default else ()
        samples = sum(map(sum, rows))
        if not samples:
            return None
        return sum(row[option] for row in rows if option < len(row)) / samples


def changed_knobs(point: OperatingPoint, usual: OperatingPoint) -> set[str]:
    """Return the knobs whose values differ."""
    return {name for name, value in point.items() if usual.get(name) != value}


def knob_order(value: float | Sequence[float]) -> tuple[float, ...]:
    """Return what values of a knob are sorted by."""
    return tuple(value) if isinstance(value, Sequence) else (value,)


def path_key(path: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    """Return what tells a path from others."""
    return tuple(sorted(path.items()))


def option_name(decision: Decision, option: int) -> str:
    """Name an option: ``off``, ``on``, ``option 2``."""
    return ("off", "on")[option] if decision.kind == "gate" else f"option {option}"
