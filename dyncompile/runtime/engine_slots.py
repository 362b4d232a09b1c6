"""The memory of an engine's inputs and outputs."""

from __future__ import annotations

__all__ = ["InputSlot", "OutputSlot"]

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dyncompile.errors import TargetError
from dyncompile.runtime.cuda import Buffer, Cuda, Handle
from dyncompile.runtime.engine_ports import Port

Array = NDArray[Any]


class _Slot:
    """Page-locked memory of the host, and memory of the GPU unless the engine reads the former.

    What is copied is copied between the two, so that the addresses stay while sizes do not grow.
    """

    def __init__(self, cuda: Cuda, port: Port) -> None:
        self.port = port
        self.host = Buffer(cuda, "host")
        self.device = None if port.on_host else Buffer(cuda, "device")
        self.array: Array = np.empty(0, port.dtype)
        self._cuda = cuda

    def resize(self, shape: tuple[int, ...]) -> None:
        """Have room for an array of this shape; ``array`` is then it, on the host."""
        size = int(np.prod(shape, dtype=np.int64)) * self.port.dtype.itemsize
        self.host.reserve(size)
        if self.device:
            self.device.reserve(size)
        self.array = self.host.view(self.port.dtype, shape)

    @property
    def address(self) -> int:
        """Where the engine finds it."""
        return (self.device or self.host).address

    def free(self) -> None:
        """Give all memory back."""
        self.array = np.empty(0, self.port.dtype)
        for buffer in (self.host, self.device):
            if buffer:
                buffer.free()


class InputSlot(_Slot):
    """The memory of one input."""

    def fill(self, array: Array) -> None:
        """Write it on the host."""
        np.copyto(self.array, array)

    def send(self, stream: Handle) -> None:
        """Let the stream copy it to the GPU, if it is read there."""
        if self.device and self.array.nbytes:
            self._cuda.copy(self.device.address, self.host.address, self.array.nbytes, stream)


class OutputSlot(_Slot):
    """The memory of one output.

    Attributes:
        allocator: Gives memory while the engine runs, where sizes depend on data; see
            ``let_grow``.
    """

    def __init__(self, cuda: Cuda, port: Port) -> None:
        super().__init__(cuda, port)
        self.allocator: Handle = None
        self._shape: tuple[int, ...] | None = None
        self._problem: TargetError | None = None

    def let_grow(self, trt: Handle) -> Handle:
        """Return what an execution context asks for memory when it knows the size."""
        slot = self

        class Allocator(trt.IOutputAllocator):  # type: ignore[misc]
            def __init__(self) -> None:
                trt.IOutputAllocator.__init__(self)

            def reallocate_output(
                self, tensor_name: str, memory: int, size: int, alignment: int
            ) -> int:
                del tensor_name, memory, alignment
                return slot._grown(size)

            def reallocate_output_async(
                self, tensor_name: str, memory: int, size: int, alignment: int, stream: int
            ) -> int:
                del tensor_name, memory, alignment, stream
                return slot._grown(size)

            def notify_shape(self, tensor_name: str, shape: Sequence[int]) -> None:
                del tensor_name
                slot._shape = tuple(shape)

        self.allocator = Allocator()
        return self.allocator

    def fetch(self, stream: Handle) -> None:
        """Let the stream copy it to the host, if it is written on the GPU.

        Raises:
            TargetError: its size is not known even now.
        """
        if self.allocator:
            self._settle()
        if self.device and self.array.nbytes:
            self._cuda.copy(self.host.address, self.device.address, self.array.nbytes, stream)

    def problem(self) -> TargetError | None:
        """Return why there was no memory for it when the engine asked, once."""
        problem, self._problem = self._problem, None
        return problem

    def taken(self) -> Array:
        """Return it, copied out of the memory that the next call writes to."""
        return self.array.copy()

    def _grown(self, size: int) -> int:
        """Return the address of memory of this size; 0 tells the engine that there is none."""
        assert self.device, "a shape tensor has a known size"
        try:
            self.device.reserve(size)
        except TargetError as problem:  # an error cannot pass through the engine
            self._problem = problem
            return 0
        return self.device.address

    def _settle(self) -> None:
        """Take the shape that the engine told."""
        shape, self._shape = self._shape, None
        if shape is None:
            raise TargetError(
                "the engine has not told its size.",
                where=f"output {self.port.name!r}",
                remedy="Build the engine again, or report this with the version of TensorRT.",
            )
        size = int(np.prod(shape, dtype=np.int64)) * self.port.dtype.itemsize
        self.host.reserve(size)
        self.array = self.host.view(self.port.dtype, shape)
