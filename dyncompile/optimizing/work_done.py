"""Which operators run along a path."""

from __future__ import annotations

__all__ = ["adds_work", "operators_along"]

from collections import Counter
from collections.abc import Mapping

import onnx_ir as ir

from dyncompile.passes.block_captured_maps import is_block_entry
from dyncompile.passes.branch_notes import branch_taken
from dyncompile.passes.scopes import graphs_of

# What passes add, beside block entries: branches, copies, constants, views of weights, decisions
# taken apart.
_FREE = {"Constant", "ConstantOfShape", "Expand", "Identity", "If", "Reshape", "Split"}


def operators_along(graph: ir.Graph, path: Mapping[str, int]) -> Counter[str]:
    """Count the operators that run; of branches that the path does not choose, the most of each.

    Args:
        graph: Its Ifs say which decision they test.
        path: Options by decision. Bodies of loops count as one round.
    """
    found: Counter[str] = Counter()
    for node in graph:
        found[node.op_type] += not is_block_entry(node)
        inner = list(graphs_of(node))
        taken = branch_taken(node, path)
        if taken is not None:
            inner = [taken]
        most: Counter[str] = Counter()
        for branch in inner:
            most |= operators_along(branch, path)
        found += most
    return found


def adds_work(before: Counter[str], after: Counter[str]) -> bool:
    """Whether something runs that did not, apart from what passes add for nothing."""
    return any(name not in _FREE for name in after - before)
