"""Force every path, and time it against the static network of that path."""

from __future__ import annotations

__all__ = ["Measured", "measure_paths"]

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import onnx_ir as ir
from numpy.typing import NDArray

from dyncompile import cost
from dyncompile.forcing import force_decisions
from dyncompile.manifest import Manifest
from dyncompile.measuring.comparing import check_same
from dyncompile.measuring.findings import ARTIFACT, SCORED, STATIC, PathFound, Setup
from dyncompile.measuring.points import single_line
from dyncompile.measuring.routes import Route, Routes
from dyncompile.measuring.sessions import Content, content_of, open_network
from dyncompile.measuring.statics import Statics
from dyncompile.progress import Progress
from dyncompile.timing import Timings, clock_for, time_in_turns

Array = NDArray[Any]
Feeds = Mapping[str, Array]

OPENINGS = 3


@dataclass(frozen=True)
class Measured:
    """What is measured, and how.

    Attributes:
        model: The artifact; knobs have no defaults in it.
        manifest: What goes with it.
        samples: Inputs by name, without the knobs.
        seconds: Time to spend on each thing that is timed.
        progress: Called with a step's name, what is done and what there is to do.
        reports: Outputs of the file that report decisions; the model has none.
    """

    model: ir.Model
    manifest: Manifest
    samples: Sequence[Feeds]
    seconds: float
    progress: Progress
    reports: tuple[str, ...] = ()

    def feeds(self, number: int, point: Mapping[str, Any]) -> dict[str, Array]:
        """Return a sample and the knobs at a point."""
        knobs = self.manifest.knobs
        given = {name: knob.array(name, point.get(name)) for name, knob in knobs.items()}
        return {**self.samples[number], **given}


def measure_paths(
    measured: Measured, routes: Routes, statics: Statics, setup: Setup
) -> Iterator[PathFound]:
    """Time every path, one after the other.

    The artifact is a copy that reads its decisions from inputs and still computes them, so
    that it costs what it costs when it decides for itself. Everything is opened several times,
    so that the place in memory of no single session decides; inputs and outputs are bound.

    Raises:
        VerificationError: a static network computes something else than the artifact.
    """
    costs = cost.along(measured.model, [route.path for route in routes.routes])
    copy = measured.model.clone()
    inputs = force_decisions(copy, routes.driven, keep_scores=True)
    with ExitStack() as stack:
        forced = content_of(copy, ARTIFACT, stack)
        for number, (route, side) in enumerate(zip(routes.routes, costs, strict=True)):
            measured.progress("paths", number, len(routes.routes))
            feeds = measured.feeds(number % len(measured.samples), route.point)
            with ExitStack() as inner:
                contents = {ARTIFACT: forced}
                for label in (STATIC, SCORED) if route.path else (STATIC,):
                    network = statics.network(route.path, scored=label == SCORED)
                    contents[label] = content_of(network, label, inner)
                timings = _timed(contents, feeds, inputs, route, measured, setup)
            yield PathFound(
                path=route.path,
                point=route.point,
                macs=side.macs,
                us={label: timings.us(label) for label in contents},
                ratios={
                    label: timings.ratio(ARTIFACT, label) for label in contents if label != ARTIFACT
                },
            )
        measured.progress("paths", len(routes.routes), len(routes.routes))


def _timed(
    contents: Mapping[str, Content],
    feeds: Feeds,
    inputs: Mapping[str, list[str]],
    route: Route,
    measured: Measured,
    setup: Setup,
) -> Timings:
    count = len(measured.model.graph.outputs)  # scores come after them
    clock = clock_for(setup.threads, setup.providers)
    parts: list[Timings] = []
    for _ in range(OPENINGS):
        opened = {label: open_network(c, setup, label) for label, c in contents.items()}
        fed = {**feeds, **opened[ARTIFACT].decisions(inputs, route.path)}
        if not parts:
            found = {k: list(net.run(fed).values())[:count] for k, net in opened.items()}
            for label, theirs in found.items():
                check_same(found[ARTIFACT], theirs, f"the {label} network", _spell(route))
        calls = {label: net.bound(fed, net.outputs[:count]) for label, net in opened.items()}
        seconds = measured.seconds / OPENINGS
        parts.append(time_in_turns(calls, seconds=seconds, clock=clock))
    return Timings.joined(parts)


def _spell(route: Route) -> str:
    path = " ".join(f"{name}={option}" for name, option in route.path.items()) or "the only path"
    return ", ".join(filter(None, (path, single_line(route.point))))
