"""Configure and build the C++ library, one process at a time."""

from __future__ import annotations

__all__ = [
    "BUILD",
    "CPP",
    "SANITIZERS",
    "CannotBuild",
    "build",
    "compiler",
    "configure",
    "fuzzing_compiler",
    "run",
    "tool",
]

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

CPP = Path(__file__).parents[1] / "cpp"
BUILD = CPP.parent / "build"
SANITIZERS = "address,undefined"


class CannotBuild(Exception):  # noqa: N818 - a state of the machine, not a mistake
    """A tool is missing; one line."""


@cache
def tool(name: str) -> str:
    """The path of cmake, ninja or the like: beside this Python, else on the path."""
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    if not found:
        raise CannotBuild(f"There is no {name} here.")
    return found


@cache
def compiler() -> str:
    """The C++ compiler that CXX names, or the machine's."""
    for name in (os.environ.get("CXX"), "c++", "g++", "clang++"):
        if name and (found := shutil.which(name)):
            return found
    raise CannotBuild("There is no C++ compiler here.")


@cache
def fuzzing_compiler() -> str | None:
    """A clang++ that has libFuzzer and the sanitizers, if there is one."""
    found = shutil.which("clang++")
    if not found:
        return None
    main = 'extern "C" int LLVMFuzzerTestOneInput(const char*, unsigned long) { return 0; }'
    with tempfile.TemporaryDirectory() as folder:
        command = [found, "-x", "c++", "-", f"-fsanitize=fuzzer,{SANITIZERS}", "-o", f"{folder}/x"]
        done = subprocess.run(command, input=main, text=True, capture_output=True, check=False)
    return None if done.returncode else found


def build(source: Path, folder: Path, variables: Mapping[str, str], *, target: str = "all") -> None:
    """Configure and build; what was built before is used again. One process at a time.

    Raises:
        AssertionError: With what the tool printed, if it fails.
    """
    with _alone(folder):
        configure(source, folder, variables)
        run([tool("cmake"), "--build", str(folder), "--target", target])


def configure(source: Path, folder: Path, variables: Mapping[str, str]) -> str:
    """Configure with Ninja and return what it printed, as `run`."""
    given = [f"-D{name}={value}" for name, value in variables.items()]
    ninja = ["-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={tool('ninja')}"]
    command = [tool("cmake"), "-S", str(source), "-B", str(folder), *ninja, *given]
    return run([*command, "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON"])


def run(command: list[str], *, env: Mapping[str, str] | None = None) -> str:
    """Run to the end and return what it printed.

    Raises:
        AssertionError: With all of it, if the command fails.
    """
    done = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        env=env,
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}"
    return done.stdout


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        if fcntl:
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
