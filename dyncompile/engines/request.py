"""What the process that asks for an engine and the process that builds it tell each other."""

from __future__ import annotations

__all__ = ["BuildRequest", "BuildResult", "Flavor", "LazyNode", "ShapeRange"]

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, cast

from dyncompile.engine_file import Binding

Flavor = Literal["tensorrt", "tensorrt-rtx"]


@dataclass(frozen=True)
class ShapeRange:
    """What an engine accepts for one input, and what it is fastest for.

    Attributes:
        name: The input.
        least: The smallest size of each dimension; of a shape tensor, the smallest values.
        best: What the builder optimises for.
        most: The largest.
    """

    name: str
    least: tuple[int, ...]
    best: tuple[int, ...]
    most: tuple[int, ...]


@dataclass(frozen=True)
class LazyNode:
    """A node that multiplies and stands in a branch: it must run only if the branch is taken.

    Attributes:
        name: The ONNX node.
        ifs: Names of the ``If`` nodes around it, the outermost first.
        in_inner_loop: Whether it runs in a loop that stands inside of one of them.
    """

    name: str
    ifs: tuple[str, ...]
    in_inner_loop: bool = False


@dataclass(frozen=True)
class BuildRequest:
    """One engine to build.

    Attributes:
        flavor: Which builder.
        model: The ONNX file.
        plan: The file to write.
        chips: What to build for, as ``sm89``; empty is the builder's default.
        ranges: Sizes of the inputs that have dynamic dimensions.
        values: Values of integer inputs, for those that the parser makes shape tensors.
        memory: Bytes that the builder may use as workspace on the GPU; None is its default.
        timing_cache: A file of measured times, read if it is there and written on success.
        lazy: Nodes that must run only if their branch is taken.
    """

    flavor: Flavor
    model: Path
    plan: Path
    chips: tuple[str, ...] = ()
    ranges: tuple[ShapeRange, ...] = ()
    values: tuple[ShapeRange, ...] = ()
    memory: int | None = None
    timing_cache: Path | None = None
    lazy: tuple[LazyNode, ...] = ()

    def to_json(self) -> str:
        """Return one line."""
        return json.dumps(asdict(self), default=str)

    @classmethod
    def from_json(cls, text: str) -> BuildRequest:
        """Read what ``to_json`` wrote."""
        entry = json.loads(text)
        cache = entry["timing_cache"]
        return cls(
            flavor=entry["flavor"],
            model=Path(entry["model"]),
            plan=Path(entry["plan"]),
            chips=tuple(entry["chips"]),
            ranges=tuple(map(_range, entry["ranges"])),
            values=tuple(map(_range, entry["values"])),
            memory=entry["memory"],
            timing_cache=None if cache is None else Path(cache),
            lazy=tuple(map(_lazy_node, entry["lazy"])),
        )


@dataclass(frozen=True)
class BuildResult:
    """What became of a request.

    Attributes:
        version: Version of the builder.
        inputs: Inputs of the engine, in order.
        outputs: Its outputs.
        seconds: How long parsing and building took.
        layers: Layers of the parsed network.
        repaired: Nodes that the parser let run in every case, and that no longer do.
        untraced: Nodes, ``If`` nodes among them, that the parser left no layer of: whether these,
            and what is in them, run lazily is not known.
        warnings: What the builder warned of.
        peak_memory: The most bytes of main memory that the build held.
    """

    version: str
    inputs: tuple[Binding, ...]
    outputs: tuple[Binding, ...]
    seconds: float
    layers: int
    repaired: tuple[str, ...] = ()
    untraced: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    peak_memory: int = 0

    def to_json(self) -> str:
        """Return one line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> BuildResult:
        """Read what ``to_json`` wrote."""
        entry = json.loads(text)
        for name in ("inputs", "outputs"):
            entry[name] = tuple(map(_binding, entry[name]))
        for name in ("repaired", "untraced", "warnings"):
            entry[name] = tuple(entry[name])
        return cls(**entry)


def _range(entry: Mapping[str, Any]) -> ShapeRange:
    return ShapeRange(entry["name"], *(tuple(entry[end]) for end in ("least", "best", "most")))


def _lazy_node(entry: Mapping[str, Any]) -> LazyNode:
    return LazyNode(entry["name"], tuple(entry["ifs"]), entry["in_inner_loop"])


def _binding(entry: Mapping[str, Any]) -> Binding:
    location = cast("Literal['device', 'host']", entry["location"])
    return Binding(entry["name"], entry["dtype"], tuple(entry["shape"]), location)
