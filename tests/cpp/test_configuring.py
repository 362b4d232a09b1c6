"""What CMake says where something is missing: one sentence of what, where, and what to do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools.cpp_building import CPP, compiler, configure, run, tool
from tools.cpp_packages import Packages

pytestmark = pytest.mark.usefixtures("cpp_packages")
LAYOUTS = {
    "a release archive": ("include", "lib", "libonnxruntime.so"),
    "cmake --install": ("include/onnxruntime", "lib64", "libonnxruntime.so"),
    "an older cmake --install": (
        "include/onnxruntime/core/session",
        "lib",
        "libonnxruntime.so.1.16.3",
    ),
    "Debian": ("include/onnxruntime", "lib/{multiarch}", "libonnxruntime.so"),
    "the library of the Python package": ("include", "lib", "libonnxruntime.so.1.31.1"),
}
LAYOUT_PROJECT = """\
cmake_minimum_required(VERSION 3.21)
project(layout CXX)
include("{module}")
dyncompile_find_onnxruntime(problem)
get_target_property(library onnxruntime::onnxruntime IMPORTED_LOCATION)
get_target_property(headers onnxruntime::onnxruntime INTERFACE_INCLUDE_DIRECTORIES)
message(STATUS "found ${{headers}} ${{library}}")
"""


@pytest.fixture
def nothing(tmp_path: Path) -> Path:
    """A folder with nothing in it."""
    (tmp_path / "nothing").mkdir()
    return tmp_path / "nothing"


def said(folder: Path, *options: str, source: Path = CPP) -> str:
    """Configure, which fails; return the error on one line."""
    names = ("ONNXRUNTIME_ROOT", "NLOHMANN_JSON_ROOT", "DOCTEST_ROOT", "TENSORRT_ROOT")
    done = subprocess.run(
        [
            *(tool("cmake"), "-S", str(source), "-B", str(folder / "build"), "-G", "Ninja"),
            *(f"-DCMAKE_MAKE_PROGRAM={tool('ninja')}", f"-DCMAKE_CXX_COMPILER={compiler()}"),
            *("-DCMAKE_FIND_USE_CMAKE_SYSTEM_PATH=OFF", *options),
        ],
        env={name: value for name, value in os.environ.items() if name not in names},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout
    _, _, error = done.stderr.partition("(message):\n")
    return " ".join(error.partition("\n\n\n")[0].split())


def onnxruntime(packages: Packages) -> str:
    return f"-DONNXRUNTIME_ROOT={packages.onnxruntime}"


def json(packages: Packages) -> str:
    return f"-DNLOHMANN_JSON_ROOT={packages.nlohmann_json}"


def test_no_onnx_runtime(tmp_path: Path) -> None:
    assert said(tmp_path) == (
        "ONNX Runtime: there is no ONNXRUNTIME_ROOT, no target onnxruntime::onnxruntime and no "
        "package onnxruntime. Set ONNXRUNTIME_ROOT to a folder that has its include and its lib, "
        "such as an unpacked release archive."
    )


@pytest.mark.skipif(sys.platform != "linux", reason="names as on Linux")
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_of_onnx_runtime(tmp_path: Path, layout: str) -> None:
    root, source = tmp_path / "root", tmp_path / "app"
    multiarch = run([compiler(), "-print-multiarch"]).strip()
    headers, libraries, name = (part.format(multiarch=multiarch) for part in LAYOUTS[layout])
    for folder, file in ((headers, "onnxruntime_cxx_api.h"), (libraries, name)):
        (root / folder).mkdir(parents=True)
        (root / folder / file).touch()
    source.mkdir()
    module = CPP / "cmake" / "DyncompileOnnxRuntime.cmake"
    text = LAYOUT_PROJECT.format(module=module)
    (source / "CMakeLists.txt").write_text(text, encoding="utf-8")
    printed = configure(
        source,
        tmp_path / "build",
        {"ONNXRUNTIME_ROOT": str(root), "CMAKE_CXX_COMPILER": compiler()},
    )
    _, found, library = next(line for line in printed.splitlines() if "found" in line).split()[-3:]
    assert Path(found) == root / headers
    assert Path(library).resolve() == root / libraries / name
    assert Path(library).name in {"libonnxruntime.so", "libonnxruntime.so.1"}


def test_a_root_that_is_not_there(tmp_path: Path, nothing: Path) -> None:
    assert said(tmp_path, f"-DONNXRUNTIME_ROOT={nothing}/no") == (
        f"ONNXRUNTIME_ROOT: there is no folder {nothing}/no. "
        "Name the folder that has the include and the lib of ONNX Runtime."
    )


def test_a_root_without_headers(tmp_path: Path, nothing: Path) -> None:
    assert said(tmp_path, f"-DONNXRUNTIME_ROOT={nothing}") == (
        f"ONNXRUNTIME_ROOT: there is no onnxruntime_cxx_api.h in {nothing}/include or "
        f"{nothing}/include/onnxruntime. Name a folder that has the headers of ONNX Runtime: its "
        "release archive has them, its Python package has not."
    )


def test_a_root_without_a_library(tmp_path: Path, nothing: Path, cpp_packages: Packages) -> None:
    (nothing / "include").symlink_to(cpp_packages.onnxruntime / "include")
    assert said(tmp_path, f"-DONNXRUNTIME_ROOT={nothing}") == (
        f"ONNXRUNTIME_ROOT: there is no library onnxruntime in {nothing}/lib or {nothing}/lib64. "
        "Put the one there that goes with the headers."
    )


def test_a_target_that_is_not_there(tmp_path: Path) -> None:
    assert said(tmp_path, "-DDYNCOMPILE_ONNXRUNTIME_TARGET=ours") == (
        "DYNCOMPILE_ONNXRUNTIME_TARGET: there is no target ours. "
        "Make it before dyncompile is added."
    )


def test_no_json(tmp_path: Path, cpp_packages: Packages) -> None:
    assert said(tmp_path, onnxruntime(cpp_packages)) == (
        "nlohmann-json: there is no NLOHMANN_JSON_ROOT, no target nlohmann_json::nlohmann_json and "
        "no package nlohmann_json 3.10 or newer. Install the package nlohmann-json3-dev, or set "
        "NLOHMANN_JSON_ROOT to a folder that has include/nlohmann/json.hpp."
    )


def test_a_root_without_json(tmp_path: Path, nothing: Path, cpp_packages: Packages) -> None:
    assert said(tmp_path, onnxruntime(cpp_packages), f"-DNLOHMANN_JSON_ROOT={nothing}") == (
        f"NLOHMANN_JSON_ROOT: there is no nlohmann/json.hpp in {nothing}/include or {nothing}. "
        "Name the folder that has the headers of nlohmann-json."
    )


def test_no_tensorrt(tmp_path: Path, cpp_packages: Packages) -> None:
    given = (onnxruntime(cpp_packages), json(cpp_packages), "-DDYNCOMPILE_WITH_TENSORRT=ON")
    assert said(tmp_path, *given) == (
        "DYNCOMPILE_WITH_TENSORRT: there is no TENSORRT_ROOT. Set it to the folder that has the "
        "include and the lib of TensorRT, or of TensorRT for RTX."
    )


@pytest.mark.skipif(sys.platform != "linux", reason="names as on Linux")
@pytest.mark.parametrize("library", ["libnvinfer.so", "libtensorrt_rtx.so.1"])
def test_engines_are_compiled_with_either_tensorrt(
    tmp_path: Path, cpp_packages: Packages, library: str
) -> None:
    root = tmp_path / "sdk"
    for name in ("include/NvInfer.h", f"lib/{library}"):
        (root / name).parent.mkdir(parents=True)
        (root / name).touch()
    cuda = tmp_path / "cuda"
    for name in ("include/cuda_runtime_api.h", "lib64/libcudart.so.13"):
        (cuda / name).parent.mkdir(parents=True)
        (cuda / name).touch()
    variables = {"TENSORRT_ROOT": str(root), "CUDAToolkit_ROOT": str(cuda)}
    flags = {"DYNCOMPILE_WITH_TENSORRT": "ON", "CMAKE_CXX_COMPILER": compiler()}
    flags["DYNCOMPILE_BUILD_TESTS"] = "ON"
    configure(CPP, tmp_path / "build", {**flags, **variables, **cpp_packages.variables()})
    commands = (tmp_path / "build" / "compile_commands.json").read_text(encoding="utf-8")
    engines = [line for line in commands.splitlines() if "/src/tensorrt/" in line]
    assert engines
    assert all("-DDYNCOMPILE_WITH_TENSORRT" in line for line in engines if "-c " in line)
    own = [line for line in engines if "-c " in line and "FAKE_TENSORRT" not in line]
    assert all(f"{root}/include" in line for line in own)
    assert "test_no_engine" not in commands


def test_a_root_without_tensorrt(tmp_path: Path, nothing: Path, cpp_packages: Packages) -> None:
    given = (onnxruntime(cpp_packages), json(cpp_packages), "-DDYNCOMPILE_WITH_TENSORRT=ON")
    root = f"-DTENSORRT_ROOT={nothing}"
    assert said(tmp_path, *given, root) == (
        f"TENSORRT_ROOT: there is no NvInfer.h in {nothing}/include. Name the folder of the SDK; "
        "Python packages have no headers."
    )
    (nothing / "include").mkdir()
    (nothing / "include" / "NvInfer.h").touch()
    assert said(tmp_path, *given, root) == (
        f"TENSORRT_ROOT: there is neither a library nvinfer nor tensorrt_rtx in {nothing}/lib. "
        "Name the folder of the SDK."
    )
