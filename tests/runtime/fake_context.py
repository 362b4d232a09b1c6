"""A stand-in for TensorRT's execution context, and what it shares with the other classes."""

from __future__ import annotations

import json
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.runtime.fake_cuda import FakeCuda, Stream
from tests.runtime.pretend_network import Array, Network, Shapes

Foreign = Any  # of the code under test, or an enumeration made from a list


@cache
def api(name: str) -> dict[str, Any]:
    """Return what a real package offers."""
    text = (Path(__file__).parent / "api" / f"{name}.json").read_text()
    found: dict[str, Any] = json.loads(text)
    return found


@dataclass
class World:
    """What the objects of one package share.

    Attributes:
        module: The package.
        classes: Members of its classes, by name.
        cuda: What it runs on.
        networks: Pretend engines, by their plan.
        loggers: The first logger, if there has been one.
    """

    module: ModuleType
    classes: Mapping[str, list[str]]
    cuda: FakeCuda
    networks: Mapping[bytes, Network]
    loggers: list[Foreign] = field(default_factory=list)

    def say(self, severity: str, words: str) -> None:
        """Log something as TensorRT does."""
        (logger,) = self.loggers
        logger.log(self.module.ILogger.Severity[severity], words)


class Strict:
    """Has the members of the real class; others are not there, though the code is."""

    def __init__(self, world: World) -> None:
        self._world = world

    def __getattribute__(self, member: str) -> Foreign:
        if not member.startswith("_"):
            kind = type(self).__name__
            members = object.__getattribute__(self, "_world").classes.get(kind, [])
            if member not in members:
                raise AttributeError(f"{kind} has no {member}")
        return object.__getattribute__(self, member)


class IRuntimeCache(Strict):
    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._content = b""

    def deserialize(self, blob: bytes) -> bool:
        self._content = blob if blob.startswith(b"kernels") else b""
        return bool(self._content)

    def serialize(self) -> bytes:
        return self._content

    def _compile(self, kernels: bytes) -> bytes:
        """Return what was there before."""
        before, self._content = self._content, kernels
        return before


class IRuntimeConfig(Strict):
    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._held: Foreign = lambda: None

    @property
    def _cache(self) -> Foreign:
        return self._held()

    def create_runtime_cache(self) -> IRuntimeCache:
        return IRuntimeCache(self._world)

    def set_runtime_cache(self, cache: IRuntimeCache) -> bool:
        self._held = weakref.ref(cache)  # the caller keeps it alive
        return True


class IExecutionContext(Strict):
    def __init__(self, world: World, network: Network, *needs: Foreign) -> None:
        super().__init__(world)
        self._network = network
        self._needs = [weakref.ref(one) for one in needs]
        self._device = world.cuda.thread.current
        self._addresses: dict[str, int] = {}
        self._allocators: dict[str, Foreign] = {}
        self._shapes = {one.name: one.shape for one in network.inputs}

    def __del__(self) -> None:
        where = "its GPU" if self._device == self._world.cuda.thread.bound else "another GPU"
        gone = [number for number, need in enumerate(self._needs) if need() is None]
        self._network.closed.append(f"on {where}, {len(gone)} needs gone")

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        ends = self._network.tensor(name).ends
        assert ends
        assert -1 in self._network.tensor(name).shape
        self._shapes[name] = tuple(shape)
        return all(low <= n <= high for low, n, high in zip(ends[0], shape, ends[1], strict=True))

    def set_tensor_address(self, name: str, memory: int) -> bool:
        assert memory % 256 == 0
        place = "host" if self._network.tensor(name).on_host else "device"
        self._world.cuda.check(memory, 1, place)
        self._addresses[name] = memory
        return True

    def set_output_allocator(self, name: str, output_allocator: Foreign) -> bool:
        assert output_allocator.is_ready
        self._allocators[name] = output_allocator
        return True

    def infer_shapes(self) -> list[str]:
        hosts = [one.name for one in self._network.inputs if one.on_host]
        unknown = [name for name, shape in self._shapes.items() if -1 in shape]
        return unknown + [name for name in hosts if name not in self._addresses]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self._network.output_shapes(self._shapes)[name]

    def is_stream_capturable(self, stream: int) -> bool:
        assert stream in self._world.cuda.streams
        return self._network.capture != "not at all"

    def execute_async_v3(self, stream_handle: int) -> bool:
        network, stream = self._network, self._world.cuda.streams[stream_handle]
        assert self._world.cuda.thread.bound == self._device, "no context on this thread"
        network.enqueued += 1
        if network.fails:
            self._world.say("ERROR", network.fails)
            return False
        if stream.captured is not None and network.capture.startswith("refused"):
            stream.is_invalid = True
            if network.capture == "refused by the engine":
                self._world.say("ERROR", "not permitted")
                return False
        for need in self._needs:
            assert need(), "what the context needs is gone"
            if isinstance(kernels := need(), IRuntimeCache):
                network.caches.append(kernels._compile(network.kernels))  # noqa: SLF001 - beside it
        return self._give(stream)

    def _give(self, stream: Stream) -> bool:
        """Give the stream what computes; host memory is read now, that of the GPU then."""
        wanted = self._network.output_shapes(self._shapes)
        growing = {name for name, shape in wanted.items() if -1 in shape}
        arguments = self._arguments()
        if stream.captured is not None and self._network.capture == "frozen":
            decided = arguments()  # the host has read the condition, and no replay reads it again
            arguments = partial(dict, decided)
        if growing:
            self._world.cuda.cudaStreamSynchronize(stream)  # sizes are known when the data is
            if not self._grow(growing, self._network.compute(arguments())):
                return False
        addresses = dict(self._addresses)

        def work() -> None:
            for name, array in self._network.compute(arguments()).items():
                if name not in growing:
                    assert array.shape == wanted[name]
                    tensor = self._network.tensor(name)
                    tensor.write(self._world.cuda, addresses[name], array)

        self._world.cuda.enqueue(stream, work)
        return True

    def _arguments(self) -> Foreign:
        cuda, tensors = self._world.cuda, self._network.inputs
        addresses, shapes = dict(self._addresses), dict(self._shapes)

        def read(on_host: bool) -> dict[str, Array]:
            return {
                one.name: one.read(cuda, addresses[one.name], shapes[one.name])
                for one in tensors
                if one.on_host == on_host
            }

        on_host = read(on_host=True)
        return lambda: on_host | read(on_host=False)

    def _grow(self, names: set[str], results: Mapping[str, Array]) -> bool:
        for name in sorted(names):
            allocator, array = self._allocators[name], results[name]
            address = allocator.reallocate_output_async(name, 0, array.nbytes, 256, 0)
            if not address:
                return False
            self._network.tensor(name).write(self._world.cuda, address, array)
            allocator.notify_shape(name, array.shape)
        return True


__all__ = [
    "Foreign",
    "IExecutionContext",
    "IRuntimeCache",
    "IRuntimeConfig",
    "Shapes",
    "Strict",
    "World",
    "api",
]
