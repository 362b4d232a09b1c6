"""Every fuzzer of cpp/fuzz, for a while: the same inputs each time."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.cpp import fuzzed
from tools.cpp_building import CPP, run

FUZZERS = sorted(path.stem for path in CPP.glob("fuzz/fuzz_*.cpp"))
RUNS = 20_000
SECONDS = 10  # at most


@pytest.fixture(scope="session")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what fuzz_inputs calls."""
    return fuzzed.export(tmp_path_factory.mktemp("fuzzed"))


@pytest.mark.parametrize("fuzzer", FUZZERS)
def test_nothing_crashes(cpp_fuzzers: Path, artifacts: Path, fuzzer: str, tmp_path: Path) -> None:
    seeds = CPP / "fuzz" / "corpus" / fuzzer.removeprefix("fuzz_")
    said = run(
        [
            str(cpp_fuzzers / fuzzer),
            f"-runs={RUNS}",
            f"-max_total_time={SECONDS}",
            "-seed=1",
            f"-artifact_prefix={tmp_path}/",
            "-print_final_stats=1",
            str(tmp_path),
            *([str(seeds)] if seeds.is_dir() else []),
        ],
        env={**os.environ, "DYNCOMPILE_FUZZ_ARTIFACTS": str(artifacts)},
    )
    assert "stat::number_of_executed_units" in said
