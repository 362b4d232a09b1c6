"""Projects of somebody else get the library in each of the ways there are, and run an artifact."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from dyncompile import artifact
from dyncompile.runtime import load
from tests.lowered import SWITCH_MANIFEST, switched
from tools.cpp_building import CPP, build, compiler, configure, run, tool
from tools.cpp_packages import Packages

MAIN = """\
#include <dyncompile/dyncompile.hpp>
#include <iostream>
#include <vector>

int main(int, char** arguments) {
  try {
    const auto net = dyncompile::Net::load(arguments[1]);
    const std::vector<float> x{1, 2, 3, 4};
    const auto y = net.run({{"x", {x, {1, 4}}}}, {{"level", 2}});
    for (int i = 0; i < 4; ++i) std::cout << y["y"].data<float>()[i] << '\\n';
  } catch (const dyncompile::Error& error) {
    std::cerr << error.what() << '\\n';
    return 1;
  }
}
"""
PROJECT = """\
cmake_minimum_required(VERSION 3.21)
project(app CXX)
{get}
add_executable(app main.cpp)
target_link_libraries(app PRIVATE dyncompile::dyncompile)
"""
FIND = "find_package(dyncompile {version} REQUIRED)"
FETCH = f"""\
include(FetchContent)
FetchContent_Declare(dyncompile SOURCE_DIR "{CPP.parent}" SOURCE_SUBDIR cpp)
FetchContent_MakeAvailable(dyncompile)
"""
OWN_TARGET = """\
add_library(our_runtime SHARED IMPORTED)
set_target_properties(our_runtime PROPERTIES IMPORTED_LOCATION "{0}/lib/libonnxruntime.so.1"
                                             INTERFACE_INCLUDE_DIRECTORIES "{0}/include")
"""
VERSION = tomllib.loads((CPP.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"][
    "version"
]


@pytest.fixture(scope="session")
def installed(cpp_build: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree that the library was installed into."""
    prefix = tmp_path_factory.mktemp("prefix")
    run([tool("cmake"), "--install", str(cpp_build), "--prefix", str(prefix)])
    return prefix


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An unpacked source distribution."""
    folder = tmp_path_factory.mktemp("sdist")
    code = f"from setuptools import build_meta; build_meta.build_sdist({str(folder)!r})"
    subprocess.run([sys.executable, "-c", code], cwd=CPP.parent, check=True, capture_output=True)
    with tarfile.open(next(folder.glob("*.tar.gz"))) as archive:
        archive.extractall(folder)  # our own; early releases of 3.11 have no filter
    return next(path for path in folder.iterdir() if path.is_dir())


@pytest.fixture(scope="session")
def site(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel made from it, unpacked."""
    folder = tmp_path_factory.mktemp("wheel")
    plain = ["--no-deps", "--no-build-isolation", "--wheel-dir", str(folder)]
    run([sys.executable, "-m", "pip", "wheel", "--quiet", *plain, str(sources)])
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def project(folder: Path, get: str) -> Path:
    """Write a project that gets the library in one of the ways."""
    folder.mkdir(parents=True)
    (folder / "main.cpp").write_text(MAIN, encoding="utf-8")
    text = PROJECT.format(get=get.format(version=VERSION))
    (folder / "CMakeLists.txt").write_text(text, encoding="utf-8")
    return folder


def check_app(folder: Path, get: str, variables: Mapping[str, str]) -> None:
    """Build the project and hold what it prints against Python."""
    source = project(folder / "app", get)
    made = {"CMAKE_CXX_COMPILER": compiler(), "CMAKE_CXX_FLAGS": "-O0", **variables}
    build(source, folder / "build", made, target="app")
    file = folder / "net.onnx"
    artifact.write(switched(), SWITCH_MANIFEST, file)
    plain = {name: value for name, value in os.environ.items() if name != "LD_LIBRARY_PATH"}
    printed = run([str(folder / "build" / "app"), str(file)], env=plain)
    x = np.array([[1, 2, 3, 4]], np.float32)
    expected = load(file)(x, level=2)
    np.testing.assert_allclose([float(line) for line in printed.split()], expected[0], rtol=1e-4)


def cmake_dir(site: Path) -> str:
    """What `dyncompile cmake-dir` of an installation says."""
    code = "from dyncompile.cli import main; main(['cmake-dir'])"
    environment = {**os.environ, "PYTHONPATH": str(site)}
    return run([sys.executable, "-P", "-c", code], env=environment).strip()


def test_the_library_and_the_package_have_one_version() -> None:
    assert (CPP / "cmake" / "version.cmake").read_text(encoding="utf-8") == (
        f"set(dyncompile_version {VERSION})\n"
    )


def test_an_installed_library_is_found(
    installed: Path, cpp_packages: Packages, tmp_path: Path
) -> None:
    root = {"CMAKE_PREFIX_PATH": str(installed), "ONNXRUNTIME_ROOT": str(cpp_packages.onnxruntime)}
    check_app(tmp_path, FIND, root)


def test_the_wheel_brings_the_library(site: Path, cpp_packages: Packages, tmp_path: Path) -> None:
    folder = cmake_dir(site)
    assert folder == str(site / "dyncompile" / "cpp" / "cmake")
    check_app(tmp_path, FIND, {"dyncompile_DIR": folder, **cpp_packages.variables()})


def test_a_project_adds_the_sources_and_its_own_onnx_runtime(
    cpp_packages: Packages, tmp_path: Path
) -> None:
    variables = {
        "DYNCOMPILE_ONNXRUNTIME_TARGET": "our_runtime",
        "NLOHMANN_JSON_ROOT": str(cpp_packages.nlohmann_json),
        "BUILD_SHARED_LIBS": "ON",
    }
    check_app(tmp_path, OWN_TARGET.format(cpp_packages.onnxruntime) + FETCH, variables)


@pytest.mark.parametrize("way", ["installed", "sources"])
def test_another_version_is_not_taken(
    request: pytest.FixtureRequest, cpp_packages: Packages, tmp_path: Path, way: str
) -> None:
    found = {"dyncompile_DIR": str(CPP / "cmake")}
    if way == "installed":
        found = {"CMAKE_PREFIX_PATH": str(request.getfixturevalue("installed"))}
    for version in ("0.0.9", "9.9.9"):
        source = project(tmp_path / version, f"find_package(dyncompile {version} REQUIRED)")
        with pytest.raises(AssertionError, match=f'requested\\s+version\\s+"{version}"'):
            configure(source, tmp_path / f"build-{version}", {**found, **cpp_packages.variables()})


def test_an_installed_library_says_what_it_needs(installed: Path, tmp_path: Path) -> None:
    source = project(tmp_path / "app", FIND)
    found = {"CMAKE_PREFIX_PATH": str(installed), "ONNXRUNTIME_ROOT": str(tmp_path / "no")}
    with pytest.raises(AssertionError) as raised:
        configure(source, tmp_path / "build", found)
    assert "ONNXRUNTIME_ROOT: there is no folder" in " ".join(str(raised.value).split())


def test_a_wheel_has_what_is_compiled_and_no_tests(site: Path) -> None:
    def files(folder: Path) -> set[str]:
        return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}

    shipped = ("CMakeLists.txt", "README.md", "cmake/", "examples/", "include/", "src/")
    assert files(site / "dyncompile" / "cpp") == {
        name for name in files(CPP) if name.startswith(shipped)
    }


def test_a_source_distribution_has_all_of_it(sources: Path) -> None:
    for name in ("CMakeLists.txt", "tests/CMakeLists.txt", "fuzz/CMakeLists.txt"):
        assert (sources / "cpp" / name).is_file()
