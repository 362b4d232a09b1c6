"""What optimising a file changed, and what that should win."""

from __future__ import annotations

__all__ = ["Gains", "Survey", "compare"]

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from dyncompile import cost
from dyncompile.macs import is_counted, node_macs
from dyncompile.passes.block_captured_maps import is_block_entry

_LOOPS = {"Loop", "Scan"}


@dataclass(frozen=True)
class Survey:
    """What matters for speed in one state of a graph.

    Attributes:
        ifs: How many Ifs there are, at every depth.
        loops: How many Loops and Scans.
        macs: Multiply-accumulates written in the graph, whether they run or not.
        always: Those that run whatever is decided.
        outside: Those whose weight stands in a graph around their own.
        prepared: Those whose weight is a constant of their own graph.
        entries: Maps that branches read in the blocked layout of the runtime.
        ready: Weights inside of branches and bodies, or seen there through a view that the
            runtime folds: the bytes of each, by identity.
        captured: Weights that branches or bodies read from outside, likewise.
    """

    ifs: int
    loops: int
    macs: int
    always: int
    outside: int
    prepared: int
    entries: int
    ready: dict[int, int]
    captured: dict[int, int]

    @classmethod
    def from_model(cls, model: ir.Model) -> Survey:
        """Look at a graph whose shapes are known as far as can be."""
        ifs = loops = macs = outside = prepared = entries = 0
        ready: dict[int, int] = {}
        captured: dict[int, int] = {}
        known: dict[ir.Value, dict[ir.Value, int]] = {}
        for node in model.graph.all_nodes():
            ifs += node.op_type == "If"
            loops += node.op_type in _LOOPS
            entries += is_block_entry(node)
            own = node_macs(node)
            macs += own
            away = near = False
            for value in node.inputs if is_counted(node) else ():
                weights = {} if value is None else cost.weights_behind(value, known)
                is_here = value is None or value.graph is node.graph
                away |= bool(weights) and not is_here
                near |= bool(weights) and is_here
                if node.graph is not model.graph:
                    (ready if is_here else captured).update(_by_tensor(weights))
            outside += own if away else 0
            prepared += own if near and not away else 0
        always = cost.always(model).macs
        return cls(ifs, loops, macs, always, outside, prepared, entries, ready, captured)


@dataclass(frozen=True)
class Gains:
    """What changed, and what it should win.

    Attributes:
        ifs: Number of Ifs before and after.
        loops: Number of Loops and Scans before and after.
        selections: ``Where`` and products with a mask that became branches.
        weights: Weights that now stand in the branch or body that uses them, or are read
            through a view that the runtime folds.
        weight_bytes: Their size.
        faster_macs: Multiply-accumulates whose weight stood outside of their graph, and no
            longer does: ONNX Runtime ran them without preparing the weight.
        blocked: Maps that branches now read in the blocked layout of the runtime.
        always_macs: What runs whatever is decided, before and after.
        macs: All multiply-accumulates of the file as it was.
        path_macs: For some paths, those of the file as it was, and now.
        added: Whether some path runs operators that it did not run.
        rewritten: Passes that changed loops, or weights picked by an index.
        prepares_rounds: Whether more is then multiplied with weights that can be prepared.
    """

    ifs: tuple[int, int]
    loops: tuple[int, int]
    selections: int
    weights: int
    weight_bytes: int
    faster_macs: int
    blocked: int
    always_macs: tuple[int, int]
    macs: int
    path_macs: tuple[tuple[int, int], ...]
    added: bool = False
    rewritten: tuple[str, ...] = ()
    prepares_rounds: bool = False

    @property
    def saving(self) -> float:
        """The share of its multiply-accumulates that the path which gains most saves."""
        return max((1 - now / was for was, now in self.path_macs if was), default=0.0)

    @property
    def is_lazy(self) -> bool:
        """Whether no path does more than before."""
        return not self.added and all(now <= was for was, now in self.path_macs)

    @property
    def any(self) -> bool:
        """Whether there is something to win at all."""
        before, after = self.ifs
        return bool(
            after < before
            or self.selections
            or self.weights
            or self.faster_macs > 0
            or self.blocked > 0
            or self.saving > 0
            or self.rewritten
        )


def compare(
    before: Survey,
    after: Survey,
    path_macs: Sequence[tuple[int, int]],
    *,
    selections: int = 0,
    added: bool = False,
    rewritten: Sequence[str] = (),
) -> Gains:
    """Return what changed between two states of a graph."""
    placed = {
        tensor: size
        for tensor, size in before.captured.items()
        if tensor not in after.captured and tensor in after.ready
    }
    return Gains(
        ifs=(before.ifs, after.ifs),
        loops=(before.loops, after.loops),
        selections=selections,
        weights=len(placed),
        weight_bytes=sum(placed.values()),
        faster_macs=max(before.outside - after.outside, 0),
        blocked=after.entries - before.entries,
        always_macs=(before.always, after.always),
        macs=before.macs,
        path_macs=tuple(path_macs),
        added=added,
        rewritten=tuple(rewritten),
        prepares_rounds=bool(rewritten) and after.prepared > before.prepared,
    )


def _by_tensor(weights: Mapping[ir.Value, int]) -> Iterator[tuple[int, int]]:
    for value, size in weights.items():
        yield id(ir.convenience.get_const_tensor(value)), size
