"""Every fuzzer of cpp/fuzz, for a while: the same inputs each time."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cpp.building import CPP, run

FUZZERS = sorted(path.stem for path in CPP.glob("fuzz/fuzz_*.cpp"))
RUNS = 20_000
SECONDS = 10  # at most


@pytest.mark.parametrize("fuzzer", FUZZERS)
def test_nothing_crashes(cpp_fuzzers: Path, fuzzer: str, tmp_path: Path) -> None:
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
        ]
    )
    assert "stat::number_of_executed_units" in said
