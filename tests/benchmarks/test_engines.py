"""Networks whose plans are weighed mean the same in every form, and rows are what was built."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from benchmarks import engines
from benchmarks.budgets_networks import RATIOS
from benchmarks.engine_networks import MARKERS, CondWidths, GatedBlocks, InnerWidths, marker_network
from benchmarks.harness import STATIC, Bench, image
from benchmarks.networks import seeded
from benchmarks.rows import Row
from dyncompile import backbones
from dyncompile.errors import TargetError


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path, seconds=0.01, quick=True, say=lambda _line: None)


@pytest.mark.parametrize("level", range(len(RATIOS)), ids=str)
def test_widths_are_the_same_network_by_budgets_and_by_cond(level: int) -> None:
    net, x = seeded(lambda: backbones.cifar_resnet(8)).eval(), image(8)
    with torch.no_grad():
        got = InnerWidths(net)(x, torch.tensor(level))
        want = CondWidths(net).eval()(x, torch.tensor(level))
        full = net(x)
    torch.testing.assert_close(got, want)
    assert torch.allclose(got, full) == (level == len(RATIOS) - 1)


def test_gated_blocks_that_are_all_on_are_the_static_network() -> None:
    net, x = seeded(lambda: GatedBlocks(3, width=4)).eval(), image(8)
    with torch.no_grad():
        on, off = (net(x, torch.full((3,), taken)) for taken in (True, False))
        torch.testing.assert_close(on, net(x))
        assert not torch.allclose(off, on)


@pytest.mark.parametrize("name", MARKERS)
def test_the_knob_of_every_marker_changes_the_result(name: str) -> None:
    net, x = marker_network(name)
    (knob,) = net.knobs.values()
    ends = (0, 3) if knob.dtype == "int64" else (-1e9, 1e9)
    with torch.no_grad():
        first, last = (net(x, torch.tensor(end)) for end in ends)
    assert not torch.allclose(first, last)


def test_rows_hold_what_both_networks_took(bench: Bench) -> None:
    pytest.importorskip("tensorrt_rtx")
    plan, ratio, seconds = engines.blocks(bench)
    assert (plan.network, plan.against, plan.unit) == ("8 gated blocks", STATIC, "x bytes")
    ours, static = (
        (bench.folder / f"engines-blocks{form}.engine").stat().st_size for form in ("", "-static")
    )
    assert plan.value == ours / static
    assert ratio.reference_us is not None
    assert ratio.value is not None
    assert seconds.value == pytest.approx(ratio.value * ratio.reference_us / 1e6)  # one turn
    assert seconds.limit == engines.BLOCKS_SECONDS


def test_what_is_not_built_for_a_chip_has_its_reason_in_place_of_a_figure(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise TargetError("no such kernel.", where="sm75", remedy="Take another.")

    monkeypatch.setattr(engines, "build", refuse)
    monkeypatch.setattr(engines, "MARKERS", {"gate": MARKERS["gate"]})
    pytest.importorskip("tensorrt_rtx")
    rows = list(engines.chips(bench))
    assert {row.path for row in rows} >= {"sm75", "sm89, float16", "sm120"}
    assert {(row.value, row.note) for row in rows} == {
        (None, "sm75: no such kernel. Take another.")
    }


def test_the_command_fails_for_a_figure_that_is_missing_or_over_its_target(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rows(_: Bench) -> Iterator[Row]:
        yield Row("8 exits", STATIC, "plan", None, 1.0, "x bytes", 1.1)
        yield Row("gate", "", "sm75", None, None, note="no such kernel")

    monkeypatch.setitem(engines.GROUPS, "chips", rows)
    path = tmp_path / "engines.json"
    options = ["--only", "chips", "--json", str(path), "--output", str(tmp_path)]
    result = CliRunner().invoke(engines.main, options)
    assert result.exit_code == 1
    assert "1 figures are missing or over their target, first gate sm75" in result.stderr
    assert path.exists()
