"""An engine, opened on the GPU."""

from __future__ import annotations

__all__ = ["EngineRunner", "open_engine"]

from dataclasses import dataclass
from pathlib import Path

from dyncompile.engine_file import TITLES, Engine, read_engine
from dyncompile.errors import TargetError
from dyncompile.manifest import Manifest
from dyncompile.runtime.arguments import InputSpec
from dyncompile.runtime.calibration import Conditions
from dyncompile.runtime.cuda import Gpu, Handle, import_cuda
from dyncompile.runtime.engine_execution import Execution, Opened
from dyncompile.runtime.engine_kernels import kernel_cache
from dyncompile.runtime.engine_loading import deserialised, import_package, last_words
from dyncompile.runtime.engine_ports import Port, ports_of
from dyncompile.runtime.runner import Run


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
        opened = _opened(trt, engine, runtime, description, gpu)
        if opened.context is None:
            raise TargetError(
                f"the engine cannot be made ready on {gpu.name}: {last_words(trt)}.",
                where=str(path),
                remedy="Free memory of the GPU, or build the engine for it again.",
            )
        execution = Execution(trt, cuda, gpu, opened, (inputs, outputs), lambda: last_words(trt))
    return EngineRunner(path, description, gpu, trt.__version__, inputs, outputs, execution)


def _opened(trt: Handle, engine: Handle, runtime: Handle, description: Engine, gpu: Gpu) -> Opened:
    if not hasattr(trt, "IRuntimeCache"):  # kernels are in the engine
        return Opened(engine.create_execution_context(), [engine, runtime])
    config = engine.create_runtime_config()
    kernels = kernel_cache(trt, config, description.sha256, gpu)
    context = engine.create_execution_context(config)
    return Opened(context, [config, kernels, engine, runtime], kernels)


@dataclass(frozen=True)
class EngineRunner:
    """One engine on one GPU.

    Attributes:
        path: The file.
        description: What it is.
        gpu: What it runs on.
        version: Of the package that runs it.
        ports: Its inputs.
        results: Its outputs.
        execution: What runs it.
    """

    path: Path
    description: Engine
    gpu: Gpu
    version: str
    ports: tuple[Port, ...]
    results: tuple[Port, ...]
    execution: Execution

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

    def output_spec(self, name: str) -> InputSpec:
        """Return the type and shape of an output."""
        return next(port.spec for port in self.results if port.name == name)

    @property
    def providers(self) -> tuple[str, ...]:
        """The GPU."""
        return (self.gpu.name,)

    @property
    def run(self) -> Run:
        """What runs it."""
        return self.execution.run

    def conditions(self) -> Conditions:
        """Return what latencies depend on."""
        return Conditions.here(f"{self.runtime} {self.version}", None, self.providers)

    def reporting(self) -> tuple[Run, list[str]]:
        """Refuse: an engine reports what it was built to report, and nothing else."""
        raise TargetError(
            "an engine that was built without telemetry does not report its decisions.",
            where=str(self.path),
            remedy="Build it with --telemetry, or trace the .onnx file of the network.",
        )
