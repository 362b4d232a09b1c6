"""The engine part with the CUDA runtime as NVIDIA ships it, on a machine without a GPU."""

from __future__ import annotations

import ctypes
import importlib.metadata
import re
import sys
from pathlib import Path

import pytest

from tools.cpp_building import CPP, compiler, run
from tools.cpp_packages import Packages

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="libraries as on Linux")
# Declared by the stand-in for the headers of TensorRT; a call of either ends the program.
PROGRAM = """\
#include <NvInferRuntime.h>

#include <cstdlib>
#include <dyncompile/dyncompile.hpp>
#include <fstream>
#include <iostream>

#include "engine_file.hpp"

nvinfer1::IRuntime* nvinfer1::createInferRuntime(ILogger&) noexcept { std::abort(); }
extern "C" std::int32_t getInferLibVersion() noexcept { std::abort(); }

int main(int, char** arguments) {
  const std::string path = arguments[1];
  dyncompile::detail::EngineDescription description;
  description.flavor = "tensorrt";
  description.version = "11.4.0.0";
  description.precision = "float32";
  description.bytes = 4;
  description.sha256 = std::string(64, '0');
  description.manifest.target = "tensorrt";
  description.manifest.precision = "float32";
  std::ofstream(path) << "plan";
  std::ofstream(path + ".json") << description.to_json();
  try {
    dyncompile::Net::load(path);
  } catch (const dyncompile::TargetError& error) {
    std::cout << error.what() << std::endl;
  }
}
"""
SAID = re.compile(
    r"GPU: an engine runs on an NVIDIA GPU, and CUDA can use none here: "
    r"(CUDA finds no device|.+ \(CUDA error \d+\))\. "
    r"Load it on a machine with a GPU and its driver, or load the \.onnx file\.\n"
)


@pytest.fixture(scope="module")
def runtime() -> ctypes.CDLL:
    """The library, on a machine where it finds no GPU."""
    found = ctypes.CDLL(str(cuda("libcudart.so.*")))
    count = ctypes.c_int(0)
    if found.cudaGetDeviceCount(ctypes.byref(count)) == 0 and count.value:
        pytest.skip("There is a GPU, so nothing is missing.")
    return found


def cuda(name: str) -> Path:
    """A file of the package nvidia-cuda-runtime."""
    try:
        files = importlib.metadata.files("nvidia-cuda-runtime") or []
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("The package nvidia-cuda-runtime is not installed.")
    return Path(str(next(file.locate() for file in files if file.match(name))))


@pytest.mark.usefixtures("runtime")
def test_without_a_gpu_an_engine_is_refused_before_tensorrt_is_called(
    cpp_build: Path, cpp_packages: Packages, tmp_path: Path
) -> None:
    headers, library = cuda("cuda_runtime_api.h").parent, cuda("libcudart.so.*")
    onnxruntime = cpp_packages.onnxruntime / "lib"
    stand_in = tmp_path / "tensorrt"
    stand_in.mkdir()  # without the stand-in for CUDA
    (stand_in / "NvInferRuntime.h").symlink_to(CPP / "tests/tensorrt/fake/NvInferRuntime.h")
    (tmp_path / "main.cpp").write_text(PROGRAM, encoding="utf-8")
    sources = [tmp_path / "main.cpp", *sorted(CPP.glob("src/tensorrt/*.cpp"))]
    program = tmp_path / "program"
    run(
        [
            *(compiler(), "-std=c++17", "-O0", "-Wall", "-Wextra", "-Wconversion", "-Werror"),
            *("-DDYNCOMPILE_WITH_TENSORRT", "-DFAKE_TENSORRT=1104"),
            *(f"-I{CPP / 'include'}", f"-I{CPP / 'src'}"),
            *("-isystem", str(headers), "-isystem", str(stand_in)),
            *(*map(str, sources), str(cpp_build / "libdyncompile.a"), str(library)),
            *(
                f"-Wl,-rpath,{library.parent}",
                f"-L{onnxruntime}",
                f"-Wl,-rpath,{onnxruntime}",
                "-lonnxruntime",
                "-pthread",
            ),
            *("-o", str(program)),
        ]
    )
    assert SAID.fullmatch(run([str(program), str(tmp_path / "net.engine")]))
