"""The process that builds: it may crash without harm to the one that asked.

    python -m dyncompile.engines.worker

reads a request from the first line of its input and writes messages, one JSON object a line, to its
output. Its input stays open as long as the engine is wanted: when it is closed, the build is given
up, or, if it is done, the plan is removed unless it was taken away under another name.
"""

from __future__ import annotations

__all__ = ["main", "timing_cache_beside"]

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from dyncompile.engine_file import TITLES
from dyncompile.engines.adapter import (
    bindings,
    build_plan,
    configure,
    kept_timing_cache,
    out_of_memory,
    parse,
)
from dyncompile.engines.eager_layers import eager_layers, make_lazy, not_found
from dyncompile.engines.flavors import load_builder
from dyncompile.engines.layer_graph import layer_graph
from dyncompile.engines.messages import Messages, is_out_of_memory
from dyncompile.engines.monitor import open_monitor
from dyncompile.engines.request import BuildRequest, BuildResult
from dyncompile.errors import DyncompileError, TargetError, one_line

_GRACE_SECONDS = 10.0  # for a builder that does not ask its monitor

Tell = Callable[..., None]


def main() -> None:
    """Build one engine; does not return."""
    answers = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)  # a builder may print
    request = BuildRequest.from_json(sys.stdin.readline())
    given_up = threading.Event()
    watch = threading.Thread(target=_watch, args=(sys.stdin, given_up, request.plan), daemon=True)
    watch.start()
    lock = threading.Lock()

    def tell(**message: object) -> None:
        with lock, suppress(OSError):  # nobody listens any more: the input is closed as well
            answers.write(json.dumps(message) + "\n")

    _answer(request, tell, given_up)
    watch.join()
    _leave(request.plan)


def timing_cache_beside(plan: Path) -> Path:
    """Return where measured times are left for the one that asked."""
    return plan.with_name(plan.name + ".times")


def _watch(stdin: TextIO, given_up: threading.Event, plan: Path) -> None:
    stdin.read()
    given_up.set()
    threading.Thread(target=_leave_later, args=(plan,), daemon=True).start()


def _leave_later(plan: Path) -> None:
    time.sleep(_GRACE_SECONDS)
    _leave(plan)


def _leave(plan: Path) -> None:
    plan.unlink(missing_ok=True)
    timing_cache_beside(plan).unlink(missing_ok=True)
    os._exit(0)  # without the builder's own cleaning up, which may crash


def _answer(request: BuildRequest, tell: Tell, given_up: threading.Event) -> None:
    try:
        tell(result=_build(request, tell, given_up).to_json())
    except DyncompileError as error:
        tell(refused=[error.problem, error.where, error.remedy])
    except Exception as error:  # a builder may raise anything
        said = one_line(error)
        if isinstance(error, MemoryError) or is_out_of_memory(said):
            memory = out_of_memory(request, said)
            tell(refused=[memory.problem, memory.where, memory.remedy])
        else:
            tell(failed=said)


def _build(request: BuildRequest, tell: Tell, given_up: threading.Event) -> BuildResult:
    tell(at="loading the builder")
    trt = load_builder(request.flavor)
    messages = Messages(echo=sys.stderr)
    begin = time.perf_counter()
    tell(at="reading the network")
    parsed = parse(trt, request, messages)
    repaired, untraced = _make_lazy(trt, parsed.network, request, messages)
    tell(at="building")
    monitor = open_monitor(
        trt,
        tell=lambda part, done, total: tell(progress=[part, done, total]),
        enter=lambda phase: tell(at=phase),
        stop=given_up,
    )
    config = configure(parsed, request, monitor)
    plan = build_plan(parsed, config, request)
    inputs, outputs = bindings(parsed)
    _write(request, plan, kept_timing_cache(config, request))
    return BuildResult(
        version=trt.__version__,
        inputs=inputs,
        outputs=outputs,
        seconds=time.perf_counter() - begin,
        layers=parsed.network.num_layers,
        repaired=repaired,
        untraced=untraced,
        warnings=messages.warnings,
        peak_memory=_peak_memory(),
    )


def _make_lazy(
    trt: Any,  # noqa: ANN401 - TensorRT has no types
    network: Any,  # noqa: ANN401
    request: BuildRequest,
    messages: Messages,
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if not request.lazy:
        return (), ()
    graph = layer_graph(trt, network)
    untraced = not_found(graph, request.lazy)
    for name in untraced:
        messages.warn(
            f"the parser left no trace of {name!r}: whether it runs lazily was not checked"
        )
    repaired = make_lazy(trt, graph, request.lazy)
    if repaired:
        graph = layer_graph(trt, network)
    for node, _ in eager_layers(graph, request.lazy):
        raise TargetError(
            f"the parser of {TITLES[request.flavor]} {trt.__version__} lets it run even if its "
            f"branch of {node.ifs[-1]!r} is not taken.",
            where=f"node {node.name!r}",
            remedy="Use TensorRT 11.4 or TensorRT for RTX 1.7, whose parsers are right.",
        )
    return repaired, untraced


def _write(request: BuildRequest, plan: bytes, times: bytes | None) -> None:
    try:
        request.plan.write_bytes(plan)
        if times is not None:
            timing_cache_beside(request.plan).write_bytes(times)
    except OSError as error:
        raise TargetError(
            f"the engine cannot be written: {error.strerror or error}.",
            where=str(request.plan.parent),
            remedy="Free some space, or write elsewhere.",
        ) from error


def _peak_memory() -> int:
    """Return the most bytes that this process held.

    Linux says it of this program alone; the resource usage begins with that of the program that
    started this one.
    """
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        import resource
    except ImportError:  # Windows
        return 0
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


if __name__ == "__main__":
    main()
