"""How far a decision was from going the other way, read off the graph that took it."""

from __future__ import annotations

__all__ = ["Scores", "fetch_scores"]

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray
from onnx_ir.passes.common import ShapeInferencePass

from dyncompile.manifest import Decision
from dyncompile.passes.decision_values import require_value, unused_name, values_by_name

Array = NDArray[Any]
Slack = NDArray[np.float64]

_NEVER = np.asarray(np.inf)


@dataclass(frozen=True)
class Scores:
    """What a decision is computed from, as far back as the comparisons that make it jump.

    Attributes:
        values: The tensors that hold the decision, one per place it is computed at.
        nodes: From the scores to the decision, in the order of computation.
        outputs: The output of the main graph that holds each value involved, and its shape.
    """

    values: tuple[ir.Value, ...]
    nodes: tuple[ir.Node, ...]
    outputs: Mapping[ir.Value, tuple[str, str]]

    def margin(self, fetched: Mapping[str, Array]) -> float:
        """Return the smallest relative change of a score that could change the decision.

        Two numbers that are compared are ``|a - b| / max(1, |a|, |b|)`` apart; for an ArgMax
        these are the two largest. Where comparisons are combined by And, Or
        and Not, what counts is the change that turns the result. Infinite where the decision
        is no comparison of numbers, or compares with an infinity or NaN.

        Args:
            fetched: The outputs of a run, by name.
        """
        known = {
            value: fetched[flat].reshape(fetched[shape])
            for value, (flat, shape) in self.outputs.items()
            if fetched[flat].size
        }
        slack: dict[ir.Value, Slack] = {}
        for node in self.nodes:
            if all(value in known for value in (*node.inputs, *node.outputs) if value):
                slack.update(_slack(node, known, slack))
        reached = [float(slack[value].min()) for value in self.values if value in slack]
        return min(reached, default=float(_NEVER))


def fetch_scores(model: ir.Model, decision: Decision) -> Scores:
    """Make what a decision is computed from outputs of the main graph, from any branch.

    Every value becomes two outputs, its elements as a list and its shape, because a branch
    that is not taken has to hand on something: an empty list. Values inside of loops have no
    single content, and are left out.

    Args:
        model: A lowered or marked graph, changed in place.
        decision: One of its manifest.

    Raises:
        GraphError: the graph lacks a value that the decision names.
    """
    names = values_by_name(model)
    values = tuple(require_value(names, name, decision.name) for name in decision.values)
    nodes = _steps_to(values)
    lift = _Lift(model, names)
    involved = {value: None for node in nodes for value in (*node.inputs, *node.outputs) if value}
    if any(value.dtype is None for value in involved):  # files leave out what can be inferred
        ShapeInferencePass(check_type=False, strict_mode=False)(model)
    outputs = {value: lift.fetch(value) for value in involved if lift.can_fetch(value)}
    return Scores(values, nodes, outputs)


def _steps_to(values: Iterable[ir.Value]) -> tuple[ir.Node, ...]:
    """Collect the nodes between scores and decision, in the order of computation."""
    found: dict[ir.Node, None] = {}
    pending = [(value.producer(), False) for value in values]
    while pending:
        node, is_done = pending.pop()
        if node is None or node in found or node.domain or node.op_type not in _RULES:
            continue
        if is_done:
            found[node] = None
            continue
        pending.append((node, True))
        pending += [(value.producer(), False) for value in node.inputs if value is not None]
    return tuple(found)


# --- from branches to the main graph ---------------------------------------------------------


class _Lift:
    """Hands values out of the branches they are computed in."""

    def __init__(self, model: ir.Model, names: dict[str, ir.Value]) -> None:
        self._main = model.graph
        self._names = names
        self._owners = {
            node.attributes[branch].as_graph(): node
            for node in model.graph.all_nodes()
            if node.op_type == "If" and not node.domain
            for branch in ("then_branch", "else_branch")
        }

    def can_fetch(self, value: ir.Value) -> bool:
        if value.dtype is None:
            return False
        graph = value.graph
        while graph in self._owners:
            graph = self._owners[graph].graph
        return graph is self._main

    def fetch(self, value: ir.Value) -> tuple[str, str]:
        """Return the outputs that hold the elements and the shape of a value."""
        graph = value.graph
        assert isinstance(graph, ir.Graph)
        everything = self._constant(graph, np.asarray([-1], np.int64))
        flat = self._add(graph, ir.Node("", "Reshape", [value, everything]), value.dtype)
        shape = self._add(graph, ir.Node("", "Shape", [value]), ir.DataType.INT64)
        return self._climb(graph, flat), self._climb(graph, shape)

    def _climb(self, graph: ir.Graph, value: ir.Value) -> str:
        assert value.dtype is not None
        while graph is not self._main:
            node = self._owners[graph]
            for branch in ("then_branch", "else_branch"):
                side = node.attributes[branch].as_graph()
                nothing = np.zeros(0, value.dtype.numpy())
                side.outputs.append(value if side is graph else self._constant(side, nothing))
            node.resize_outputs(len(node.outputs) + 1)
            value = self._typed(node.outputs[-1], value.dtype)
            assert isinstance(node.graph, ir.Graph)
            graph = node.graph
        graph.outputs.append(value)
        return value.name or ""

    def _constant(self, graph: ir.Graph, array: Array) -> ir.Value:
        tensor = ir.tensor(array)
        node = ir.Node("", "Constant", [], [ir.AttrTensor("value", tensor)])
        return self._add(graph, node, tensor.dtype)

    def _add(self, graph: ir.Graph, node: ir.Node, dtype: ir.DataType | None) -> ir.Value:
        graph.append(node)
        return self._typed(node.outputs[0], dtype)

    def _typed(self, value: ir.Value, dtype: ir.DataType | None) -> ir.Value:
        assert dtype is not None, "only typed values are fetched"
        value.name = unused_name("fetched", self._names)
        self._names[value.name] = value
        value.dtype, value.shape = dtype, ir.Shape([None])
        return value


# --- how far each step is from jumping ------------------------------------------------------
# The slack of an element is the relative change that makes it jump; infinite if nothing does.


def _slack(
    node: ir.Node, known: Mapping[ir.Value, Array], slack: Mapping[ir.Value, Slack]
) -> dict[ir.Value, Slack]:
    inputs = [value for value in node.inputs if value is not None]
    step = _Step(
        node,
        [known[value] for value in inputs],
        [np.broadcast_to(slack.get(value, _NEVER), known[value].shape) for value in inputs],
        [known[value] for value in node.outputs],
    )
    with np.errstate(all="ignore"):
        results = _RULES[node.op_type](step)
    return {
        value: np.broadcast_to(result, known[value].shape)
        for value, result in zip(node.outputs, results, strict=True)
    }


@dataclass(frozen=True)
class _Step:
    node: ir.Node
    inputs: list[Array]
    slack: list[Slack]
    outputs: list[Array]

    def axis(self, default: int) -> int:
        attribute = self.node.attributes.get("axis")
        return default if attribute is None else attribute.as_int()


def _distance(a: Array, b: Array | float) -> Slack:
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    scale = np.maximum(1.0, np.maximum(np.abs(a), np.abs(b)))
    relative: Slack = np.abs(a - b) / scale
    return np.where(np.isnan(relative), np.inf, relative)


def _elementwise(step: _Step) -> list[Slack]:
    return [functools.reduce(np.minimum, step.slack)]


def _anywhere(step: _Step) -> list[Slack]:
    nearest = min((slack.min(initial=np.inf) for slack in step.slack), default=np.inf)
    return [np.asarray(nearest) for _ in step.outputs]


def _compared(step: _Step) -> list[Slack]:
    (own,) = _elementwise(step)
    a, b = step.inputs
    return [np.minimum(own, _distance(a, b)) if a.dtype.kind == "f" else own]


def _combined(step: _Step) -> list[Slack]:
    """The signed slack of And is the smaller one, that of Or the larger one."""
    choose = np.minimum if step.node.op_type == "And" else np.maximum
    signed = [
        np.where(value, slack, -slack) for value, slack in zip(step.inputs, step.slack, strict=True)
    ]
    return [np.abs(functools.reduce(choose, signed))]


def _selected(step: _Step) -> list[Slack]:
    condition, on, off = step.slack
    return [np.minimum(condition, np.where(step.inputs[0], on, off))]


def _rounded(step: _Step) -> list[Slack]:
    """A number that becomes a whole one jumps at whole numbers, or halfway between (Round)."""
    (x,), (own,), (y,) = step.inputs, step.slack, step.outputs
    if x.dtype.kind != "f" or (y.dtype.kind == "f" and step.node.op_type == "Cast"):
        return [own]
    if y.dtype.kind == "b":
        return [np.minimum(own, _distance(x, 0.0))]
    shifted = x + 0.5 if step.node.op_type == "Round" else x
    return [np.minimum(own, _distance(shifted, np.rint(shifted)))]


def _largest(step: _Step) -> list[Slack]:
    (x,), (own,) = step.inputs, step.slack
    axis = step.axis(0)
    ordered = np.sort(x if step.node.op_type == "ArgMax" else -x, axis)
    if x.shape[axis] < 2:
        return _anywhere(step)
    first, second = np.take(ordered, -1, axis), np.take(ordered, -2, axis)
    gap = np.minimum(_distance(first, second), own.min())
    return [gap.reshape(step.outputs[0].shape)]


def _reshaped(step: _Step) -> list[Slack]:
    return [step.slack[0].reshape(step.outputs[0].shape)]


def _gathered(step: _Step) -> list[Slack]:
    picked = np.take(step.slack[0], step.inputs[1], step.axis(0))
    return [np.minimum(picked, step.slack[1].min(initial=np.inf))]


def _divided(step: _Step) -> list[Slack]:
    axis = step.axis(0)
    ends = np.cumsum([output.shape[axis] for output in step.outputs])
    return np.split(step.slack[0], ends[:-1], axis)


_RULES: Mapping[str, Callable[[_Step], list[Slack]]] = {
    **dict.fromkeys(("Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Equal"), _compared),
    **dict.fromkeys(("And", "Or"), _combined),
    **dict.fromkeys(("Cast", "Ceil", "Floor", "Round"), _rounded),
    **dict.fromkeys(("ArgMax", "ArgMin"), _largest),
    **dict.fromkeys(("Flatten", "Reshape", "Squeeze", "Unsqueeze"), _reshaped),
    **dict.fromkeys(
        ("Abs", "Add", "Clip", "Div", "Identity", "Max", "Min", "Mod", "Mul"), _elementwise
    ),
    **dict.fromkeys(("Neg", "Not", "Sub", "Sum", "Xor"), _elementwise),
    **dict.fromkeys(("Concat", "Expand", "Slice", "Transpose"), _anywhere),
    **dict.fromkeys(("ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum"), _anywhere),
    "Gather": _gathered,
    "Split": _divided,
    "Where": _selected,
}
