"""Refuse what no ONNX file can hold."""

from __future__ import annotations

__all__ = ["CheckDepth"]

from dataclasses import dataclass

import onnx_ir as ir

from dyncompile.dialect import DECISION
from dyncompile.errors import TargetError
from dyncompile.passes.scopes import graphs_of


@dataclass(frozen=True)
class CheckDepth(ir.passes.InPlacePass):
    """Check that branches nest no deeper than a reader follows; changes nothing.

    Protocol buffers are read to a depth of 100 messages, and a branch inside of a branch adds
    three: the graph, the node, the attribute. So no ONNX file holds more than 32.

    Attributes:
        deepest: How many branches may stand inside of each other.
        reader: What goes no deeper.

    Raises:
        TargetError: they nest deeper.
    """

    deepest: int = 32
    reader: str = "ONNX files are read"

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Look at every branch."""
        waiting = [(node, 1) for node in model.graph]
        while waiting:
            node, depth = waiting.pop()
            inner = [below for graph in graphs_of(node) for below in graph]
            if inner and depth > self.deepest:
                raise TargetError(
                    f"the decisions nest more than {self.deepest} deep, deeper than {self.reader}.",
                    where=f"decision {node.metadata_props.get(DECISION, node.name)!r}",
                    remedy="Use fewer exits behind each other.",
                )
            waiting.extend((below, depth + 1) for below in inner)
        return ir.passes.PassResult(model, modified=False)
