"""A model as units that compute in one element type each, and what flows between them."""

from __future__ import annotations

__all__ = ["Slot", "Unit", "Units", "is_float"]

from collections.abc import Iterator
from dataclasses import dataclass, field

import onnx_ir as ir

from dyncompile.dialect import Budget, Selector
from dyncompile.passes.constants import is_fixed
from dyncompile.passes.precision_rules import Kind, kind_of, parameters
from dyncompile.passes.rounds import Rounds
from dyncompile.passes.scopes import graphs_of

_FLOATS = {ir.DataType.FLOAT, ir.DataType.FLOAT16}


@dataclass(frozen=True)
class Slot:
    """A place where a value is read: an input of a node, or an output of a graph."""

    reader: ir.Node | ir.Graph
    index: int

    @property
    def value(self) -> ir.Value:
        """What is read there."""
        values = self.reader.outputs if isinstance(self.reader, ir.Graph) else self.reader.inputs
        value = values[self.index]
        assert value is not None, "a slot holds a value"
        return value

    @property
    def graph(self) -> ir.Graph:
        """The graph that it belongs to."""
        graph = self.reader if isinstance(self.reader, ir.Graph) else self.reader.graph
        assert isinstance(graph, ir.Graph), "a node stands in a graph"
        return graph

    def replace(self, value: ir.Value) -> None:
        """Read another value there."""
        if isinstance(self.reader, ir.Graph):
            self.reader.outputs[self.index] = value
        else:
            self.reader.replace_input_with(self.index, value)


@dataclass(frozen=True, eq=False)
class Unit:
    """What changes its element type as one: a node, or what an If or Loop hands on.

    Attributes:
        kind: How it is treated.
        node: The node; for what an If or Loop hands on, that one.
        slots: What it reads in its own type.
        others: What it reads as float32 whatever its type is.
        writes: What it gives in its type.
        sources: What its numbers come from; integers that hold quantised ones too.
        may_be_half: Whether it could compute in float16.
    """

    kind: Kind
    node: ir.Node | None
    slots: tuple[Slot, ...] = ()
    others: tuple[Slot, ...] = ()
    writes: tuple[ir.Value, ...] = ()
    sources: tuple[ir.Value, ...] = ()
    may_be_half: bool = False


@dataclass
class Units:
    """All units of a model.

    Attributes:
        all: In the order of computation, those of branches before what is handed on.
        writers: The unit that gives a value.
        readers: The units whose numbers come from a value.
        constants: Values that are computed from stored ones alone.
        handed: For each value that an If or Loop gives or a body begins with, where it is from.
    """

    all: list[Unit] = field(default_factory=list)
    writers: dict[ir.Value, Unit] = field(default_factory=dict)
    readers: dict[ir.Value, list[Unit]] = field(default_factory=dict)
    constants: set[ir.Value] = field(default_factory=set)
    handed: dict[ir.Value, list[ir.Value]] = field(default_factory=dict)

    @classmethod
    def from_model(cls, model: ir.Model) -> Units:
        """Read a model; its values are typed."""
        units = cls()
        units._read(model.graph, model.opset_imports.get("", 1))
        units._keep(model.graph)
        return units

    def _read(self, graph: ir.Graph, version: int) -> None:
        self.constants.update(v for v in graph.initializers.values() if is_fixed(v))
        for node in graph:
            for inner in graphs_of(node):
                self._read(inner, version)
            if any(graphs_of(node)):
                self._read_choices(node)
                continue
            inputs = [value for value in node.inputs if value is not None]
            if node.op_type == "Constant" or (inputs and all(v in self.constants for v in inputs)):
                self.constants.update(node.outputs)
            unit = self._from_marker(node) or self._from_node(node, version)
            if unit is not None:
                self._add(unit)

    def _add(self, unit: Unit) -> None:
        self.all.append(unit)
        self.writers.update(dict.fromkeys(unit.writes, unit))
        for value in dict.fromkeys(unit.sources):
            self.readers.setdefault(value, []).append(unit)

    def _from_marker(self, node: ir.Node) -> Unit | None:
        if Selector.from_node(node) is None and Budget.from_node(node) is None:
            return None
        chosen = range(1) if Budget.from_node(node) else range(1, len(node.inputs))
        slots = tuple(slot for k in chosen if is_float((slot := Slot(node, k)).value))
        return _choice(node, slots, tuple(v for v in node.outputs if is_float(v)))

    def _from_node(self, node: ir.Node, version: int) -> Unit | None:
        own, kind = parameters(node, version), kind_of(node)
        floats = [k for k, v in enumerate(node.inputs) if v is not None and is_float(v)]
        is_constant = all(node.inputs[k] in self.constants for k in floats)
        if kind is Kind.MULTIPLYING and is_constant:  # a weight, computed when the file is loaded
            kind = Kind.FLOAT
        if any(v is not None and v.type is None for v in node.inputs):
            kind = Kind.FLOAT
        follows = set(own.inputs) if kind is not Kind.FLOAT else set[int]()
        writes = [
            v
            for k, v in enumerate(node.outputs)
            if is_float(v) and (k in own.outputs or kind is Kind.FLOAT)
        ]
        sources = [Slot(node, k).value for k in floats]
        if not node.domain and node.op_type == "QuantizeLinear":
            writes.append(node.outputs[0])
        elif not node.domain and node.op_type == "DequantizeLinear":
            sources.append(Slot(node, 0).value)
        elif not node.domain and node.op_type == "Cast":  # reads every type
            floats = []
        unit = Unit(
            kind,
            node,
            slots=tuple(Slot(node, k) for k in floats if k in follows),
            others=tuple(Slot(node, k) for k in floats if k not in follows),
            writes=tuple(writes),
            sources=tuple(sources),
            may_be_half=own.may_be_half and kind is not Kind.FLOAT,
        )
        return unit if unit.sources or unit.writes else None

    def _read_choices(self, node: ir.Node) -> None:
        choices = list(_choices(node))
        for slots, values in choices:
            for value in values:
                self.handed.setdefault(value, []).extend(slot.value for slot in slots)
            if all(is_float(v) for v in (*values, *(slot.value for slot in slots))):
                self._add(_choice(node, slots, values))
                continue
            for slot in slots:
                if is_float(slot.value):  # what the others are is not known
                    self._add(Unit(Kind.FLOAT, node, others=(slot,), sources=(slot.value,)))
        if not choices:  # bodies that nobody knows
            floats = [k for k, v in enumerate(node.inputs) if v is not None and is_float(v)]
            self._add(Unit(Kind.FLOAT, node, others=tuple(Slot(node, k) for k in floats)))
            for graph in graphs_of(node):
                self._keep(graph)

    def _keep(self, graph: ir.Graph) -> None:
        """Let the outputs of a graph keep their types."""
        slots = [Slot(graph, k) for k, value in enumerate(graph.outputs) if is_float(value)]
        for slot in slots:
            self._add(Unit(Kind.FLOAT, None, others=(slot,), sources=(slot.value,)))


def is_float(value: ir.Value) -> bool:
    """Whether it is a tensor of float32 or float16."""
    return isinstance(value.type, ir.TensorType) and value.dtype in _FLOATS


def _choice(node: ir.Node, slots: tuple[Slot, ...], writes: tuple[ir.Value, ...]) -> Unit:
    sources = tuple(slot.value for slot in slots)
    return Unit(Kind.CHOICE, node, slots, (), writes, sources, may_be_half=True)


def _choices(node: ir.Node) -> Iterator[tuple[tuple[Slot, ...], tuple[ir.Value, ...]]]:
    """Yield what an If, Loop or Scan hands on: where it is from, and what it is then."""
    if node.op_type == "If" and not node.domain:
        for k, value in enumerate(node.outputs):
            yield tuple(Slot(branch, k) for branch in graphs_of(node)), (value,)
        return
    rounds = Rounds.from_node(node)
    if rounds is None:
        return
    first, count = rounds.first, len(rounds.states)
    for k in range(count):
        after = Slot(rounds.body, rounds.first_output + k)
        yield (Slot(node, first + k), after), (rounds.body.inputs[first + k], node.outputs[k])
    for k in range(first + count, len(node.inputs)):
        yield (Slot(node, k),), (rounds.body.inputs[k],)
    for k in range(count, len(node.outputs)):
        yield (Slot(rounds.body, rounds.first_output + k),), (node.outputs[k],)
