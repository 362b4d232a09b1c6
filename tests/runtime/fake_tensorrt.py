"""Stand-ins for TensorRT's packages, whose classes have the members of the real ones, no more.

An engine of theirs computes with numpy on what lies at the addresses that it was given, when the
stream comes to it.
"""

from __future__ import annotations

import enum
import weakref
from collections.abc import Mapping, Sequence
from functools import partial
from types import ModuleType

from tests.runtime.fake_context import (
    Foreign,
    IExecutionContext,
    IRuntimeCache,
    IRuntimeConfig,
    Strict,
    World,
    api,
)
from tests.runtime.fake_cuda import FakeCuda
from tests.runtime.pretend_network import Network

__all__ = ["APIS", "api", "package"]

APIS = ("tensorrt_10_16", "tensorrt_11_4", "tensorrt_rtx_1_7")


class ILogger:
    Severity = enum.Enum("Severity", ["INTERNAL_ERROR", "ERROR", "WARNING", "INFO", "VERBOSE"])

    def __init__(self) -> None:
        self.is_ready = True


class IOutputAllocator:
    def __init__(self) -> None:
        self.is_ready = True


class ICudaEngine(Strict):
    def __init__(self, world: World, network: Network, runtime: Runtime) -> None:
        super().__init__(world)
        self._network = network
        self._runtime = weakref.ref(runtime)
        self._tensors = (*network.outputs, *network.inputs)

    @property
    def num_io_tensors(self) -> int:
        return len(self._tensors)

    def get_tensor_name(self, index: int) -> str:
        return self._tensors[index].name

    def get_tensor_mode(self, name: str) -> Foreign:
        is_input = self._network.tensor(name) in self._network.inputs
        return self._world.module.TensorIOMode["INPUT" if is_input else "OUTPUT"]

    def get_tensor_dtype(self, name: str) -> Foreign:
        return self._world.module.DataType[self._network.tensor(name).kind]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self._network.tensor(name).shape

    def get_tensor_location(self, name: str) -> Foreign:
        place = "HOST" if self._network.tensor(name).on_host else "DEVICE"
        return self._world.module.TensorLocation[place]

    def is_shape_inference_io(self, name: str) -> bool:
        return self._network.tensor(name).on_host

    def get_tensor_profile_shape(self, name: str, profile_index: int) -> list[tuple[int, ...]]:
        assert profile_index == 0
        ends = self._network.tensor(name).ends
        assert ends
        return [ends[0], ends[1], ends[1]]

    def get_tensor_profile_values(self, name: int, profile_index: str) -> list[list[int]]:
        assert name == 0  # the real ones name the two arguments the other way round
        ends = self._network.tensor(profile_index).ends
        return [list(ends[0]), list(ends[1]), list(ends[1])] if ends else []

    def create_runtime_config(self) -> IRuntimeConfig:
        return IRuntimeConfig(self._world)

    def create_execution_context(
        self, runtime_config: IRuntimeConfig | None = None
    ) -> IExecutionContext | None:
        if self._network.capture == "no context":
            return None
        needs: list[Foreign] = [self, self._runtime()]
        if runtime_config:
            needs += [runtime_config, runtime_config._cache]  # noqa: SLF001 - beside it
        return IExecutionContext(self._world, self._network, *needs)


class Runtime(Strict):
    def __init__(self, world: World, logger: Foreign) -> None:
        super().__init__(world)
        assert logger.is_ready, "ILogger.__init__ was not called"
        world.loggers[:] = world.loggers or [logger]  # it keeps the first of the process

    @property
    def engine_header_size(self) -> int:
        return 64

    def get_engine_validity(self, buffer: bytes) -> tuple[Foreign, int]:
        assert len(buffer) <= self.engine_header_size
        module = self._world.module
        if not buffer.startswith(b"invalid"):
            return module.EngineValidity.VALID, 0
        flags = [module.EngineInvalidityDiagnostics[word] for word in buffer.decode().split()[1:]]
        return module.EngineValidity.INVALID, sum(flag.value for flag in flags)

    def deserialize_cuda_engine(self, serialized_engine: bytes) -> ICudaEngine | None:
        if serialized_engine in self._world.networks:
            return ICudaEngine(self._world, self._world.networks[serialized_engine], self)
        self._world.say("WARNING", "a warning")
        self._world.say("ERROR", "Serialization\nassertion  failed.")
        return None


def package(name: str, cuda: FakeCuda, networks: Mapping[bytes, Network]) -> ModuleType:
    """Return a package that deserialises these networks by their bytes.

    Args:
        name: Of the package whose classes it has.
        cuda: What it runs on.
        networks: By the plan.
    """
    told = api(name)
    module = ModuleType("tensorrt_rtx" if "rtx" in name else "tensorrt")
    world = World(module, told["classes"], cuda, networks)
    made: dict[str, object] = {
        kind: _enumeration(kind, members)
        for kind, members in world.classes.items()
        if "value" in members
    }
    made |= {"ILogger": ILogger, "IOutputAllocator": IOutputAllocator}
    made |= {"Runtime": partial(Runtime, world), "__version__": told["version"]}
    if "IRuntimeCache" in world.classes:
        made["IRuntimeCache"] = IRuntimeCache
    vars(module).update(made)
    return module


def _enumeration(kind: str, members: Sequence[str]) -> object:
    names = [member for member in members if member.isupper()]
    return enum.Enum(kind, {member: 1 << number for number, member in enumerate(names)})
