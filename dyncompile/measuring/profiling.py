"""Where the time goes, from what ONNX Runtime notes of every node."""

from __future__ import annotations

__all__ = ["attribute", "profile", "usual_runs"]

import json
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx_ir as ir

from dyncompile.dialect import DECISION
from dyncompile.measuring.findings import ALWAYS, Part, Setup
from dyncompile.measuring.sessions import Content, Feeds, open_network
from dyncompile.paths import Path as Taken

_PASSES = 3
_SUFFIX = "_kernel_time"
_RUN = "model_run"
_GRAPH = "SequentialExecutor::Execute"  # all nodes of one graph, and what is between them
_NESTING = {"If", "Loop", "Scan"}

Event = Mapping[str, Any]
Place = tuple[str, int]


def profile(
    content: Content, model: ir.Model, calls: Sequence[tuple[Feeds, Taken]], setup: Setup
) -> list[Part]:
    """Run calls under ONNX Runtime's profiler, and say which option of which decision took what.

    Each call runs several times, and the one of median duration counts, so that what stops the
    machine for a moment is in no part.
    The profiler slows every node by about a microsecond, small nodes relatively more; the
    shares of decisions with many small nodes come out somewhat too large.

    Args:
        content: The artifact.
        model: Its graph: the names of its Ifs, and their decisions.
        calls: What to feed, and the path that each call takes.
        setup: Threads and providers.

    Returns:
        The parts, mean microseconds over the calls as the profiler saw them.
    """
    with tempfile.TemporaryDirectory() as folder:
        opened = open_network(content, setup, "the artifact", profile=Path(folder) / "bench")
        for feeds, _ in [*calls] * (1 + _PASSES):  # the first time everything is slow
            opened.call(feeds)()
        file = Path(opened.session.end_profiling())
        events = json.loads(file.read_text(encoding="utf-8"))
        del opened
    runs = list(_runs(events))[-_PASSES * len(calls) :]
    ifs = {
        node.name or "": node.metadata_props[DECISION]
        for node in model.graph.all_nodes()
        if node.op_type == "If" and DECISION in node.metadata_props
    }
    return attribute(usual_runs(runs, len(calls)), ifs, [path for _, path in calls])


def _runs(events: Iterable[Event]) -> Iterator[list[Event]]:
    """Yield the nodes and graphs of each call, in the order in which they ended."""
    nodes: list[Event] = []
    for event in events:
        if event.get("name") == _RUN:
            yield nodes
            nodes = []
        elif event.get("name") == _GRAPH or str(event.get("name")).endswith(_SUFFIX):
            nodes.append(event)


def usual_runs(runs: Sequence[Sequence[Event]], count: int) -> list[Sequence[Event]]:
    """Return, of several passes over so many calls, the run of median duration of each."""
    several = [sorted(runs[k::count], key=_duration) for k in range(count)]
    return [found[len(found) // 2] for found in several]


def _duration(run: Sequence[Event]) -> int:
    ends = [event["ts"] + event["dur"] for event in run]
    return int(max(ends) - min(event["ts"] for event in run)) if run else 0


def attribute(
    runs: Sequence[Sequence[Event]], ifs: Mapping[str, str], paths: Sequence[Taken]
) -> list[Part]:
    """Share the time of nodes out among the options of decisions.

    A node belongs to the innermost If around it whose decision is on the path of the call: its
    time lies within that of the If. The time of an If less that of its branch is its own, and
    belongs to what is around it. What passes between nodes, which is mostly the profiler's, is
    left out.

    Args:
        runs: The nodes and graphs of each call, in the order in which they ended.
        ifs: Name of an If to its decision.
        paths: The path of each call.
    """
    taken: defaultdict[Place, Counter[str]] = defaultdict(Counter)
    for run, path in zip(runs, paths, strict=True):
        for (place, operator), us in _places(run, ifs, path).items():
            taken[place][operator] += us
    count = max(len(runs), 1)
    parts = []
    for (decision, option), operators in taken.items():
        shares = {name: us / count for name, us in operators.most_common()}
        parts.append(Part(decision, option, sum(shares.values()), shares))
    return sorted(parts, key=lambda part: -part.us)


def _places(
    run: Sequence[Event], ifs: Mapping[str, str], path: Taken
) -> Counter[tuple[Place, str]]:
    """Return the time of each operator by the place it belongs to."""
    found: Counter[tuple[Place, str]] = Counter()
    around: list[_Around] = []
    for event in reversed(run):  # what nests comes before what it nests
        while around and event["ts"] < around[-1].start:
            around.pop()
        outer = around[-1] if around else _Around(event["ts"], (ALWAYS, 0))
        if event["name"] == _GRAPH:
            if outer.owner is not None:
                found[outer.owner] -= event["dur"]
            around.append(_Around(event["ts"], outer.place))
            continue
        operator = str(event["args"]["op_name"])
        found[outer.place, operator] += event["dur"]
        if operator in _NESTING:
            decision = ifs.get(str(event["name"]).removesuffix(_SUFFIX), "")
            inside = (decision, path[decision]) if decision in path else outer.place
            around.append(_Around(event["ts"], inside, (outer.place, operator)))
    return Counter({key: us for key, us in found.items() if us > 0})


@dataclass(frozen=True)
class _Around:
    """What lies around a node: since when, and for what place it counts.

    Of an If or loop, also where its own time counts.
    """

    start: int
    place: Place
    owner: tuple[Place, str] | None = None
