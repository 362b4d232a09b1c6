from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchmarks import optimize
from benchmarks.exported import Example
from benchmarks.exported_networks import Masked, Sides, StaticSides
from benchmarks.harness import Bench, Row
from benchmarks.networks import seeded


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    sides = seeded(lambda: Sides(4))
    x = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    static = StaticSides(lambda x: torch.relu(x + sides.one(x)), sides)
    example = Example("tiny mask", Masked(sides), x, {"on": ({"take": torch.tensor(True)}, static)})
    folder: Path = tmp_path_factory.mktemp("files")
    bench = Bench(folder, seconds=0.01, quick=True, say=lambda _: None)
    return list(optimize._rows(bench, example, {"on": 1e9}))  # noqa: SLF001


def test_a_path_is_compared_with_its_static_network_and_with_both_other_files(
    rows: list[Row],
) -> None:
    assert [(row.against, row.unit) for row in rows if row.path == "on"] == [
        ("static", "x"),
        ("as exported", "x faster"),
        ("+ graphsurgeon", "x faster"),
    ]
    limited = [(row.against, row.path) for row in rows if row.limit is not None]
    assert limited == [("static", "on"), ("as exported", "on"), ("as exported", "all")]


def test_the_largest_difference_of_the_numbers_is_a_row_with_a_limit(rows: list[Row]) -> None:
    (row,) = (row for row in rows if row.unit == "e-6 apart")
    assert row.value is not None
    assert row.value <= 1
    assert row.limit == pytest.approx(10)
