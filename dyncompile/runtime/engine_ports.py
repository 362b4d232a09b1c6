"""What a deserialised engine says about each of its inputs and outputs."""

from __future__ import annotations

__all__ = ["Port", "ports_of"]

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dyncompile.engine_file import Binding, Engine
from dyncompile.errors import ArtifactError, InputError, TargetError
from dyncompile.runtime.arguments import InputSpec
from dyncompile.runtime.cuda import Handle

_DTYPES = {
    "BOOL": np.dtype(np.bool_),
    "FLOAT": np.dtype(np.float32),
    "HALF": np.dtype(np.float16),
    "INT8": np.dtype(np.int8),
    "INT32": np.dtype(np.int32),
    "INT64": np.dtype(np.int64),
    "UINT8": np.dtype(np.uint8),
}
_PROFILE = 0  # there is one
_FREE = -1


@dataclass(frozen=True)
class Port:
    """One input or output of an engine.

    Attributes:
        name: As in the graph.
        dtype: Element type.
        shape: Its sizes; -1 where one is known at run time only.
        on_host: Whether the engine reads or writes it in memory of the host: a shape tensor.
        sizes: Smallest and largest sizes; None if they are fixed, or an output.
        values: Smallest and largest values of a shape tensor, where they are known.
    """

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    on_host: bool
    sizes: tuple[tuple[int, ...], tuple[int, ...]] | None = None
    values: tuple[tuple[int, ...], tuple[int, ...]] | None = None

    @property
    def is_dynamic(self) -> bool:
        """Whether a size is known at run time only."""
        return _FREE in self.shape

    @property
    def spec(self) -> InputSpec:
        """What a caller is told."""
        return InputSpec(self.name, self.dtype, tuple(None if n < 0 else n for n in self.shape))

    def check(self, array: NDArray[Any]) -> None:
        """Refuse what the engine was not built for.

        Raises:
            InputError: sizes or values outside of the profile.
        """
        if self.sizes and not _between(array.shape, self.sizes):
            least, most = (list(sizes) for sizes in self.sizes)
            raise InputError(
                f"{array.dtype}{list(array.shape)} does not fit.",
                where=f"input {self.name!r}",
                remedy=f"The engine was built for sizes from {least} to {most}.",
            )
        if self.values and not _between(array.ravel().tolist(), self.values):
            least, most = (list(values) for values in self.values)
            raise InputError(
                f"{array.tolist()} is out of range.",
                where=f"input {self.name!r}",
                remedy=f"The engine was built for values from {least} to {most}.",
            )


def ports_of(
    trt: Handle,
    engine: Handle,
    description: Engine,
    where: str,
) -> tuple[tuple[Port, ...], tuple[Port, ...]]:
    """Return the inputs and outputs, in the order of the description.

    Raises:
        ArtifactError: the engine has other inputs or outputs than its description.
        TargetError: numpy has no type for one.
    """
    names = [engine.get_tensor_name(number) for number in range(engine.num_io_tensors)]
    roles = {
        name: "input" if engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT else "output"
        for name in names
    }
    found = []
    for role, bindings in (("input", description.inputs), ("output", description.outputs)):
        _check_names(role, bindings, [name for name in names if roles[name] == role], where)
        found.append(tuple(_port(trt, engine, b.name, role, where) for b in bindings))
    return found[0], found[1]


def _check_names(role: str, bindings: Sequence[Binding], names: Sequence[str], where: str) -> None:
    described = [binding.name for binding in bindings]
    if set(described) != set(names):
        raise ArtifactError(
            f"it has the {role}s {', '.join(names)}; its description,"
            f" {', '.join(described) or 'none'}.",
            where=where,
            remedy="Build the engine again.",
        )


def _port(trt: Handle, engine: Handle, name: str, role: str, where: str) -> Port:
    kind = engine.get_tensor_dtype(name).name
    if kind not in _DTYPES:
        raise TargetError(
            f"{role} {name!r} is {kind}, for which numpy has no type.",
            where=where,
            remedy="Cast it to float32 in the network, and build the engine again.",
        )
    shape = tuple(engine.get_tensor_shape(name))
    sizes = values = None
    if role == "input" and _FREE in shape:
        sizes = _ends(engine.get_tensor_profile_shape(name, _PROFILE))
    if role == "input" and engine.is_shape_inference_io(name):
        values = _ends(engine.get_tensor_profile_values(_PROFILE, name))
    on_host = engine.get_tensor_location(name) == trt.TensorLocation.HOST
    return Port(name, _DTYPES[kind], shape, on_host, sizes, values)


def _ends(profile: Sequence[Sequence[int]]) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    return (tuple(profile[0]), tuple(profile[-1])) if profile else None


def _between(numbers: Sequence[int], ends: tuple[tuple[int, ...], tuple[int, ...]]) -> bool:
    return all(low <= n <= high for n, low, high in zip(numbers, *ends, strict=True))
