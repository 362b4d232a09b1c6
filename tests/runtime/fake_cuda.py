"""A stand-in for ``cuda.bindings.runtime``: real memory, and streams that wait to be waited for.

It is strict where CUDA is: memory that is not allocated cannot be touched, memory of the GPU is
not memory of the host, what is captured is not done, and allocating ends a capture.
"""

# ruff: noqa: N802, N803, N815 - names are those of CUDA
from __future__ import annotations

import ctypes
import enum
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

ALIGNMENT = 256
POISON = 0xCD


class Error(enum.IntEnum):
    cudaSuccess = 0
    cudaErrorInvalidValue = 1
    cudaErrorMemoryAllocation = 2
    cudaErrorInitializationError = 3
    cudaErrorInsufficientDriver = 35
    cudaErrorNoDevice = 100
    cudaErrorInvalidDevice = 101
    cudaErrorInvalidResourceHandle = 400
    cudaErrorIllegalAddress = 700
    cudaErrorStreamCaptureUnsupported = 900
    cudaErrorStreamCaptureInvalidated = 901


class DeviceAttr(enum.IntEnum):
    cudaDevAttrComputeCapabilityMajor = 75
    cudaDevAttrComputeCapabilityMinor = 76


class CopyKind(enum.IntEnum):
    cudaMemcpyDefault = 4


class CaptureMode(enum.IntEnum):
    cudaStreamCaptureModeThreadLocal = 1


class IllegalAddressError(Exception):
    pass


@dataclass
class Allocation:
    place: str
    start: int
    size: int
    memory: Any


@dataclass
class Stream:
    number: int
    pending: list[Callable[[], None]] = field(default_factory=list)
    captured: list[Callable[[], None]] | None = None
    is_invalid: bool = False

    def __int__(self) -> int:
        return self.number


@dataclass
class Graph:
    work: list[Callable[[], None]]
    kind: str = "graph"


class Thread(threading.local):
    """What CUDA knows of a thread: its GPU, and the one whose context it has, if it has one."""

    current = 0
    bound: int | None = None


class FakeCuda:
    """One GPU, or none.

    Attributes:
        thread: Of the caller.
        calls: Names of the functions that were called, in order.
        live: What has been allocated and not freed: memory, streams, graphs.
        free_bytes: Memory of the GPU that is left.
    """

    cudaError_t = Error
    cudaDeviceAttr = DeviceAttr
    cudaMemcpyKind = CopyKind
    cudaStreamCaptureMode = CaptureMode
    cudaStreamNonBlocking = 1

    def __init__(self, capability: tuple[int, int] = (8, 9), devices: int = 1) -> None:
        self.capability = capability
        self.devices = devices
        self.thread = Thread()
        self.calls: list[str] = []
        self.memory: dict[int, Allocation] = {}
        self.streams: dict[int, Stream] = {}
        self.graphs: list[Graph] = []
        self.free_bytes = 1 << 30
        self.missing = Error.cudaSuccess  # what cudaGetDeviceCount says
        self.failing: dict[str, Error] = {}  # by the name of a function
        self.sticky = Error.cudaSuccess
        self.launched = 0

    @property
    def live(self) -> int:
        return len(self.memory) + len(self.streams) + len(self.graphs)

    # --- devices

    def cudaGetDeviceCount(self) -> tuple[Error, int | None]:
        self.calls.append("cudaGetDeviceCount")
        return (self.missing, None) if self.missing else (Error.cudaSuccess, self.devices)

    def cudaGetDevice(self) -> tuple[Error, int]:
        return Error.cudaSuccess, self.thread.current

    def cudaSetDevice(self, device: int) -> tuple[Error]:
        self.calls.append("cudaSetDevice")
        if "cudaSetDevice" in self.failing:
            return (self._error(self.failing["cudaSetDevice"]),)
        self.thread.current = self.thread.bound = device
        return (Error.cudaSuccess,)

    def cudaDeviceGetAttribute(self, attr: DeviceAttr, device: int) -> tuple[Error, int]:
        assert device == self.thread.current
        return Error.cudaSuccess, self.capability[
            attr == DeviceAttr.cudaDevAttrComputeCapabilityMinor
        ]

    def cudaGetDeviceProperties(self, device: int) -> tuple[Error, SimpleNamespace]:
        assert device == self.thread.current
        return Error.cudaSuccess, SimpleNamespace(name=b"A pretend GPU")

    def cudaGetErrorString(self, error: Error) -> tuple[Error, bytes]:
        return Error.cudaSuccess, error.name.removeprefix("cudaError").encode()

    def cudaGetLastError(self) -> tuple[Error]:
        found, self.sticky = self.sticky, Error.cudaSuccess
        return (found,)

    # --- memory

    def cudaMalloc(self, size: int) -> tuple[Error, int | None]:
        return self._allocate("device", size)

    def cudaMallocHost(self, size: int) -> tuple[Error, int | None]:
        return self._allocate("host", size)

    def cudaFree(self, devPtr: int) -> tuple[Error]:
        return self._release("device", devPtr)

    def cudaFreeHost(self, ptr: int) -> tuple[Error]:
        return self._release("host", ptr)

    def _allocate(self, place: str, size: int) -> tuple[Error, int | None]:
        self.calls.append(f"{place}+{size}")
        if any(stream.captured is not None for stream in self.streams.values()):
            for stream in self.streams.values():
                stream.is_invalid = stream.captured is not None
            return self._error(Error.cudaErrorStreamCaptureUnsupported), None
        if size > self.free_bytes or size < 1:
            return self._error(Error.cudaErrorMemoryAllocation), None
        memory = (ctypes.c_ubyte * (size + ALIGNMENT))()
        start = -(-ctypes.addressof(memory) // ALIGNMENT) * ALIGNMENT
        ctypes.memset(start, POISON, size)
        self.memory[start] = Allocation(place, start, size, memory)
        return Error.cudaSuccess, start

    def _release(self, place: str, address: int) -> tuple[Error]:
        found = self.memory.pop(address, None)
        assert found, "freed what is not allocated"
        assert found.place == place, "freed by the function of the other place"
        ctypes.memset(found.start, POISON, found.size)
        return (Error.cudaSuccess,)

    def check(self, address: int, size: int, *places: str) -> None:
        """Raise unless these bytes are allocated in one of these places."""
        for one in self.memory.values():
            inside = one.start <= address and address + size <= one.start + one.size
            if inside and one.place in places:
                return
        raise IllegalAddressError

    def cudaMemcpyAsync(
        self, dst: int, src: int, count: int, kind: CopyKind, stream: Stream
    ) -> tuple[Error]:
        assert kind == CopyKind.cudaMemcpyDefault

        def copy() -> None:
            self.check(dst, count, "device", "host")
            self.check(src, count, "device", "host")
            ctypes.memmove(dst, src, count)

        return (self.enqueue(stream, copy),)

    # --- streams

    def cudaStreamCreateWithFlags(self, flags: int) -> tuple[Error, Stream]:
        assert flags == self.cudaStreamNonBlocking
        stream = Stream(0x1000 + len(self.calls))
        self.calls.append("stream")
        self.streams[stream.number] = stream
        return Error.cudaSuccess, stream

    def enqueue(self, stream: Stream, work: Callable[[], None]) -> Error:
        assert stream.number in self.streams, "this stream is gone"
        if stream.captured is None:
            stream.pending.append(work)
        elif stream.is_invalid:
            return self._error(Error.cudaErrorStreamCaptureInvalidated)
        else:
            stream.captured.append(work)
        return Error.cudaSuccess

    def cudaStreamSynchronize(self, stream: Stream) -> tuple[Error]:
        assert stream.number in self.streams, "this stream is gone"
        if "cudaStreamSynchronize" in self.failing:
            return (self._error(self.failing["cudaStreamSynchronize"]),)
        if stream.captured is not None:
            stream.is_invalid = True
            return (self._error(Error.cudaErrorStreamCaptureUnsupported),)
        while stream.pending:
            try:
                stream.pending.pop(0)()
            except IllegalAddressError:
                stream.pending.clear()
                return (self._error(Error.cudaErrorIllegalAddress),)
        return (Error.cudaSuccess,)

    def cudaStreamDestroy(self, stream: Stream) -> tuple[Error]:
        assert not self.streams.pop(stream.number).pending, "destroyed before it was done"
        return (Error.cudaSuccess,)

    # --- graphs

    def cudaStreamBeginCapture(self, stream: Stream, mode: CaptureMode) -> tuple[Error]:
        assert mode == CaptureMode.cudaStreamCaptureModeThreadLocal
        assert stream.captured is None
        assert not stream.pending
        self.calls.append("capture")
        stream.captured, stream.is_invalid = [], False
        return (Error.cudaSuccess,)

    def cudaStreamEndCapture(self, stream: Stream) -> tuple[Error, Graph | None]:
        work, stream.captured = stream.captured, None
        assert work is not None
        if stream.is_invalid:
            return self._error(Error.cudaErrorStreamCaptureInvalidated), None
        graph = Graph(work)
        self.graphs.append(graph)
        return Error.cudaSuccess, graph

    def cudaGraphInstantiate(self, graph: Graph, flags: int) -> tuple[Error, Graph | None]:
        assert flags == 0
        if "cudaGraphInstantiate" in self.failing:
            return self._error(self.failing["cudaGraphInstantiate"]), None
        launcher = Graph(graph.work, "launcher")
        self.graphs.append(launcher)
        return Error.cudaSuccess, launcher

    def cudaGraphDestroy(self, graph: Graph) -> tuple[Error]:
        return self._forget(graph, "graph")

    def cudaGraphExecDestroy(self, graphExec: Graph) -> tuple[Error]:
        return self._forget(graphExec, "launcher")

    def cudaGraphLaunch(self, graphExec: Graph, stream: Stream) -> tuple[Error]:
        assert any(graphExec is one for one in self.graphs), "this graph is gone"
        assert stream.captured is None
        self.launched += 1
        stream.pending.extend(graphExec.work)
        return (Error.cudaSuccess,)

    def _forget(self, graph: Graph, kind: str) -> tuple[Error]:
        assert graph.kind == kind
        self.graphs = [one for one in self.graphs if one is not graph]
        return (Error.cudaSuccess,)

    def _error(self, error: Error) -> Error:
        self.sticky = error
        return error


FUNCTIONS = sorted(
    name
    for name in vars(FakeCuda)
    if name.startswith("cuda")
    and callable(getattr(FakeCuda, name))
    and not isinstance(getattr(FakeCuda, name), type)
)
