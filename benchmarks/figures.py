"""Rows from timings and from files."""

from __future__ import annotations

__all__ = ["peer_rows", "ratio_row", "size_row", "size_rows", "torch_rows", "weigh", "weigh_bare"]

from collections.abc import Iterator
from pathlib import Path

import onnx_ir as ir
import onnx_ir.passes.common as ir_passes
from torch import Tensor, nn

from benchmarks import timing
from benchmarks.harness import COND, EAGER, OURS, ROUND_TRIP, STATIC, TORCH_COMPILE, Bench, Row
from dyncompile.timing import Timings

ROUND_TRIP_TIME, ROUND_TRIP_BYTES = 1.02, 1.0
DECISION_BYTES = 4096


def ratio_row(title: str, path: str, seen: Timings, limit: float | None = None) -> Row:
    """Return the time of our file as a multiple of the static one's."""
    ratio = seen.ratio(OURS, STATIC).median
    return Row(title, STATIC, path, seen.us(STATIC).median, ratio, "x", limit)


def peer_rows(title: str, path: str, seen: Timings, speedup: float | None = None) -> Iterator[Row]:
    """Compare with the same network written with ``torch.cond``, as it is and after a round trip.

    Args:
        title: The network.
        path: The decisions.
        seen: Timings of our file and of both others.
        speedup: How much faster than the first ours has to be.
    """
    cond, trip = seen.us(COND).median, seen.us(ROUND_TRIP).median
    faster, ratio = seen.ratio(COND, OURS).median, seen.ratio(OURS, ROUND_TRIP).median
    yield Row(title, COND, path, cond, faster, "x faster", speedup, at_least=True)
    yield Row(title, ROUND_TRIP, path, trip, ratio, "x", ROUND_TRIP_TIME)


def torch_rows(
    bench: Bench,
    title: str,
    path: str,
    ours: tuple[Path, timing.Feeds] | timing.Opened,
    static: tuple[nn.Module, tuple[Tensor, ...]],
) -> Iterator[Row]:
    """Compare with PyTorch on the static network: as it is, and compiled for this path.

    Both are spared the decisions. Where ``torch.compile`` fails, its row says why.

    Args:
        bench: Times them.
        title: The network.
        path: The decisions.
        ours: Our file and what it is fed.
        static: The network of this path and its inputs.
    """
    model = static[0].eval()
    runs: dict[str, tuple[Path, timing.Feeds] | timing.Opened] = {
        OURS: ours,
        EAGER: timing.Eager(model, static[1]),
    }
    bench.say(f"{TORCH_COMPILE} {title}, {path}")
    compiled = timing.compile_or_reason(model, static[1])
    if not isinstance(compiled, str):
        runs[TORCH_COMPILE] = compiled
    seen = bench.compare(runs)
    for label in list(runs)[1:]:
        faster = seen.ratio(label, OURS).median
        yield Row(title, label, path, seen.us(label).median, faster, "x faster")
    if isinstance(compiled, str):
        yield Row(title, TORCH_COMPILE, path, None, None, note=compiled)


def size_row(title: str, ours: Path, static: Path, decisions: int) -> Row:
    """Return the bytes that our file has more than a static one, per decision."""
    extra = (weigh(ours) - weigh_bare(static)) / decisions
    return Row(title, "static, bare", "file", None, extra, "B/decision", DECISION_BYTES)


def size_rows(title: str, ours: Path, cond: Path, trip: Path) -> Iterator[Row]:
    """Compare the bytes of our file with those of both ``torch.cond`` files."""
    size = weigh(ours)
    yield Row(title, COND, "file", None, size / weigh(cond), "x bytes")
    yield Row(title, ROUND_TRIP, "file", None, size / weigh(trip), "x bytes", ROUND_TRIP_BYTES)


def weigh(path: Path) -> int:
    """Return the bytes of a file, with those of its weights beside it."""
    data = path.with_name(f"{path.name}.data")
    return path.stat().st_size + (data.stat().st_size if data.exists() else 0)


def weigh_bare(path: Path) -> int:
    """Count the bytes without what torch notes about the source of each node."""
    model = ir.load(path)
    ir_passes.ClearMetadataAndDocStringPass()(model)
    return len(ir.to_proto(model).SerializeToString())
