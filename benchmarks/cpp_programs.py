"""The programs of cpp/benchmarks: build them, run them, read what they print."""

from __future__ import annotations

__all__ = ["FOLDER", "Contender", "Contenders", "Programs", "built", "contenders_from", "merged"]

import json
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dyncompile.errors import TargetError
from tools import cpp_building
from tools.cpp_packages import Missing, prepare

FOLDER = cpp_building.BUILD / "cpp-bench"
REMEDY = "Install a C++ compiler, and see that make cpp-packages works."
ORDERS = ("bare", "ours")  # which session is loaded first, in turns


@dataclass(frozen=True)
class Contender:
    """What one way to call a network takes.

    Attributes:
        us: Microseconds of a call.
        beyond_us: What it takes more than the first, measured in turns.
        allocations: Of a call, of ONNX Runtime and of ours; None if they were not counted.
    """

    us: float
    beyond_us: float
    allocations: float | None = None


Contenders = Mapping[str, Contender]


@dataclass(frozen=True)
class Programs:
    """Where the programs lie, and how often each runs.

    What is measured depends a little on where a process has its memory, so the median of several
    processes is taken.

    Attributes:
        folder: Of the programs.
        processes: Runs of each, at least one.
        seconds: Of one run.
    """

    folder: Path
    processes: int
    seconds: float

    def calls(self, net: Path) -> Contenders:
        """Time calls beside bare ones: ``bare``, ``buffers``, ``outputs``, ``governed``."""
        runs = [
            self._said("bench_calls", net, self.seconds, ORDERS[number % len(ORDERS)])
            for number in range(self.processes)
        ]
        return merged([contenders_from(said) for said in runs])

    def telemetry(self, plain: Path, telling: Path) -> Contenders:
        """Time ``telling`` beside ``buffers``, and ``trace`` beside ``outputs``."""
        runs = [
            self._said("bench_telemetry", plain, telling, self.seconds)
            for _ in range(self.processes)
        ]
        return merged([contenders_from(said) for said in runs])

    def share_of_scaling(self, net: Path, threads: int) -> float:
        """How much threads on one Net win, over what they win on one bare session."""
        shares = []
        for number in range(self.processes):
            order = ORDERS[number % len(ORDERS)]
            said = self._said("bench_threads", net, threads, 2 * self.seconds, order)
            shares.append(float(json.loads(said)["share"]))
        return statistics.median(shares)

    def _said(self, program: str, *words: object) -> str:
        command = [str(self.folder / program), *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            reason = (done.stderr.strip() or f"it ended with {done.returncode}").splitlines()[-1]
            raise TargetError(reason, where=program, remedy="See cpp/benchmarks.")
        return done.stdout


def built(folder: Path = FOLDER) -> Path:
    """Build the library as an application would, and the programs; return their folder.

    Raises:
        TargetError: something to build with is missing, or it does not build.
    """
    try:
        flags = {
            **prepare().variables(),
            "CMAKE_BUILD_TYPE": "Release",
            "CMAKE_CXX_COMPILER": cpp_building.compiler(),
            "DYNCOMPILE_BUILD_BENCHMARKS": "ON",
        }
        cpp_building.build(cpp_building.CPP, folder, flags)
    except (cpp_building.CannotBuild, Missing) as error:
        raise TargetError(str(error), where="the C++ library", remedy=REMEDY) from error
    except AssertionError as error:
        raise TargetError(f"it does not build.\n{error}", where="cpp", remedy=REMEDY) from error
    return folder / "benchmarks"


def contenders_from(said: str) -> Contenders:
    """Read what ``bench_calls`` or ``bench_telemetry`` printed."""
    return {name: Contender(**figures) for name, figures in json.loads(said).items()}


def merged(runs: Sequence[Contenders]) -> Contenders:
    """Return the medians over runs; there is at least one."""
    return {name: _median([run[name] for run in runs]) for name in runs[0]}


def _median(found: Sequence[Contender]) -> Contender:
    counted = [one.allocations for one in found if one.allocations is not None]
    return Contender(
        statistics.median(one.us for one in found),
        statistics.median(one.beyond_us for one in found),
        statistics.median(counted) if counted else None,
    )
