"""A budget of time, and what was picked to keep within it."""

from __future__ import annotations

__all__ = ["Budget", "Pick"]

from dataclasses import dataclass
from numbers import Real

from dyncompile.errors import InputError
from dyncompile.manifest import OperatingPoint
from dyncompile.runtime.ladder import PERCENTILES


@dataclass(frozen=True)
class Budget:
    """What a call may take.

    Attributes:
        ms: Milliseconds; infinite for no limit.
        percentile: Of the calls at one point that have to be in time: 50 or 95.

    Raises:
        InputError: not a positive time, or a percentile that is not kept.
    """

    ms: float
    percentile: int = 95

    def __post_init__(self) -> None:
        if not (_is_number(self.ms) and self.ms > 0):
            raise InputError(
                f"{self.ms!r} is no time that a call could take.",
                where="milliseconds",
                remedy="Give a positive number.",
            )
        if not (_is_number(self.percentile) and self.percentile in PERCENTILES):
            raise InputError(
                f"{self.percentile!r} is not measured.",
                where="percentile",
                remedy=f"Give {' or '.join(map(str, PERCENTILES))}.",
            )
        object.__setattr__(self, "ms", float(self.ms))
        object.__setattr__(self, "percentile", int(self.percentile))

    def __str__(self) -> str:
        return f"{self.ms:g} ms"


@dataclass(frozen=True)
class Pick:
    """What a governor chose for a call.

    Attributes:
        point: The values of all knobs.
        budget: What the call may take.
        expected_ms: What calls there take under the present load, at the percentile of the
            budget; None if the point has not been measured.
        load: How many times longer than measured calls take at present; 1 if they do not.
    """

    point: OperatingPoint
    budget: Budget
    expected_ms: float | None
    load: float

    @property
    def fits(self) -> bool:
        """Whether it is known to be in time; what is known not to be is the fastest choice."""
        return self.expected_ms is not None and self.expected_ms <= self.budget.ms

    def __str__(self) -> str:
        knobs = " ".join(f"{name}={value}" for name, value in self.point.items()) or "no knobs"
        if self.expected_ms is None:
            return f"{knobs}: not measured"
        takes = f"{self.expected_ms:.3g} ms (p{self.budget.percentile}, load {self.load:.2f})"
        if self.fits:
            return f"{knobs}: {takes} of {self.budget}"
        return f"{knobs}: {takes}; nothing fits {self.budget}"


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)
