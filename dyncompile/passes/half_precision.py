"""Compute in float16 what gains by it."""

from __future__ import annotations

__all__ = ["HalfPrecision"]

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from dyncompile.passes.constants import is_fixed
from dyncompile.passes.decision_values import unused_name, values_by_name
from dyncompile.passes.infer_types import InferTypes
from dyncompile.passes.precision_plan import Plan, plan_precision
from dyncompile.passes.precision_rules import Kind
from dyncompile.passes.precision_units import Slot, Unit, is_float
from dyncompile.passes.scopes import Scopes

_HALF, _FLOAT = ir.DataType.FLOAT16, ir.DataType.FLOAT


@dataclass(frozen=True)
class HalfPrecision(ir.passes.InPlacePass):
    """Turn a float32 network into one of float16 whose every element type is in the graph.

    Before: ``h = If(take) {Relu(Conv(x, w))} else {x}; y = Conv(h, v)``
    After: ``h = If(take) {Relu(Conv(Cast(x), w))} else {Cast(x)}; y = Cast(Conv(h, v))`` with
    ``w`` and ``v`` in float16

    Inputs and outputs keep their types. Operators that multiply compute in float16, and so do
    cheap ones that read what these give. What PyTorch's autocast computes in float32 stays, and
    so do means, normalisations and positions; see ``precision_rules``. A constant that float16
    does not hold keeps its operator in float32.

    Scores stay too: from a decision back to the last operators that multiply, and these
    themselves, unless another one multiplies what they give. So near-ties come from the
    features, not from comparing them.

    What an If or a Loop hands on has one type, whichever side it is from. A weight is stored in
    float16 where it stood, and in both types only if both are read. Values have one Cast per
    type, in the graph that reads it or in one around it.

    Raises:
        TargetError: a weight that is multiplied is too large for float16.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Convert the main graph and those nested in it."""
        values = (value for node in model.graph.all_nodes() for value in node.outputs)
        is_open = any(value.type is None for value in values)
        modified = is_open and InferTypes()(model).modified
        plan = plan_precision(model)
        if plan.half:
            _Rewriter(model, plan).rewrite()
            modified = True
        return ir.passes.PassResult(model, modified=modified)


class _Rewriter:
    """Gives units their types, and every place that reads a value the type it needs."""

    def __init__(self, model: ir.Model, plan: Plan) -> None:
        self._model = model
        self._half = plan.half
        self._scopes = Scopes(model.graph)
        self._names = values_by_name(model)
        self._casts: dict[tuple[ir.Value, ir.DataType, ir.Graph], ir.Value] = {}
        slots = [slot for unit in plan.units for slot in (*unit.slots, *unit.others)]
        self._wanted = {slot: slot.value.dtype or _FLOAT for slot in slots}
        self._wanted |= {slot: _HALF for unit in self._half for slot in unit.slots}

    def rewrite(self) -> None:
        names = [str(output.name) for output in self._model.graph.outputs]
        self._store_weights()
        for unit in self._half:
            _retype(unit)
        for slot in sorted(self._wanted, key=lambda slot: self._depth(slot.graph)):
            if slot.value.dtype != self._wanted[slot]:
                slot.replace(self._cast(slot.value, self._wanted[slot], slot.graph))
        self._name_outputs(names)
        for node in list(self._model.graph.all_nodes()):
            _remove_idle_cast(node)

    def _depth(self, graph: ir.Graph) -> int:
        owner = self._scopes.owner(graph)
        return 0 if owner is None or owner.graph is None else 1 + self._depth(_graph_of(owner))

    def _store_weights(self) -> None:
        """Store weights as float16 where they are read as such."""
        read: dict[ir.Value, list[Slot]] = {}
        for slot, dtype in self._wanted.items():
            if dtype == _HALF and slot.value.is_initializer() and is_fixed(slot.value):
                read.setdefault(slot.value, []).append(slot)
        kept = {slot.value for slot, dtype in self._wanted.items() if dtype == _FLOAT}
        for value, slots in read.items():
            tensor = value.const_value
            assert tensor is not None, "a weight has numbers"
            uses = {Slot(node, index) for node, index in value.uses()}
            half = _as_half(tensor, value)
            if value not in kept and uses.issubset(slots):
                value.const_value, value.type = half, ir.TensorType(_HALF)
                continue
            graph = value.graph
            assert isinstance(graph, ir.Graph), "an initializer stands in a graph"
            copy = ir.Value(name=self._free(f"{value.name}.half"), const_value=half)
            copy.type, copy.shape = ir.TensorType(_HALF), value.shape
            self._names[str(copy.name)] = copy
            graph.register_initializer(copy)
            for slot in slots:
                slot.replace(copy)

    def _cast(self, value: ir.Value, dtype: ir.DataType, graph: ir.Graph) -> ir.Value:
        """Return the value in a type, for a reader in a graph."""
        node = value.producer()
        source = node.inputs[0] if node is not None and node.op_type == "Cast" else None
        if source is not None and source.dtype == dtype == _HALF:  # float32 holds all of float16
            return source
        around: ir.Graph | None = graph
        while around is not None:
            if (value, dtype, around) in self._casts:
                return self._casts[value, dtype, around]
            owner = None if around is value.graph else self._scopes.owner(around)
            around = None if owner is None else _graph_of(owner)
        cast = ir.node("Cast", [value], attributes={"to": dtype.value})
        if node is not None and node.graph is graph:
            graph.insert_after(node, cast)
        elif len(graph):
            graph.insert_before(graph[0], cast)
        else:
            graph.append(cast)
        result = cast.outputs[0]
        suffix = "half" if dtype == _HALF else "float"
        cast.name = result.name = self._free(f"{value.name}.{suffix}")
        result.type, result.shape = ir.TensorType(dtype), value.shape
        self._names[cast.name] = self._casts[value, dtype, graph] = result
        return result

    def _name_outputs(self, names: Iterable[str]) -> None:
        """Let outputs of the model keep their names."""
        for output, name in zip(self._model.graph.outputs, names, strict=True):
            if output.name != name:
                inner = self._names[name]
                inner.name = self._free(f"{name}.half")
                self._names[inner.name], self._names[name] = inner, output
                output.name = name

    def _free(self, name: str) -> str:
        return unused_name(name, self._names)


def _retype(unit: Unit) -> None:
    for value in unit.writes:
        if is_float(value):
            value.type = ir.TensorType(_HALF)
    node = unit.node
    if node is None or node.domain:
        return
    if unit.kind is Kind.FLAG:
        node.attributes["to"] = ir.AttrInt64("to", _HALF.value)
    elif node.op_type == "Constant":
        tensor = ir.convenience.get_const_tensor(node.outputs[0])
        assert tensor is not None, "a Constant has numbers"
        node.attributes.clear()
        node.attributes["value"] = ir.AttrTensor("value", _as_half(tensor, node.outputs[0]))


def _as_half(tensor: ir.TensorProtocol, value: ir.Value) -> ir.TensorProtocol:
    with np.errstate(over="ignore", under="ignore"):
        return ir.tensor(tensor.numpy().astype(np.float16), name=value.name)


def _remove_idle_cast(node: ir.Node) -> None:
    """Remove a Cast that changes no type any more, or that nobody reads."""
    if node.op_type != "Cast" or node.domain or node.inputs[0] is None:
        return
    result, source = node.outputs[0], node.inputs[0]
    if source.dtype == result.dtype == _HALF and not result.is_graph_output():
        result.replace_all_uses_with(source)
    if not result.uses() and not result.is_graph_output():
        _graph_of(node).remove(node, safe=True)


def _graph_of(node: ir.Node) -> ir.Graph:
    assert isinstance(node.graph, ir.Graph), "a node stands in a graph"
    return node.graph
