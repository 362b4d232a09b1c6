"""Let decisions be overridden: in a file made elsewhere, and in what became of it.

Both run freely, or along one path, in one session each.
"""

from __future__ import annotations

__all__ = ["Overrides", "names_of", "override_decisions", "override_nodes", "under_all_names"]

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from dyncompile.forcing import split_tests
from dyncompile.manifest import Decision
from dyncompile.passes.decision_values import unused_name, values_by_name
from dyncompile.passes.masks import decision_behind

Array = NDArray[Any]


@dataclass
class Overrides:
    """Inputs of a copy in memory that override decisions; for each, whether and with what.

    Attributes:
        inputs: By decision: the input that says whether it is overridden, and the one that says
            how it falls.
        indices: Those that choose one of several, by an int64.
    """

    inputs: dict[str, tuple[str, str]] = field(default_factory=dict)
    indices: set[str] = field(default_factory=set)

    def feeds(self, path: Mapping[str, int]) -> dict[str, Array]:
        """Return what to feed: decisions that are not on the path fall by themselves."""
        feeds: dict[str, Array] = {}
        for name, (is_forced, option) in self.inputs.items():
            feeds[is_forced] = np.asarray(name in path)
            dtype = np.int64 if name in self.indices else np.bool_
            feeds[option] = np.asarray(path.get(name, 0), dtype)
        return feeds


def override_decisions(model: ir.Model, decisions: Iterable[Decision]) -> Overrides:
    """Let decisions of a lowered graph be overridden, for what they decide and nothing else.

    Before: ``take = Greater(score, bound); y = If(take)``
    After: ``take = Greater(score, bound); y = If((take and not d.forced) or d.option)``; an
    index becomes ``Where(d.forced, d.option, index)``
    """
    decisions = tuple(decisions)
    writer = _Writer(model)
    switches = {decision.name for decision in decisions if decision.kind == "switch"}
    for name, copies in split_tests(model, decisions).items():
        if name in switches and copies[0].dtype != ir.DataType.BOOL:
            writer.overrides.indices.add(name)
        for copy in copies:
            node = copy.producer()
            assert node is not None, "the copy is computed"
            readers = list(copy.uses())
            assert isinstance(node.graph, ir.Graph), "the node stands in a graph"
            if name in writer.overrides.indices:
                new = writer.override_index(name, copy, node)
            else:
                new = writer.override(name, copy, node.graph, behind=node)
            for reader, index in readers:
                reader.replace_input_with(index, new)
    return writer.overrides


def override_nodes(model: ir.Model, names: Collection[str]) -> Overrides:
    """Let the Ifs, and the selections that became gates, of a file made elsewhere be overridden.

    Args:
        model: The file before any pass, changed in place.
        names: The nodes to override: ``If``, ``Where``, or ``Mul`` by a mask.
    """
    writer = _Writer(model)
    for node in list(model.graph.all_nodes()):
        if node.name is None or node.name not in names or node.domain:
            continue
        assert isinstance(node.graph, ir.Graph), "the node stands in a graph"
        if node.op_type == "Mul":
            index = next(i for i, v in enumerate(node.inputs) if v and decision_behind(v))
            new = writer.override_mask(node.name, node.inputs[index], node)
        elif node.op_type in {"If", "Where"}:
            index = 0
            new = writer.override(node.name, node.inputs[0], node.graph, before=node)
        else:
            continue
        node.replace_input_with(index, new)
    return writer.overrides


def names_of(decision: Decision) -> frozenset[str]:
    """Return the nodes of the original that became one decision."""
    return frozenset({decision.name, *(name for name, _ in decision.aliases)})


def under_all_names(decisions: Iterable[Decision], path: Mapping[str, int]) -> dict[str, int]:
    """Return a path of the result as the options of the nodes of the original."""
    options: dict[str, int] = {}
    for decision in decisions:
        if decision.name in path:
            option = path[decision.name]
            options[decision.name] = option
            options.update((other, own[option]) for other, own in decision.aliases)
    return options


class _Writer:
    """Adds the nodes, each value by a name of its own."""

    def __init__(self, model: ir.Model) -> None:
        self._main = model.graph
        self._taken = values_by_name(model)
        self._inputs: dict[str, tuple[ir.Value, ir.Value]] = {}
        self.overrides = Overrides()

    def override(
        self,
        name: str,
        value: ir.Value | None,
        graph: ir.Graph,
        *,
        before: ir.Node | None = None,
        behind: ir.Node | None = None,
    ) -> ir.Value:
        """Return ``(value and not forced) or (forced and option)``."""
        is_forced, option = self._controls(name)
        free = self._node("Not", [is_forced], name)
        own = self._node("And", [value, free.outputs[0]], name)
        given = self._node("And", [option, is_forced], name)
        either = self._node("Or", [own.outputs[0], given.outputs[0]], name)
        nodes = [free, own, given, either]
        if behind is not None:
            graph.insert_after(behind, nodes)
        else:
            assert before is not None
            graph.insert_before(before, nodes)
        return either.outputs[0]

    def override_index(self, name: str, index: ir.Value, node: ir.Node) -> ir.Value:
        """Return the index, or the option."""
        is_forced, option = self._controls(name)
        chosen = self._node("Where", [is_forced, option, index], name)
        assert isinstance(node.graph, ir.Graph)
        node.graph.insert_after(node, chosen)
        return chosen.outputs[0]

    def override_mask(self, name: str, mask: ir.Value | None, node: ir.Node) -> ir.Value:
        """Return the mask, or 0 or 1 of its type."""
        assert mask is not None
        is_forced, option = self._controls(name)
        to = ir.AttrInt64("to", int(mask.dtype or ir.DataType.FLOAT))
        number = self._node("Cast", [option], name, to)
        chosen = self._node("Where", [is_forced, number.outputs[0], mask], name)
        assert isinstance(node.graph, ir.Graph)
        node.graph.insert_before(node, [number, chosen])
        return chosen.outputs[0]

    def _controls(self, name: str) -> tuple[ir.Value, ir.Value]:
        if name not in self._inputs:
            is_index = name in self.overrides.indices
            dtypes = {"forced": ir.DataType.BOOL}
            dtypes["option"] = ir.DataType.INT64 if is_index else ir.DataType.BOOL
            is_forced, option = (
                ir.val(self._unused(f"{name}.{role}"), dtype=dtype, shape=[])
                for role, dtype in dtypes.items()
            )
            self._main.inputs.extend([is_forced, option])
            self._inputs[name] = is_forced, option
            self.overrides.inputs[name] = str(is_forced.name), str(option.name)
        return self._inputs[name]

    def _node(
        self, op_type: str, inputs: list[ir.Value | None], name: str, *attributes: ir.Attr
    ) -> ir.Node:
        node = ir.Node("", op_type, inputs, attributes)
        node.outputs[0].name = self._unused(f"{name}.{op_type.lower()}")
        return node

    def _unused(self, wanted: str) -> str:
        name = unused_name(wanted, self._taken)
        self._taken[name] = ir.Value(name=name)
        return name
