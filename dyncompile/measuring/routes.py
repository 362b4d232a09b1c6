"""Which paths can be forced, and at which settings of the knobs."""

from __future__ import annotations

__all__ = ["Route", "Routes", "find_routes"]

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from dyncompile.manifest import Decision, Manifest, OperatingPoint
from dyncompile.measuring.knob_decisions import options_from_knobs
from dyncompile.passes.decision_values import following, values_of
from dyncompile.paths import DecisionTree, Path, chosen_paths


@dataclass(frozen=True)
class Route:
    """A path at a setting of the knobs."""

    point: OperatingPoint
    path: Path


@dataclass(frozen=True)
class Routes:
    """What can be forced.

    Attributes:
        routes: All, or a sample; those at the first point first.
        complete: Whether they are all.
        driven: Decisions to force; the others on a path follow from knobs.
        free: Decisions that nobody can force: made without a marker, or inside of a loop.
        looped: Those inside of a loop, which may fall several ways in one call.
    """

    routes: tuple[Route, ...]
    complete: bool
    driven: tuple[Decision, ...]
    free: tuple[str, ...]
    looped: tuple[str, ...]


def find_routes(
    model: ir.Model,
    manifest: Manifest,
    points: Sequence[OperatingPoint],
    known: Collection[str] | None = None,
) -> Routes:
    """Find the paths of a lowered graph.

    Decisions that follow from knobs alone are as the point makes them, the others go every
    way. Up to 64 paths over all points are listed; beyond, those of the first point
    (``DecisionTree.paths``), and of the others what takes a decision a new way.

    Args:
        model: A lowered graph.
        manifest: What goes with it.
        points: Values of all knobs; at least one.
        known: Names of the decisions that the PyTorch model makes with a marker; None if
            there is no model, and every decision of the artifact may be forced.
    """
    looped = _looped(model, manifest.decisions)
    free = tuple(d.name for d in manifest.decisions if d.name in looped or not _is_known(d, known))
    forcible = [decision for decision in manifest.decisions if decision.name not in free]
    follow = following(model, forcible, manifest.knobs)
    options = options_from_knobs(model, follow, manifest.knobs)
    tree = DecisionTree.from_model(model, free=free)
    chosen, complete = chosen_paths([tree.paths(options(point)) for point in points])
    routes = tuple(Route(points[number], path) for number, path in chosen)
    driven = tuple(decision for decision in forcible if decision not in follow)
    return Routes(routes, complete, driven, free, looped)


def _is_known(decision: Decision, known: Collection[str] | None) -> bool:
    names = (decision.name, *(name for name, _ in decision.aliases))
    return known is None or all(name in known for name in names)


def _looped(model: ir.Model, decisions: Collection[Decision]) -> tuple[str, ...]:
    """Return the decisions that may be made several times a call: those inside of a loop."""
    reached, pending = {model.graph}, [model.graph]
    while pending:
        for node in pending.pop():
            if node.op_type == "If" and not node.domain:
                inner = [node.attributes[side].as_graph() for side in node.attributes]
                reached.update(inner)
                pending += inner
    values = values_of(model, decisions)
    return tuple(name for name, held in values.items() if any(v.graph not in reached for v in held))
