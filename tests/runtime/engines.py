"""Engines on disk, and a machine that pretends to run them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dyncompile.engine_file import Binding, Engine, write_engine
from dyncompile.knobs import Levels, Threshold
from dyncompile.manifest import Decision, Manifest, Side
from dyncompile.runtime import Net, load
from tests.runtime.fake_context import Foreign
from tests.runtime.fake_cuda import FakeCuda
from tests.runtime.fake_tensorrt import api, package
from tests.runtime.pretend_network import KINDS, Network, Tensor

Array = NDArray[Any]
F32 = np.float32

MANIFEST = Manifest(
    "tensorrt",
    {"level": Levels((0.25, 0.5, 1.0)), "threshold": Threshold((0.5, 0.75))},
    (Decision("exit", "gate", ("take",), (), (Side(0, 0), Side(1024, 256))),),
    ({"level": 0, "threshold": [0.5, 0.75]}, {"level": 2, "threshold": [0.5, 0.75]}),
)


def scaled(arrays: dict[str, Array]) -> dict[str, Array]:
    """Return ``x`` times the level, plus what the thresholds are together; and a count."""
    y = arrays["x"] * F32(arrays["level"].item() + 1) + arrays["threshold"].sum(dtype=F32)
    return {"y": y, "count": np.array(arrays["x"].size, np.int64)}


def scaling(*, capture: str = "allowed", level_on_host: bool = False, rows: int = 2) -> Network:
    """Return a network of fixed sizes."""
    ends = ((0,), (1,)) if level_on_host else None
    return Network(
        (
            Tensor("threshold", "FLOAT", (2,)),
            Tensor("level", "INT64", (), level_on_host, ends),
            Tensor("x", "FLOAT", (rows, 4)),
        ),
        (Tensor("count", "INT64", ()), Tensor("y", "FLOAT", (rows, 4))),
        scaled,
        capture=capture,
    )


def dynamic(*, rows: tuple[int, int] = (1, 8), capture: str = "allowed") -> Network:
    """Return a network whose first size is known at run time."""
    network = scaling(capture=capture)
    x = Tensor("x", "FLOAT", (-1, 4), ends=((rows[0], 4), (rows[1], 4)))
    y = Tensor("y", "FLOAT", (-1, 4))
    return replace(
        network,
        inputs=(*network.inputs[:2], x),
        outputs=(network.outputs[0], y),
        shapes=lambda shapes: {"count": (), "y": shapes["x"]},
    )


def expected(x: Array, level: int, threshold: tuple[float, float] = (0.5, 0.75)) -> Array:
    return x * F32(level + 1) + F32(sum(threshold))


def engine_of(
    network: Network,
    manifest: Manifest,
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
    **fields: Foreign,
) -> Engine:
    """Return the description of a network, its inputs in the order of these names."""

    def binding(name: str) -> Binding:
        found = network.tensor(name)
        dtype = np.dtype(KINDS[found.kind]).name
        return Binding(name, dtype, found.shape, "host" if found.on_host else "device")

    base = Engine(
        flavor="tensorrt-rtx",
        version=api("tensorrt_rtx_1_7")["version"],
        chips=("sm89", "sm120"),
        precision="float32",
        inputs=tuple(map(binding, inputs)),
        outputs=tuple(map(binding, outputs)),
        manifest=manifest,
    )
    return replace(base, **fields)


@dataclass
class Machine:
    """A folder with engines, and a GPU with packages that pretend to run them."""

    folder: Path
    install: Callable[[str, object], None]
    cuda: FakeCuda = field(default_factory=FakeCuda)
    networks: dict[bytes, Network] = field(default_factory=dict)
    packages: dict[str, ModuleType] = field(default_factory=dict)

    def use(self, name: str) -> None:
        """Install the package whose classes are those of this dump."""
        made = package(name, self.cuda, self.networks)
        self.packages[made.__name__] = made
        self.install(made.__name__, made)

    def use_cuda(self) -> None:
        bindings = ModuleType("cuda.bindings")
        bindings.runtime = self.cuda  # type: ignore[attr-defined]
        self.install("cuda.bindings", bindings)

    def write(
        self,
        network: Network,
        manifest: Manifest = MANIFEST,
        *,
        inputs: tuple[str, ...] = ("x", "level", "threshold"),
        outputs: tuple[str, ...] = ("y", "count"),
        plan: bytes | None = None,
        **fields: Foreign,
    ) -> Path:
        """Write an engine; its plan names a network of this machine."""
        plan = plan or b"plan %d" % len(self.networks)
        self.networks[plan] = network
        source = self.folder / "builder.plan"
        source.write_bytes(plan)
        path = self.folder / "net.engine"
        write_engine(path, source, engine_of(network, manifest, inputs, outputs, **fields))
        source.unlink()
        return path

    def load(self, network: Network, **fields: Foreign) -> Net:
        return load(self.write(network, **fields))


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine with TensorRT for RTX and one GPU."""

    def install(name: str, module: object) -> None:
        monkeypatch.setitem(sys.modules, name, module)

    made = Machine(tmp_path, install)
    made.use_cuda()
    made.use("tensorrt_rtx_1_7")
    return made


def outputs(got: Array | tuple[Array, ...]) -> tuple[Array, ...]:
    """Return what a network with several outputs gave."""
    assert isinstance(got, tuple)
    return got
