"""Keep one copy of equal weights."""

from __future__ import annotations

__all__ = ["ShareWeights"]

from collections.abc import Hashable
from dataclasses import dataclass

import onnx_ir as ir

_END = 64


@dataclass(frozen=True)
class ShareWeights(ir.passes.InPlacePass):
    """Merge constants of a graph that hold the same bytes.

    Before: ``a = MatMul(x, w); b = MatMul(y, w2)``, with ``w`` and ``w2`` equal
    After: ``a = MatMul(x, w); b = MatMul(y, w)``

    Tools that flatten branches, or copy weights into them, leave such twins behind. Inputs with
    a default value are no constants and stay apart.

    Attributes:
        from_bytes: Smaller constants are left: one that several branches use is copied anyway.
    """

    from_bytes: int = 129

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Merge within each graph."""
        modified = False
        for graph in model.graphs():
            alike: dict[Hashable, list[ir.Value]] = {}
            for value in graph.initializers.values():
                key = self._key(value)
                if key is not None:
                    alike.setdefault(key, []).append(value)
            for values in alike.values():
                modified |= _merge(values, graph)
        return ir.passes.PassResult(model, modified=modified)

    def _key(self, value: ir.Value) -> Hashable:
        tensor = value.const_value
        if tensor is None or tensor.dtype == ir.DataType.STRING:
            return None
        if value.is_graph_input() or value.is_graph_output() or tensor.nbytes < self.from_bytes:
            return None
        return tensor.dtype, tuple(tensor.shape.numpy())


def _merge(values: list[ir.Value], graph: ir.Graph) -> bool:
    if len(values) == 1:
        return False
    kept: dict[bytes, list[tuple[bytes, ir.Value]]] = {}  # by their ends, which is quick to hash
    modified = False
    for value in values:
        assert value.const_value is not None
        content = value.const_value.tobytes()
        alike = kept.setdefault(content[:_END] + content[-_END:], [])
        same = next((other for found, other in alike if found == content), None)
        if same is None:
            alike.append((content, value))
            continue
        value.replace_all_uses_with(same)
        assert value.name is not None
        del graph.initializers[value.name]
        modified = True
    return modified
