"""The CUDA runtime, as far as an engine needs it: what fails is a TargetError in words."""

from __future__ import annotations

__all__ = ["Buffer", "Cuda", "Gpu", "Handle", "import_cuda"]

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dyncompile.errors import TargetError, one_line

WHERE = "GPU"

Handle = Any  # what cuda.bindings or TensorRT gives, neither of which tells types


def import_cuda(extra: str) -> Cuda:
    """Return the CUDA runtime.

    Args:
        extra: What to install where it is missing.

    Raises:
        TargetError: cuda-bindings is not installed.
    """
    try:
        from cuda.bindings import runtime
    except ImportError as error:
        raise TargetError(
            "cuda-bindings is not installed.",
            where="load",
            remedy=f"Install dyncompile[{extra}].",
        ) from error
    return Cuda(runtime)


@dataclass(frozen=True)
class Gpu:
    """A GPU.

    Attributes:
        number: By which CUDA knows it.
        name: Of the product.
        chip: Its compute capability, such as ``sm89``.
    """

    number: int
    name: str
    chip: str


@dataclass(frozen=True)
class Cuda:
    """Calls of the CUDA runtime.

    Attributes:
        api: ``cuda.bindings.runtime``.
    """

    api: Handle

    def gpu(self) -> Gpu:
        """Return the GPU that the calling thread uses.

        Raises:
            TargetError: there is none that CUDA can use.
        """
        if missing := self._missing():
            raise TargetError(
                f"an engine runs on an NVIDIA GPU, and CUDA can use none here: {missing}.",
                where=WHERE,
                remedy="Load it on a machine with a GPU and its driver, or load the .onnx file.",
            )
        number = self._value(self.api.cudaGetDevice())
        self._value(self.api.cudaSetDevice(number))  # which makes it ready
        kinds = self.api.cudaDeviceAttr
        major, minor = (
            self._value(self.api.cudaDeviceGetAttribute(kind, number))
            for kind in (
                kinds.cudaDevAttrComputeCapabilityMajor,
                kinds.cudaDevAttrComputeCapabilityMinor,
            )
        )
        name = self._value(self.api.cudaGetDeviceProperties(number)).name
        return Gpu(number, _decoded(name), f"sm{major}{minor}")

    @contextmanager
    def on(self, gpu: Gpu) -> Iterator[None]:
        """Let the calling thread use this GPU, and then the one it used before.

        A thread that has not used a GPU has a number for one and no context on it, which a
        library beneath may need: so it is set even where the number is right.
        """
        before = self._value(self.api.cudaGetDevice())
        self._value(self.api.cudaSetDevice(gpu.number))
        try:
            yield
        finally:
            if before != gpu.number:
                self._value(self.api.cudaSetDevice(before))

    def allocate(self, size: int, where: Literal["device", "host"]) -> int:
        """Return the address of memory of the GPU, or of page-locked memory of the host."""
        call = self.api.cudaMalloc if where == "device" else self.api.cudaMallocHost
        return int(self._value(call(size), f"no {where} memory for {size} bytes"))

    def free(self, address: int, where: Literal["device", "host"]) -> None:
        """Give memory back; that it fails is no matter, the process may be ending."""
        call = self.api.cudaFree if where == "device" else self.api.cudaFreeHost
        call(address)

    def copy(self, target: int, source: int, size: int, stream: Handle) -> None:
        """Let the stream copy bytes between host and GPU."""
        kind = self.api.cudaMemcpyKind.cudaMemcpyDefault
        self._value(self.api.cudaMemcpyAsync(target, source, size, kind, stream))

    def new_stream(self) -> Handle:
        """Return a stream that waits for no other."""
        return self._value(self.api.cudaStreamCreateWithFlags(self.api.cudaStreamNonBlocking))

    def wait(self, stream: Handle) -> None:
        """Wait until the stream has done all that it was given."""
        self._value(self.api.cudaStreamSynchronize(stream))

    def drop_stream(self, stream: Handle) -> None:
        """Give a stream back."""
        self.api.cudaStreamDestroy(stream)

    def begin_capture(self, stream: Handle) -> None:
        """From now on, what the stream is given by this thread is recorded and not done."""
        mode = self.api.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        self._value(self.api.cudaStreamBeginCapture(stream, mode))

    def end_capture(self, stream: Handle, *, keep: bool) -> Handle:
        """End a capture; return what launches it, or None if it is not kept or not allowed."""
        error, graph = self.api.cudaStreamEndCapture(stream)
        launcher = None
        if error == self.api.cudaError_t.cudaSuccess:
            if keep:
                error, launcher = self.api.cudaGraphInstantiate(graph, 0)
            self.api.cudaGraphDestroy(graph)
        if error != self.api.cudaError_t.cudaSuccess:
            launcher = None
            self.api.cudaGetLastError()  # it is dealt with; the next call does not see it
        return launcher

    def launch(self, launcher: Handle, stream: Handle) -> None:
        """Let the stream do what was captured."""
        self._value(self.api.cudaGraphLaunch(launcher, stream))

    def drop_launcher(self, launcher: Handle) -> None:
        """Give back what ``end_capture`` returned."""
        self.api.cudaGraphExecDestroy(launcher)

    def _missing(self) -> str:
        """Return why there is no GPU; nothing if there is one."""
        try:
            error, count = self.api.cudaGetDeviceCount()
        except RuntimeError as raised:  # there is no driver that has the function
            return one_line(raised)
        if error != self.api.cudaError_t.cudaSuccess:
            return self._words(error)
        return "" if count else "CUDA finds no device"

    def _value(self, result: tuple[Handle, ...], doing: str = "CUDA fails") -> Handle:
        """Return what a call returned beside its error code."""
        error, *values = result
        if error == self.api.cudaError_t.cudaSuccess:
            return values[0] if values else None
        remedy = "Free memory of the GPU, or look at its state with nvidia-smi."
        if error == self.api.cudaError_t.cudaErrorInitializationError:
            remedy = "If this process was forked, load the engine in it: CUDA survives no fork."
        raise TargetError(f"{doing}: {self._words(error)}.", where=WHERE, remedy=remedy)

    def _words(self, error: Handle) -> str:
        _, text = self.api.cudaGetErrorString(error)
        return f"{_decoded(text)} (CUDA error {int(error)})"


def _decoded(text: bytes | str) -> str:
    return (text.decode(errors="replace") if isinstance(text, bytes) else text).rstrip("\0")


class Buffer:
    """Memory that grows and never shrinks; nothing when it is new.

    Attributes:
        address: Where it is, aligned to 256 bytes on the GPU; 0 while there is none.
        size: In bytes.
    """

    def __init__(self, cuda: Cuda, where: Literal["device", "host"]) -> None:
        self.address = 0
        self.size = 0
        self._cuda = cuda
        self._where: Literal["device", "host"] = where

    def reserve(self, size: int) -> bool:
        """Have at least this many bytes, and at least one; return whether it has moved.

        Nothing may be using the buffer; what it held is lost if it moves.
        """
        if self.address and size <= self.size:
            return False
        self.free()
        wanted = max(size, 1)
        self.address, self.size = self._cuda.allocate(wanted, self._where), wanted
        return True

    def free(self) -> None:
        """Give the memory back."""
        if self.address:
            self._cuda.free(self.address, self._where)
        self.address = self.size = 0

    def view(self, dtype: np.dtype[Any], shape: tuple[int, ...]) -> NDArray[Any]:
        """Return memory of the host as an array, which is good until it moves."""
        assert self._where == "host"
        memory = memoryview((ctypes.c_char * self.size).from_address(self.address)).cast("B")
        return np.ndarray(shape, dtype, memory)
