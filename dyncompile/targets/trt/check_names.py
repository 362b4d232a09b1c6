"""Refuse names that stand for two things."""

from __future__ import annotations

__all__ = ["CheckNames"]

from dataclasses import dataclass

import onnx_ir as ir

from dyncompile.targets.trt.refusing import refusal


@dataclass(frozen=True)
class CheckNames(ir.passes.InPlacePass):
    """Check that no two values and no two nodes of the model share a name; changes nothing.

    TensorRT finds layers and tensors by name, whatever branch they are in. ``NameUniquely``
    gives each a name of its own.

    Raises:
        TargetError: two share one.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Look at the values and nodes of all graphs."""
        values: dict[str, ir.Value] = {}
        nodes: dict[str, ir.Node] = {}
        for graph in model.graphs():
            defined = [*graph.inputs, *graph.initializers.values()]
            defined += [value for node in graph for value in node.outputs]
            for value in defined:
                if value.name and values.setdefault(value.name, value) is not value:
                    raise _shared("value", value.name)
            for node in graph:
                if node.name and nodes.setdefault(node.name, node) is not node:
                    raise _shared("node", node.name)
        return ir.passes.PassResult(model, modified=False)


def _shared(kind: str, name: str) -> Exception:
    return refusal(
        f"{kind} {name!r}",
        "two of that name stand in different branches, or side by side.",
        "Give each its own, as the pass NameUniquely does.",
    )
