"""What a loaded network needs of what runs it: ONNX Runtime, or an engine on a GPU."""

from __future__ import annotations

__all__ = ["Array", "Run", "Runner"]

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from dyncompile.manifest import Manifest
from dyncompile.runtime.arguments import InputSpec
from dyncompile.runtime.calibration import Conditions

Array = NDArray[Any]
Run = Callable[[list[str], Mapping[str, Array]], list[Array]]


class Runner(Protocol):
    """One network, opened; ``run`` is safe to call from several threads."""

    @property
    def runtime(self) -> str:
        """What runs it, for messages."""

    @property
    def path(self) -> Path:
        """The file."""

    @property
    def manifest(self) -> Manifest:
        """What the file says about itself."""

    @property
    def inputs(self) -> tuple[InputSpec, ...]:
        """What has to be fed, in the order of the graph, knobs among it."""

    @property
    def optional(self) -> tuple[InputSpec, ...]:
        """What has a default in the graph, and can be fed."""

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of what it gives, in order."""

    def output_spec(self, name: str) -> InputSpec:
        """Return the type and shape of an output."""

    @property
    def providers(self) -> tuple[str, ...]:
        """What it runs on."""

    @property
    def run(self) -> Run:
        """What runs it: names of outputs and inputs by name -> outputs.

        It may raise anything; what is not a ``DyncompileError`` is about the inputs.
        """

    def conditions(self) -> Conditions:
        """Return what latencies depend on."""

    def reporting(self) -> tuple[Run, list[str]]:
        """Return what runs it and gives its decisions too, by the names of these outputs.

        Raises:
            TargetError: it cannot report them.
        """
