"""An engine, opened on the GPU."""

from __future__ import annotations

__all__ = ["EngineRunner", "open_engine"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dyncompile.engine_file import TITLES, Engine, read_engine
from dyncompile.errors import TargetError
from dyncompile.manifest import Manifest
from dyncompile.runtime.arguments import InputSpec
from dyncompile.runtime.calibration import Conditions
from dyncompile.runtime.cuda import Cuda, Gpu, Handle, import_cuda
from dyncompile.runtime.engine_execution import Execution
from dyncompile.runtime.engine_kernels import KernelCache, kernel_cache
from dyncompile.runtime.engine_loading import deserialised, import_package, last_words
from dyncompile.runtime.engine_ports import Port, ports_of
from dyncompile.runtime.runner import Array, Run


def open_engine(path: Path) -> EngineRunner:
    """Open an engine on the GPU that the calling thread uses.

    Raises:
        ArtifactError: a file is missing or damaged, or the two do not belong together.
        TargetError: there is no GPU, not the one or the version it was built for, or a package is
            missing.
    """
    description = read_engine(path)
    cuda = import_cuda(description.flavor)
    gpu = cuda.gpu()
    trt = import_package(description.flavor)
    with cuda.on(gpu):
        runtime, engine = deserialised(trt, path, description, gpu)
        inputs, outputs = ports_of(trt, engine, description, str(path))
        context, kernels = _context(trt, engine, description, gpu)
        if context is None:
            raise TargetError(
                f"the engine cannot be made ready on {gpu.name}: {last_words(trt)}.",
                where=str(path),
                remedy="Free memory of the GPU, or build the engine for it again.",
            )
        execution = Execution(trt, cuda, gpu, context, (inputs, outputs), lambda: last_words(trt))
    opened = _Opened(cuda, gpu, trt.__version__, runtime, engine)
    return EngineRunner(path, description, opened, inputs, execution, kernels)


def _context(
    trt: Handle, engine: Handle, description: Engine, gpu: Gpu
) -> tuple[Handle, KernelCache | None]:
    if not hasattr(trt, "IRuntimeCache"):  # kernels are in the engine
        return engine.create_execution_context(), None
    config = engine.create_runtime_config()
    kernels = kernel_cache(trt, config, description.sha256, gpu)
    return engine.create_execution_context(config), kernels


@dataclass(frozen=True)
class _Opened:
    """What lives as long as an engine runs."""

    cuda: Cuda
    gpu: Gpu
    version: str
    runtime: Handle
    engine: Handle


@dataclass(frozen=True)
class EngineRunner:
    """One engine on one GPU.

    Attributes:
        path: The file.
        description: What it is.
        opened: The engine, and what it needs.
        ports: Its inputs.
        execution: What runs it.
        kernels: What it has compiled here, if it does that.
    """

    path: Path
    description: Engine
    opened: _Opened
    ports: tuple[Port, ...]
    execution: Execution
    kernels: KernelCache | None

    @property
    def runtime(self) -> str:
        """What runs it, for messages."""
        return TITLES[self.description.flavor]

    @property
    def manifest(self) -> Manifest:
        """What its description says of the network."""
        return self.description.manifest

    @property
    def inputs(self) -> tuple[InputSpec, ...]:
        """What has to be fed, in the order of the network, knobs among it."""
        return tuple(port.spec for port in self.ports)

    @property
    def optional(self) -> tuple[InputSpec, ...]:
        """Nothing: an engine has no defaults of its own."""
        return ()

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of what it gives, in order."""
        return tuple(binding.name for binding in self.description.outputs)

    @property
    def providers(self) -> tuple[str, ...]:
        """The GPU."""
        return (self.opened.gpu.name,)

    @property
    def run(self) -> Run:
        """What runs it."""
        return self._first_run if self.kernels else self.execution.run

    def conditions(self) -> Conditions:
        """Return what latencies depend on."""
        return Conditions.here(f"{self.runtime} {self.opened.version}", None, self.providers)

    def reporting(self) -> tuple[Run, list[str]]:
        """Refuse: what an engine decides stays inside of it."""
        raise TargetError(
            "an engine does not report its decisions.",
            where=str(self.path),
            remedy="Trace the .onnx file of the network.",
        )

    def _first_run(self, names: Sequence[str], feed: Mapping[str, Array]) -> list[Array]:
        results = self.execution.run(names, feed)
        if self.kernels:
            self.kernels.keep()
        return results
