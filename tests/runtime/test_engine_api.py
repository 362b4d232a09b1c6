"""The stand-ins are what they stand for."""

import inspect
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import dyncompile.runtime.cuda
from dyncompile.engine_file import read_engine
from dyncompile.errors import TargetError
from dyncompile.runtime import load
from dyncompile.runtime.cuda import Gpu
from dyncompile.runtime.engine_loading import deserialised
from tests.runtime.engines import Machine, machine, scaling
from tests.runtime.fake_context import Foreign, IExecutionContext, IRuntimeCache, IRuntimeConfig
from tests.runtime.fake_cuda import FUNCTIONS, FakeCuda
from tests.runtime.fake_tensorrt import APIS, ICudaEngine, Runtime, api

__all__ = ["machine"]

real_cuda: Any = pytest.importorskip("cuda.bindings.runtime")
real_rtx: Any = pytest.importorskip("tensorrt_rtx")

CALLED = sorted(
    set(re.findall(r"api\.(cuda[A-Z]\w+)", Path(dyncompile.runtime.cuda.__file__).read_text()))
)
GPU = Gpu(0, "A pretend GPU", "sm89")
ENUMS = ("cudaError_t", "cudaDeviceAttr", "cudaMemcpyKind", "cudaStreamCaptureMode")


def test_nothing_else_is_asked_of_cuda() -> None:
    assert set(CALLED) == {*FUNCTIONS, *ENUMS, "cudaStreamNonBlocking"}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_of_cuda_take_the_same_arguments(name: str) -> None:
    ours = list(inspect.signature(getattr(FakeCuda(), name)).parameters)
    assert list(inspect.signature(getattr(real_cuda, name)).parameters) == ours


@pytest.mark.parametrize("name", ENUMS)
def test_values_of_cuda_are_the_same(name: str) -> None:
    for member in getattr(FakeCuda, name):
        assert int(getattr(getattr(real_cuda, name), member.name)) == member.value
    assert real_cuda.cudaStreamNonBlocking == FakeCuda.cudaStreamNonBlocking


def test_errors_of_cuda_have_words_without_a_gpu() -> None:
    error, words = real_cuda.cudaGetErrorString(real_cuda.cudaError_t.cudaErrorMemoryAllocation)
    assert (error, words) == (real_cuda.cudaError_t.cudaSuccess, b"out of memory")


def test_members_of_tensorrt_for_rtx_are_those_that_were_written_down() -> None:
    written = api("tensorrt_rtx_1_7")
    if not real_rtx.__version__.startswith("1.7."):
        pytest.skip(f"tensorrt_rtx {real_rtx.__version__} is installed")
    for kind, members in written["classes"].items():
        there = {name for name in dir(getattr(real_rtx, kind)) if not name.startswith("_")}
        assert set(members) <= there, kind


@pytest.mark.parametrize("name", APIS)
def test_what_was_written_down_says_where_it_is_from(name: str) -> None:
    written = api(name)
    assert written["version"] in written["source"]
    assert "execute_async_v3" in written["classes"]["IExecutionContext"]


def _methods() -> list[Any]:
    kinds = (ICudaEngine, IExecutionContext, IRuntimeCache, IRuntimeConfig, Runtime)
    return [
        pytest.param(kind, name, id=f"{kind.__name__}.{name}")
        for kind in kinds
        for name, member in vars(kind).items()
        if inspect.isfunction(member) and not name.startswith("_")
    ]


@pytest.mark.parametrize(("kind", "name"), _methods())
def test_methods_of_tensorrt_for_rtx_take_the_same_arguments(kind: type, name: str) -> None:
    ours = list(inspect.signature(getattr(kind, name)).parameters)
    told = getattr(getattr(real_rtx, kind.__name__), name).__doc__
    overloads = re.findall(rf"\b{name}\((self: .*)\) ->", told)
    assert ours in [re.findall(r"(?:^|, )(\w+): ", overload) for overload in overloads]


def test_the_real_package_says_that_it_cannot_run_here(machine: Machine) -> None:
    machine.install("tensorrt_rtx", real_rtx)
    path = machine.write(scaling(), version=real_rtx.__version__)
    with pytest.raises(TargetError) as caught:
        load(path)
    assert "not an engine. Build it for sm89 with the version" in str(caught.value)
    with pytest.raises(TargetError, match=r"A pretend GPU \(sm89\): \S.*\. Build"):
        deserialised(_without_a_header_check(real_rtx), path, read_engine(path), GPU)


def _without_a_header_check(package: Foreign) -> ModuleType:
    """Return the package with a runtime that tells nothing of headers, as TensorRT's."""

    class Runtime:
        def __init__(self, logger: object) -> None:
            self.deserialize_cuda_engine = package.Runtime(logger).deserialize_cuda_engine

    module = ModuleType(package.__name__)
    vars(module).update(vars(package) | {"Runtime": Runtime})
    return module


def test_the_real_runtime_tells_what_is_no_engine() -> None:
    class Logger(real_rtx.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            real_rtx.ILogger.__init__(self)

        def log(self, severity: object, msg: str) -> None:
            pass

    logger = Logger()
    runtime = real_rtx.Runtime(logger)
    validity, flags = runtime.get_engine_validity(bytes(runtime.engine_header_size))
    assert validity == real_rtx.EngineValidity.INVALID
    assert flags & real_rtx.EngineInvalidityDiagnostics.MALFORMED_ENGINE.value
