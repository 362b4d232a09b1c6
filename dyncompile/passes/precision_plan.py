"""Decide which units of a model compute in float16."""

from __future__ import annotations

__all__ = ["Plan", "plan_precision"]

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from dyncompile.dialect import DECISION, Budget, Selector
from dyncompile.errors import TargetError
from dyncompile.passes.precision_rules import HALF, Kind, overflows, vanishes
from dyncompile.passes.precision_units import Unit, Units, is_float

# Inputs that say what is chosen, and operators whose numbers do not depend on those they read.
_CHOOSING = {"If": (0,), "Loop": (0, 1), "ArgMax": (0,), "ArgMin": (0,), "TopK": (0,)}
_SIZES = {"Shape", "Size"}


@dataclass(frozen=True)
class Plan:
    """Which type each unit computes in.

    Attributes:
        units: All of them.
        half: Those that become float16.
    """

    units: tuple[Unit, ...]
    half: frozenset[Unit]


def plan_precision(model: ir.Model) -> Plan:
    """Decide which units of a model, whose values are typed, become float16.

    Raises:
        TargetError: a weight of one that multiplies is too large for float16.
    """
    units = Units.from_model(model)
    deciding = _deciding(model, units)
    growth = _Growth(units, {one for one in units.all if _is_open(one) and one not in deciding})
    return Plan(tuple(units.all), frozenset(growth.half))


def _is_open(unit: Unit) -> bool:
    """Whether it may become float16, and is not."""
    floats = [v for v in (*(slot.value for slot in unit.slots), *unit.writes) if is_float(v)]
    return unit.may_be_half and all(v.dtype == ir.DataType.FLOAT for v in floats)


# --- what decides ---------------------------------------------------------------------------


def _deciding(model: ir.Model, units: Units) -> set[Unit]:
    """Return the units from the last that multiply to each decision.

    What other units multiply with too is no part of it, nor what comes before.
    """
    trunk = _before(units, (unit for unit in units.all if unit.kind is Kind.MULTIPLYING))
    deciding: set[Unit] = set()
    seen = set(pending := list(_decisions(model)))
    while pending:
        value = pending.pop()
        unit, node = units.writers.get(value), value.producer()
        if unit is not None:
            if unit in trunk:
                continue
            deciding.add(unit)
            if unit.kind is Kind.MULTIPLYING:
                continue
        elif node is not None and node.op_type in _SIZES:
            continue
        elif node is not None and (own := _reading(node, units)) is not None:
            deciding.add(own)
        before = units.handed.get(value, () if node is None else node.inputs)
        fresh = {one for one in before if one is not None} - seen
        seen |= fresh
        pending += fresh
    return deciding


def _reading(node: ir.Node, units: Units) -> Unit | None:
    """Return the unit of a node that gives no float: a comparison."""
    readers = (unit for v in node.inputs if v is not None for unit in units.readers.get(v, ()))
    return next((unit for unit in readers if unit.node is node), None)


def _decisions(model: ir.Model) -> Iterator[ir.Value]:
    """Yield the values by which something is chosen."""
    for node in model.graph.all_nodes():
        yield from (value for value in node.outputs if DECISION in value.metadata_props)
        yield from (v for k in _choosing_inputs(node) if (v := node.inputs[k]) is not None)
        if node.op_type == "Loop" and not node.domain:
            yield node.attributes["body"].as_graph().outputs[0]


def _choosing_inputs(node: ir.Node) -> tuple[int, ...]:
    if Budget.from_node(node) is not None:
        return (1,)
    if Selector.from_node(node) is not None:
        return (0,)
    return () if node.domain else _CHOOSING.get(node.op_type, ())


def _before(units: Units, ends: Iterable[Unit]) -> set[Unit]:
    """Return the units whose numbers reach one of the given ones."""
    found: set[Unit] = set()
    pending = list(ends)
    while pending:
        for value in pending.pop().sources:
            unit = units.writers.get(value)
            if unit is not None and unit not in found:
                found.add(unit)
                pending.append(unit)
    return found


# --- what follows ---------------------------------------------------------------------------


class _Growth:
    """Grows the set of units in float16, from those that multiply to those around them."""

    def __init__(self, units: Units, candidates: set[Unit]) -> None:
        self._units = units
        self.half = {unit for unit in candidates if unit.kind is Kind.MULTIPLYING}
        for unit in units.all:
            if unit in self.half:
                self._check_weights(unit)
        done = (u for u in units.all if u.kind is Kind.MULTIPLYING and not _is_open(u))
        typed = (u for u in done if any(v.dtype == ir.DataType.FLOAT16 for v in u.writes))
        self._useful = _before(units, (*self.half, *typed))
        waiting = [u for u in units.all if u in candidates and u not in self.half]
        waiting = [unit for unit in waiting if self._fits(unit)]
        count = -1
        while count != len(waiting):
            count = len(waiting)
            self.half.update(unit for unit in waiting if self._is_half(unit))
            waiting = [unit for unit in waiting if unit not in self.half]

    def _is_half(self, unit: Unit) -> bool:
        computed = [value for value in unit.sources if not self._follows(value)]
        halves = [value for value in computed if self._holds_half(value)]
        is_useful = unit in self._useful
        match unit.kind:
            case Kind.FLAG:
                return self._is_read_as_half(unit)
            case Kind.DEQUANTIZING:
                return is_useful or bool(halves and len(halves) == len(computed))
            case Kind.CHOICE:
                return bool(halves and is_useful) or (not computed and self._is_read_as_half(unit))
        if halves and (len(halves) == len(computed) or (is_useful and _may_narrow(unit))):
            return True
        if unit.kind is not Kind.VIEW:
            return False
        is_lookup = (
            not computed and bool(unit.sources) and not self._units.constants & {*unit.writes}
        )
        return self._is_read_as_half(unit) or (is_lookup and is_useful)

    def _follows(self, value: ir.Value) -> bool:
        """Whether it is of the type that reads it: a constant, or a bool as a number."""
        unit = self._units.writers.get(value)
        return value in self._units.constants or (unit is not None and unit.kind is Kind.FLAG)

    def _holds_half(self, value: ir.Value) -> bool:
        return value.dtype == ir.DataType.FLOAT16 or self._units.writers.get(value) in self.half

    def _is_read_as_half(self, unit: Unit) -> bool:
        readers = [
            (value, reader)
            for value in unit.writes
            for reader in self._units.readers.get(value, ())
        ]
        return bool(readers) and all(
            reader in self.half and value not in {slot.value for slot in reader.others}
            for value, reader in readers
        )

    # --- constants

    def _fits(self, unit: Unit) -> bool:
        """Whether its constants keep their meaning; a bias may vanish, a divisor may not."""
        if unit.kind is Kind.PLAIN and unit.node is not None and unit.node.op_type == "Div":
            divisor = unit.slots[-1].value
            if divisor not in self._units.constants:
                return False
        is_exact = unit.kind is Kind.DEQUANTIZING or _is_quantizing(unit)
        for slot in unit.slots:
            for _, array in self._stored(slot.value):
                if overflows(array) or ((is_exact or array.size == 1) and vanishes(array)):
                    return False
        return all(
            not overflows(tensor.numpy())
            for value in unit.writes
            if (tensor := ir.convenience.get_const_tensor(value)) is not None
        )

    def _check_weights(self, unit: Unit) -> None:
        for slot in unit.slots:
            for name, array in self._stored(slot.value):
                if overflows(array):
                    raise TargetError(
                        f"it holds {np.abs(array[np.isfinite(array)]).max():g}, and float16 ends"
                        f" at {float(HALF.max):g}.",
                        where=f"weight {name!r}",
                        remedy="Scale it down, or build without fp16.",
                    )

    def _stored(self, value: ir.Value) -> Iterator[tuple[str, NDArray[np.float32]]]:
        """Yield the stored numbers behind a value, through views."""
        pending, seen = [value], set[ir.Value]()
        while pending:
            one = pending.pop()
            if one in seen or one not in self._units.constants:
                continue
            seen.add(one)
            tensor = ir.convenience.get_const_tensor(one)
            if tensor is not None and one.dtype == ir.DataType.FLOAT:
                yield str(one.name), tensor.numpy()
                continue
            unit = self._units.writers.get(one)
            if unit is not None and unit.kind is Kind.VIEW:
                pending += unit.sources


def _may_narrow(unit: Unit) -> bool:
    """Whether a float32 input may be rounded to join those of float16.

    A difference from a mean may not: it keeps the error of what it cancels.
    """
    return unit.node is None or unit.node.op_type not in {"Sub", "Div"}


def _is_quantizing(unit: Unit) -> bool:
    return unit.node is not None and unit.node.op_type == "QuantizeLinear"
