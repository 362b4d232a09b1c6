"""Files with budgets: what they weigh, what they take to open, and what memory."""

from __future__ import annotations

__all__ = [
    "OWN_COPIES",
    "budget_file",
    "file_rows",
    "load_rows",
    "memory_rows",
    "own_copies",
    "peak_bytes",
]

import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import onnx_ir as ir
from torch import Tensor, nn

from benchmarks import timing
from benchmarks.figures import weigh, weigh_bare
from benchmarks.harness import OURS, STATIC, Bench, Row, quiet
from dyncompile.exporting import export
from dyncompile.passes.fold_views import FoldViews
from dyncompile.timing import time_in_turns

OWN_COPIES = "own copies"
FILE, LOAD, MEMORY = 1.05, 1.5, 1.3
CHILDREN, QUICK_CHILDREN = 3, 1

_VIEWS = {"Slice", "Reshape"}


def budget_file(
    bench: Bench,
    name: str,
    model: nn.Module,
    lowering: Literal["switch", "slice"],
    *inputs: Tensor,
) -> Path:
    """Export with dyncompile; the timing compares its outputs with the static ones."""
    bench.say(f"dyncompile.export {name}, {lowering}")
    path = bench.folder / f"{name}-{lowering}.onnx"
    with quiet():
        export(model.eval(), inputs, path, verify=False, budgets=lowering)
    return path


def own_copies(source: Path) -> Path:
    """Write a file in which every branch has its own copy of what it cuts out of a weight."""
    model = ir.load(source)
    for graph in model.graph.subgraphs():
        for node in graph:
            if node.op_type in _VIEWS and _of_constants(node):
                _bring_in(node, graph)
    FoldViews()(model)
    for graph in (model.graph, *model.graph.subgraphs()):
        for name, value in list(graph.initializers.items()):
            if not (value.uses() or value.is_graph_input() or value.is_graph_output()):
                del graph.initializers[name]
    target = source.with_name(f"{source.stem}-own-copies.onnx")
    ir.save(model, target)
    return target


def _of_constants(node: ir.Node) -> bool:
    return all(value is None or value.const_value is not None for value in node.inputs)


def _bring_in(node: ir.Node, graph: ir.Graph) -> None:
    for index, value in enumerate(node.inputs):
        if value is None or value.graph is graph:
            continue
        copy = ir.Value(
            name=f"{node.outputs[0].name}.input{index}",
            type=value.type,
            shape=value.shape,
            const_value=value.const_value,
        )
        graph.register_initializer(copy)
        node.replace_input_with(index, copy)


def file_rows(title: str, ours: Path, full: Path) -> Iterator[Row]:
    """Compare the bytes of our file with those of the static network of full width."""
    share = weigh(ours) / weigh_bare(full)
    yield Row(title, f"{STATIC}, bare", "file", None, share, "x bytes", FILE)


def load_rows(bench: Bench, title: str, ours: Path, full: Path) -> Iterator[Row]:
    """Compare the time to open our file, with one thread and every optimisation on."""
    files = {OWN_COPIES: own_copies(ours), OURS: ours, STATIC: full}
    calls = {label: timing.Run(file, {}).open for label, file in files.items()}
    seen = time_in_turns(calls, seconds=bench.seconds)
    for label, limit in ((OWN_COPIES, LOAD), (STATIC, None)):
        ratio = seen.ratio(OURS, label).median
        yield Row(title, label, "load", seen.us(label).median, ratio, "x", limit)


def memory_rows(bench: Bench, full: Path, files: Mapping[str, Path]) -> Iterator[Row]:
    """Compare the peak memory of processes that open a file and call it once at every level.

    Args:
        bench: Says how often.
        full: The static network of full width.
        files: Title to file; the first is the one with a target.
    """
    count = QUICK_CHILDREN if bench.quick else CHILDREN
    measured: dict[str, list[int]] = {label: [] for label in (STATIC, *files)}
    for _ in range(count):
        for label, file in {STATIC: full, **files}.items():
            measured[label].append(peak_bytes(file))
    medians = {label: float(np.median(values)) for label, values in measured.items()}
    for label, peak in medians.items():
        bench.say(f"  {label}: {peak / 1e6:.1f} MB at the peak")
    limit = iter((MEMORY,))
    for title in files:
        ratio = medians[title] / medians[STATIC]
        yield Row(title, STATIC, "peak memory", None, ratio, "x bytes", next(limit, None))


def peak_bytes(path: Path) -> int:
    """Return the peak memory of a process of its own; see ``budgets_memory.py``."""
    script = Path(__file__).with_name("budgets_memory.py")
    command = [sys.executable, "-P", str(script), str(path)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
