"""Networks that a stand-in for TensorRT computes with numpy, and the memory they lie in."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.runtime.fake_cuda import FakeCuda

Array = NDArray[Any]
Shapes = Mapping[str, tuple[int, ...]]

KINDS = {
    "BOOL": np.bool_,
    "FLOAT": np.float32,
    "HALF": np.float16,
    "INT8": np.int8,
    "INT32": np.int32,
    "INT64": np.int64,
    "UINT8": np.uint8,
}


@dataclass(frozen=True)
class Tensor:
    """An input or output of a pretend engine; ``ends`` of sizes, or of values on the host."""

    name: str
    kind: str
    shape: tuple[int, ...]
    on_host: bool = False
    ends: tuple[tuple[int, ...], tuple[int, ...]] | None = None

    def read(self, cuda: FakeCuda, address: int, shape: tuple[int, ...]) -> Array:
        """Return what lies at an address, which has to be in the right place."""
        dtype = np.dtype(KINDS[self.kind])
        size = int(np.prod(shape)) * dtype.itemsize
        cuda.check(address, size, "host" if self.on_host else "device")
        return np.frombuffer(ctypes.string_at(address, size), dtype).reshape(shape)

    def write(self, cuda: FakeCuda, address: int, array: Array) -> None:
        """Write to an address, which has to be in the right place."""
        assert array.dtype == KINDS[self.kind]
        cuda.check(address, array.nbytes, "host" if self.on_host else "device")
        ctypes.memmove(address, array.tobytes(), array.nbytes)


@dataclass
class Network:
    """What a pretend engine is.

    Attributes:
        inputs: In an order of its own.
        outputs: Likewise.
        compute: From arrays by name to arrays by name.
        shapes: From shapes of inputs to shapes of outputs, -1 where a size depends on data;
            outputs have the shapes of ``outputs`` without it.
        capture: Whether it can be captured, or how it refuses.
        fails: What it says when it does not run.
        enqueued: How often it was given to a stream.
        caches: What the cache of kernels held when it ran.
        kernels: What it holds when it has run.
        closed: How its contexts were given back.
    """

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    compute: Callable[[dict[str, Array]], dict[str, Array]]
    shapes: Callable[[Shapes], Shapes] | None = None
    capture: str = "allowed"
    fails: str = ""
    enqueued: int = 0
    caches: list[bytes] = field(default_factory=list)
    kernels: bytes = b"kernels of this GPU"
    closed: list[str] = field(default_factory=list)

    def tensor(self, name: str) -> Tensor:
        """Return the input or output of this name."""
        return next(one for one in (*self.inputs, *self.outputs) if one.name == name)

    def output_shapes(self, inputs: Shapes) -> Shapes:
        """Return the shapes of the outputs for these of the inputs."""
        if self.shapes is None:
            return {one.name: one.shape for one in self.outputs}
        return self.shapes(inputs)
