"""One graph as an ordered sequence of nodes that can be rewritten locally."""

from __future__ import annotations

__all__ = ["Sequence"]

from collections.abc import Collection, Iterator

import onnx_ir as ir

from dyncompile.passes.scopes import inputs_of, nested_nodes


class Sequence:
    """The nodes of one graph in topological order, with positions that can be compared.

    A slot holds one node, or a few that were put in place of others. Replacing a set of nodes
    touches only the slots between the first and the last of them, so that a long chain of
    rewrites stays linear in the length of the graph.
    """

    def __init__(self, graph: ir.Graph) -> None:
        self.graph = graph
        self._slots = [[node] for node in graph]
        self._positions = {node: (i, 0) for i, (node,) in enumerate(self._slots)}

    def __contains__(self, node: ir.Node | None) -> bool:
        return node in self._positions

    def position(self, node: ir.Node) -> tuple[int, int]:
        """Return where the node stands; smaller is earlier."""
        return self._positions[node]

    def between(self, first: ir.Node, last: ir.Node) -> Iterator[ir.Node]:
        """Yield the nodes strictly between two nodes, in order."""
        start, end = self._positions[first], self._positions[last]
        for slot in range(start[0], end[0] + 1):
            for node in self._slots[slot]:
                if start < self._positions[node] < end:
                    yield node

    def sorted(self, nodes: Collection[ir.Node]) -> list[ir.Node]:
        """Return the nodes in order."""
        return sorted(nodes, key=self._positions.__getitem__)

    def replace(self, old: list[ir.Node], new: list[ir.Node]) -> None:
        """Put ``new`` in the place of ``old`` (both in order).

        Old nodes may have moved to another graph already; those still here are removed.

        Nodes in between that read what ``old`` computed move behind ``new``. The caller has
        made sure that ``old`` is convex: none of these feeds ``old`` again.
        """
        first, last = self._positions[old[0]][0], self._positions[old[-1]][0]
        before, after = self._without(old, new, first, last)
        moved = [*new, *(node for slot in after for node in slot)]
        for slot in after:
            self.graph.remove(slot)
        self._detach(old)
        self._insert_behind(last, moved)
        fill = [*before, list(new), *after]
        if len(fill) > last - first + 1:  # no slot came free: share one
            fill[:2] = [[*fill[0], *fill[1]]]
        fill += [[] for _ in range(last - first + 1 - len(fill))]
        for offset, slot in enumerate(fill):
            self._slots[first + offset] = slot
            for place, node in enumerate(slot):
                self._positions[node] = (first + offset, place)

    def delay(self, nodes: Collection[ir.Node], other: ir.Node) -> None:
        """Move those of the nodes that stand before another to the place behind it.

        The caller has made sure that nothing in between needs them.
        """
        moved = [n for n in self.sorted(nodes) if self._positions[n] < self._positions[other]]
        if not moved:
            return
        self.graph.remove(moved)
        self.graph.insert_after(other, moved)
        home = self._positions[other][0]
        touched = {home, *(self._positions[node][0] for node in moved)}
        for slot in touched:
            self._slots[slot] = [node for node in self._slots[slot] if node not in moved]
        place = self._slots[home].index(other) + 1
        self._slots[home][place:place] = moved
        for slot in touched:
            for place, node in enumerate(self._slots[slot]):
                self._positions[node] = (slot, place)

    def _without(
        self, old: list[ir.Node], new: list[ir.Node], first: int, last: int
    ) -> tuple[list[list[ir.Node]], list[list[ir.Node]]]:
        """Return what else is in the slots: what may stay before, and what reads the new."""
        gone = set(old)
        late = gone | set(new)
        before: list[list[ir.Node]] = []
        after: list[list[ir.Node]] = []
        for slot in self._slots[first : last + 1]:
            kept = [node for node in slot if node not in gone]
            if any(value.producer() in late for node in kept for value in inputs_of(node)):
                late.update(kept)
                after.append(kept)
            elif kept:
                before.append(kept)
        return before, after

    def _detach(self, old: list[ir.Node]) -> None:
        """Take nodes out; those that moved to another graph are no longer here."""
        dropped = [node for node in old if node.graph is self.graph]
        self.graph.remove(dropped)
        for node in dropped:
            for reader in (node, *nested_nodes(node)):
                for index in range(len(reader.inputs)):
                    reader.replace_input_with(index, None)
        for node in old:
            del self._positions[node]

    def _insert_behind(self, slot: int, nodes: list[ir.Node]) -> None:
        for number in range(slot + 1, len(self._slots)):
            if self._slots[number]:
                self.graph.insert_before(self._slots[number][0], nodes)
                return
        self.graph.extend(nodes)
