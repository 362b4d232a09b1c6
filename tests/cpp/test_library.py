"""Where the library of ONNX Runtime comes from: loaded at run time, or linked."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from dyncompile import artifact
from tests.lowered import SWITCH_MANIFEST, switched
from tools.cpp_building import CPP, compiler, configure, run
from tools.cpp_packages import Packages

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="libraries as on Linux"),
    pytest.mark.usefixtures("cpp_packages"),
]
PROGRAM = """\
#include <cstdlib>
#include <dyncompile/dyncompile.hpp>
#include <iostream>

int main(int count, char** arguments) {
  for (int library = 2; library < count; ++library) {
    setenv("ONNXRUNTIME_LIBRARY", arguments[library], 1);
    try {
      const auto net = dyncompile::Net::load(arguments[1]);
      const float x[]{1, 2, 3, 4};
      const auto y = net.run({{"x", {x, {1, 4}}}}, {{"level", 2}});
      std::cout << y["y"].shape().to_string() << std::endl;
    } catch (const dyncompile::TargetError& error) {
      std::cout << error.what() << std::endl;
    }
  }
}
"""
OLD = """\
struct Base { const void* (*api)(unsigned); const char* (*version)(); };
static const void* api(unsigned) { return nullptr; }
static const char* version() { return "1.15.1"; }
extern "C" const Base* OrtGetApiBase() { static const Base base{api, version}; return &base; }
"""
RAN = "[1, 4]"
TOO_OLD = (
    "ONNX Runtime: its version is 1.15.1; this program was compiled for {needed}. Let the program "
    "find {needed} or newer, or compile it with the headers of 1.15.1."
)
NOT_LOADED = "ONNX Runtime: it cannot be loaded, and {needed} or newer is needed: "
NAME_IT = (
    ". Name its library in the environment variable ONNXRUNTIME_LIBRARY, or put it where the "
    "system looks for libonnxruntime.so.1."
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("library")
    artifact.write(switched(), SWITCH_MANIFEST, folder / "net.onnx")
    (folder / "main.cpp").write_text(PROGRAM, encoding="utf-8")
    (folder / "old.cpp").write_text(OLD, encoding="utf-8")
    (folder / "empty.cpp").write_text("int nothing;", encoding="utf-8")
    (folder / "versions").write_text("VERS_1.15.1 { global: OrtGetApiBase; };", encoding="utf-8")
    (folder / "text.so").write_text("not a library\n" * 99, encoding="utf-8")
    for name in ("old", "empty"):
        shared_library(folder / f"{name}.cpp", folder / f"{name}.so")
    return folder


@pytest.fixture(scope="module")
def main(folder: Path) -> str:
    """The program, compiled."""
    made = folder / "main.o"
    run(
        [
            compiler(),
            "-std=c++17",
            f"-I{CPP / 'include'}",
            "-c",
            str(folder / "main.cpp"),
            "-o",
            str(made),
        ]
    )
    return str(made)


@pytest.fixture(scope="module")
def loading(folder: Path, main: str, cpp_build: Path, cpp_packages: Packages) -> Path:
    """The program with DYNCOMPILE_LOAD_ONNXRUNTIME, on which one file of the library depends."""
    program = folder / "loading"
    headers = [f"-I{CPP / 'include'}", f"-I{CPP / 'src'}"]
    run(
        [
            *(compiler(), "-std=c++17", "-Wall", "-Wextra", "-Werror", *headers),
            *("-isystem", str(cpp_packages.onnxruntime / "include")),
            *("-DDYNCOMPILE_LOAD_ONNXRUNTIME", main, str(CPP / "src" / "onnx_library.cpp")),
            *(str(cpp_build / "libdyncompile.a"), "-ldl", "-pthread", "-o", str(program)),
        ]
    )
    return program


@pytest.fixture(scope="module")
def linked(folder: Path, main: str, cpp_build: Path, cpp_packages: Packages) -> Path:
    """The program, linked with ONNX Runtime, which it finds where LD_LIBRARY_PATH says."""
    return link(folder / "linked", main, cpp_build, cpp_packages.onnxruntime / "lib")


def link(program: Path, main: str, cpp_build: Path, library: Path) -> Path:
    archive = str(cpp_build / "libdyncompile.a")
    own = [f"-L{library}", "-lonnxruntime", "-pthread"]
    run([compiler(), main, archive, *own, "-o", str(program)])
    return program


def shared_library(source: Path, made: Path, more: Sequence[str] = ()) -> None:
    run([compiler(), "-shared", "-fPIC", *more, str(source), "-o", str(made)])


def needed(packages: Packages) -> str:
    header = packages.onnxruntime / "include" / "onnxruntime_c_api.h"
    lines = header.read_text(encoding="utf-8").splitlines()
    return "1." + next(line.split()[-1] for line in lines if "define ORT_API_VERSION" in line)


def said(program: Path, *libraries: Path | str, path: Path | None = None) -> list[str]:
    """Run to the end and return the lines."""
    net = program.parent / "net.onnx"
    env = {**os.environ, "LD_LIBRARY_PATH": str(path or "")}
    return run([str(program), str(net), *map(str, libraries)], env=env).splitlines()


def right(packages: Packages) -> Path:
    return packages.onnxruntime / "lib" / "libonnxruntime.so.1"


def test_the_library_that_a_variable_names_is_loaded(loading: Path, cpp_packages: Packages) -> None:
    assert said(loading, right(cpp_packages)) == [RAN]


def test_without_the_variable_the_system_finds_it(loading: Path, cpp_packages: Packages) -> None:
    assert said(loading, "", path=right(cpp_packages).parent) == [RAN]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        pytest.param("none.so", "cannot open shared object file", id="no-file"),
        pytest.param("text.so", "invalid ELF header", id="no-library"),
        pytest.param("empty.so", "undefined symbol: OrtGetApiBase", id="another-library"),
    ],
)
def test_a_library_that_cannot_be_loaded_is_one_line_and_the_next_is_tried(
    loading: Path, cpp_packages: Packages, name: str, reason: str
) -> None:
    library = loading.parent / name
    refused, ran = said(loading, library, right(cpp_packages))
    assert refused.startswith(NOT_LOADED.format(needed=needed(cpp_packages)) + str(library))
    assert reason in refused
    assert refused.endswith(NAME_IT)
    assert ran == RAN


def test_no_library_anywhere(loading: Path, cpp_packages: Packages, tmp_path: Path) -> None:
    if "libonnxruntime.so.1 " in run(["/sbin/ldconfig", "-p"]):
        pytest.skip("The system has one.")
    refused, ran = said(loading, "", right(cpp_packages), path=tmp_path)
    assert "libonnxruntime.so.1: cannot open shared object file" in refused
    assert ran == RAN


def test_a_library_that_is_too_old_is_named_and_the_next_is_tried(
    loading: Path, cpp_packages: Packages
) -> None:
    refused, ran = said(loading, loading.parent / "old.so", right(cpp_packages))
    assert refused == TOO_OLD.format(needed=needed(cpp_packages))
    assert ran == RAN


def test_headers_are_enough_to_build_what_loads_it(tmp_path: Path, cpp_packages: Packages) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "include").symlink_to(cpp_packages.onnxruntime / "include")
    given = {**cpp_packages.variables(), "ONNXRUNTIME_ROOT": str(tmp_path / "root")}
    options = {"DYNCOMPILE_LOAD_ONNXRUNTIME": "ON", "DYNCOMPILE_BUILD_TESTS": "ON"}
    flags = {**given, **options, "CMAKE_CXX_COMPILER": compiler()}
    configure(CPP, tmp_path / "build", flags)
    commands = (tmp_path / "build" / "build.ninja").read_text(encoding="utf-8")
    assert "-DDYNCOMPILE_LOAD_ONNXRUNTIME" in commands
    assert "libonnxruntime" not in commands


def test_a_linked_program_runs_with_the_release_it_was_linked_with(
    linked: Path, cpp_packages: Packages
) -> None:
    assert said(linked, "", path=right(cpp_packages).parent) == [RAN]


def refusal(linked: Path, path: Path) -> str:
    """What the dynamic linker says, which ends the program before ``main``."""
    env = {**os.environ, "LD_LIBRARY_PATH": str(path)}
    command = [str(linked), str(linked.parent / "net.onnx"), ""]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode
    assert not done.stdout
    return done.stderr


def test_the_linker_says_that_a_linked_library_is_not_there(linked: Path, tmp_path: Path) -> None:
    said = refusal(linked, tmp_path)
    assert "error while loading shared libraries: libonnxruntime.so.1: cannot open" in said


def test_the_linker_refuses_another_release_than_the_linked_one(
    linked: Path, tmp_path: Path
) -> None:
    script = f"-Wl,--version-script={linked.parent / 'versions'}"
    shared_library(linked.parent / "old.cpp", tmp_path / "libonnxruntime.so.1", [script])
    said = refusal(linked, tmp_path)
    assert "version `VERS_" in said
    assert "not found (required by" in said


def test_where_symbols_have_no_versions_an_old_library_is_named(
    folder: Path, main: str, cpp_build: Path, cpp_packages: Packages, tmp_path: Path
) -> None:
    library = tmp_path / "libonnxruntime.so"
    shared_library(folder / "old.cpp", library, ["-Wl,-soname,libonnxruntime.so.1"])
    (tmp_path / "libonnxruntime.so.1").symlink_to(library)
    program = link(folder / "unversioned", main, cpp_build, tmp_path)
    assert said(program, "", path=tmp_path) == [TOO_OLD.format(needed=needed(cpp_packages))]
    assert said(program, "", path=right(cpp_packages).parent) == [RAN]
