"""The C++ library, built once; what it is built with; its probe, running."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from tests.cpp.probing import Probe
from tools.cpp_building import (
    BUILD,
    CPP,
    SANITIZERS,
    CannotBuild,
    build,
    compiler,
    fuzzing_compiler,
    tool,
)
from tools.cpp_packages import Missing, Packages, prepare

_FLAGS = {
    "CMAKE_BUILD_TYPE": "",
    "CMAKE_CXX_FLAGS": "-O1 -g1",
    "CMAKE_COMPILE_WARNING_AS_ERROR": "ON",
    "DYNCOMPILE_WARNINGS": "ON",
    "DYNCOMPILE_BUILD_TESTS": "ON",
}


@pytest.fixture(scope="session")
def cpp_packages() -> Packages:
    """ONNX Runtime, nlohmann-json and doctest, beside a compiler, CMake and Ninja."""
    try:
        compiler(), tool("cmake"), tool("ninja")
        return prepare()
    except (CannotBuild, Missing) as error:
        _without(str(error))


@pytest.fixture(scope="session")
def cpp_build(cpp_packages: Packages) -> Path:
    """A build of cpp/ with its tests, its probe and its benchmarks, kept between runs."""
    flags = {
        **_FLAGS,
        **cpp_packages.variables(),
        "CMAKE_CXX_COMPILER": compiler(),
        "DYNCOMPILE_BUILD_BENCHMARKS": "ON",
    }
    build(CPP, BUILD / "cpp", flags)
    return BUILD / "cpp"


@pytest.fixture(scope="session")
def cpp_sanitized(cpp_packages: Packages) -> Path:
    """The same with AddressSanitizer and UBSan.

    Where clang++ has libFuzzer, it builds it, and the fuzzers too.
    """
    clang = fuzzing_compiler()
    flags = {
        **_FLAGS,
        **cpp_packages.variables(),
        "CMAKE_CXX_COMPILER": clang or compiler(),
        "DYNCOMPILE_SANITIZE": SANITIZERS,
        "DYNCOMPILE_BUILD_FUZZERS": "ON" if clang else "OFF",
    }
    build(CPP, BUILD / "cpp-sanitized", flags)
    return BUILD / "cpp-sanitized"


@pytest.fixture(scope="session")
def cpp_fuzzers(cpp_sanitized: Path) -> Path:
    """The folder of the fuzzers."""
    if not fuzzing_compiler():
        _without("There is no clang++ with libFuzzer here: make cpp-tools")
    return cpp_sanitized / "fuzz"


@pytest.fixture(scope="session")
def probe(cpp_build: Path) -> Iterator[Probe]:
    """The probe, as one process for the whole session."""
    probe = Probe(cpp_build / "tests" / "probe")
    yield probe
    probe.close()


@pytest.fixture(scope="session")
def sanitized_probe(cpp_sanitized: Path) -> Iterator[Probe]:
    """The same, which ends at the first wrong access."""
    probe = Probe(cpp_sanitized / "tests" / "probe")
    yield probe
    probe.close()


def _without(reason: str) -> NoReturn:
    if os.environ.get("DYNCOMPILE_CPP") == "required":
        pytest.fail(reason)
    pytest.skip(reason)
