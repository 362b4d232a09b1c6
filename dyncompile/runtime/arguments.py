"""From what a caller passes to what ONNX Runtime is fed, checked cheaply."""

from __future__ import annotations

__all__ = ["Arguments", "InputSpec", "knob_argument"]

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dyncompile.errors import InputError, KnobError
from dyncompile.knobs import Knob, Levels

Array = NDArray[Any]

_DTYPES = {
    "tensor(bool)": np.dtype(np.bool_),
    "tensor(double)": np.dtype(np.float64),
    "tensor(float)": np.dtype(np.float32),
    "tensor(float16)": np.dtype(np.float16),
    "tensor(int8)": np.dtype(np.int8),
    "tensor(int16)": np.dtype(np.int16),
    "tensor(int32)": np.dtype(np.int32),
    "tensor(int64)": np.dtype(np.int64),
    "tensor(uint8)": np.dtype(np.uint8),
    "tensor(uint16)": np.dtype(np.uint16),
    "tensor(uint32)": np.dtype(np.uint32),
    "tensor(uint64)": np.dtype(np.uint64),
}


@dataclass(frozen=True)
class InputSpec:
    """One data input of an artifact.

    Attributes:
        name: As in the graph.
        dtype: Element type; None if numpy has none for it, and then nothing is checked.
        shape: A number per fixed dimension, a name or None per free one.
    """

    name: str
    dtype: np.dtype[Any] | None
    shape: tuple[int | str | None, ...]

    @classmethod
    def from_type(cls, name: str, type_: str, shape: list[int | str | None]) -> InputSpec:
        """Read the description that ONNX Runtime gives."""
        return cls(name, _DTYPES.get(type_), tuple(shape))

    def __str__(self) -> str:
        sizes = ["?" if size is None else str(size) for size in self.shape]
        return f"{self.dtype}[{', '.join(sizes)}]"

    def argument(self, value: object) -> Array:
        """Return the value as an array; one that fits is not copied.

        Arrays must have the type of the input. Python numbers and lists are converted if they
        lose no meaning.

        Raises:
            InputError: another type or shape.
        """
        if (
            type(value) is np.ndarray
            and value.dtype == self.dtype
            and (value.shape == self.shape or self._fits(value.shape))
        ):
            return value
        return self._converted(value)

    def _converted(self, value: object) -> Array:
        try:
            array = np.asarray(value)
        except (TypeError, ValueError, RuntimeError) as error:
            raise self._refused(type(value).__name__) from error
        if self.dtype is None:
            return array
        given = f"{array.dtype}{list(array.shape)}"
        if not self._fits(array.shape):
            raise self._refused(given)
        if array.dtype.newbyteorder("=") == self.dtype:
            return array.astype(self.dtype, copy=False)
        if isinstance(value, (bool, int, float, list, tuple)):
            if array.dtype.kind in "iu" and self.dtype.kind in "iu":
                limits = np.iinfo(self.dtype)
                exact = array.size == 0 or (
                    limits.min <= int(array.min()) and int(array.max()) <= limits.max
                )
            else:
                exact = np.can_cast(array.dtype, self.dtype, "same_kind") or array.size == 0
            if exact:
                return array.astype(self.dtype)
        raise self._refused(given)

    def _fits(self, shape: tuple[int, ...]) -> bool:
        return len(shape) == len(self.shape) and all(
            size == given or not isinstance(size, int)
            for size, given in zip(self.shape, shape, strict=True)
        )

    def _refused(self, given: str) -> InputError:
        return InputError(
            f"{given} does not fit.",
            where=f"input {self.name!r}",
            remedy=f"Give {self}.",
        )


def knob_argument(name: str, knob: Knob) -> Callable[[object], Array]:
    """Return what turns a value of the knob into the graph input, fast for plain numbers."""
    if isinstance(knob, Levels):
        levels = [knob.array(name, level) for level in range(len(knob.values))]
        for level in levels:
            level.setflags(write=False)

        def from_level(value: object) -> Array:
            if type(value) is int and 0 <= value < len(levels):
                return levels[value]
            return knob.array(name, value)

        return from_level
    single, most = not knob.shape, float(np.finfo(np.float32).max)
    low, high = max(knob.low, -most), min(knob.high, most)

    def from_threshold(value: object) -> Array:
        if type(value) is float and single and (low <= value <= high or math.isinf(value)):
            return np.array(value, np.float32)
        return knob.array(name, value)

    return from_threshold


class Arguments:
    """The inputs and knobs of one artifact."""

    def __init__(self, inputs: tuple[InputSpec, ...], knobs: Mapping[str, Knob]) -> None:
        self.inputs = inputs
        self._data = {spec.name for spec in inputs}
        self._by_name: dict[str, Callable[[object], Array]] = {
            **{spec.name: spec.argument for spec in inputs},
            **{name: knob_argument(name, knob) for name, knob in knobs.items()},
        }
        self._defaults: dict[str, Array] = {name: knob.array(name) for name, knob in knobs.items()}
        for default in self._defaults.values():
            default.setflags(write=False)

    def feed(self, positional: tuple[object, ...], named: Mapping[str, object]) -> dict[str, Array]:
        """Return every input of the graph by name, knobs at their default unless named.

        Raises:
            InputError: an input is missing, given twice, or does not fit.
            KnobError: no input or knob has that name, or its value is out of range.
        """
        feed = self._defaults.copy()
        if len(positional) > len(self.inputs):
            raise InputError(
                f"{len(positional)} inputs were given.",
                where="call",
                remedy=f"Give at most {len(self.inputs)}, and knobs by name.",
            )
        for spec, value in zip(self.inputs, positional, strict=False):
            feed[spec.name] = spec.argument(value)
        for name, value in named.items():
            if name not in self._by_name:
                raise self._unknown(name)
            if name in self._data and name in feed:
                raise InputError("given twice.", where=f"input {name!r}", remedy="Give it once.")
            feed[name] = self._by_name[name](value)
        if len(feed) != len(self._by_name):
            missing = next(spec for spec in self.inputs if spec.name not in feed)
            raise InputError(
                "not given.", where=f"input {missing.name!r}", remedy=f"Give {missing}."
            )
        return feed

    def _unknown(self, name: str) -> KnobError:
        inputs = ", ".join(spec.name for spec in self.inputs)
        knobs = ", ".join(self._defaults) or "none"
        return KnobError(
            "no input or knob has this name.",
            where=f"argument {name!r}",
            remedy=f"The inputs are {inputs}; the knobs {knobs}.",
        )
