"""Make cuts by a level that is known constant."""

from __future__ import annotations

__all__ = ["fold_cuts"]

import json
from collections.abc import Callable, Mapping

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from dyncompile.dialect import CUTS, DECISION, LEVEL_MACS
from dyncompile.macs import level_macs
from dyncompile.passes.constants import add_constant, is_fixed, shared_constant

_Numbers = NDArray[np.int64]

# What stands between a level and the bounds that it looks up.
_RULES: Mapping[str, Callable[..., _Numbers]] = {
    "Clip": np.clip,
    "Gather": np.take,
    "Reshape": np.reshape,
    "Sub": np.subtract,
}


def fold_cuts(model: ir.Model, path: Mapping[str, int]) -> None:
    """Compute where weights and maps are cut, in the main graph, at the levels of a path.

    Before: ``end = Gather([8, 16, 32], level); v = Slice(w, 0, end)``
    After, at ``level=1``: ``v = Slice(w, 0, 16)``

    Args:
        model: Changed in place; what reads a level only to cut by it no longer does.
        path: The option of each decision on it.
    """
    levels: dict[ir.Value, ir.Value] = {}
    for node in list(model.graph.all_nodes()):
        level = node.inputs[0] if CUTS in node.metadata_props else None
        option = None if level is None else path.get(level.metadata_props.get(DECISION, ""))
        if level is not None and option is not None:
            if level not in levels:
                array = np.asarray(option, np.int64)
                levels[level] = shared_constant(model.graph, f"{level.name}.at.{option}", array)
            node.replace_input_with(0, levels[level])
    for node in list(model.graph) if levels else ():
        _fold(node, model.graph)
    for node in model.graph.all_nodes() if levels else ():
        noted = level_macs(node)
        if noted is not None and noted[0] in path:
            macs = noted[1][min(path[noted[0]], len(noted[1]) - 1)]
            node.metadata_props[LEVEL_MACS] = json.dumps({"decision": noted[0], "macs": [macs]})


def _fold(node: ir.Node, graph: ir.Graph) -> None:
    inputs = [value for value in node.inputs if value is not None and is_fixed(value)]
    arrays = [value.const_value.numpy() for value in inputs if value.const_value is not None]
    is_known = len(arrays) == len(node.inputs) and not node.attributes and not node.domain
    if not is_known or node.op_type not in _RULES or any(a.dtype != np.int64 for a in arrays):
        return
    output = node.outputs[0]
    found = _RULES[node.op_type](*arrays, **({"axis": 0} if node.op_type == "Gather" else {}))
    name, output.name = output.name, None
    known = add_constant(graph, name or "", np.asarray(found, np.int64))
    output.replace_all_uses_with(known, replace_graph_outputs=True)
    graph.remove(node, safe=True)
