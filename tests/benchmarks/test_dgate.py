"""The study of decision gates on a tiny network and noise: what it reports is what was computed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast
from xml.etree import ElementTree as ET

import click
import numpy as np
import pytest
import torch
from click.testing import CliRunner

from benchmarks import dgate, dgate_pictures, dgate_units, harness
from benchmarks.dgate_answers import exit_of, ran
from benchmarks.dgate_levels import Found, Level, Times, level_of
from benchmarks.dgate_statics import Prefix, Static, Statics, best_prefix, prefix_rows, thinner
from benchmarks.dgate_study import HARD, Plan, Study
from benchmarks.dgate_tables import GRIDS, Column, Grid
from benchmarks.published import macs
from benchmarks.rows import Results, Row
from dyncompile.data import Images, Splits
from dyncompile.errors import InputError
from dyncompile.methods.dgate.features import exit_macs
from dyncompile.methods.paired import Difference
from dyncompile.training import Recipe


def _images(count: int, seed: int) -> Images:
    """Make images that are dark or light, the harder the less so."""
    random = torch.Generator().manual_seed(seed)
    labels = torch.randint(2, (count,), generator=random)
    difficulty = torch.rand(count, generator=random)
    change = (2 * labels - 1) * 60 * (1 - difficulty)
    noise = torch.randint(-40, 40, (count, 3, 8, 8), generator=random)
    pixels = (128 + change[:, None, None, None] + noise).to(torch.uint8)
    return Images(pixels, labels, ("dark", "light"), difficulty=difficulty)


PLAN = Plan(
    "noise",
    "noise",
    lambda: Splits(_images(256, 0), _images(200, 1), _images(60, 2)),
    Recipe(epochs=2, lr=0.05, batch_size=32),
    depth=14,
    width=4,
    after=("blocks.1", "blocks.3"),
    pool=2,
    drops=(0.3,),
    macs=(0.7,),
    joint=(0.5, 0.5, 1.0),
    gates=Recipe(epochs=5, lr=0.5, optimizer="adamw"),
    others=((8, 2),),
)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return Study(PLAN, tmp_path_factory.mktemp("noise"))


@pytest.fixture(scope="module")
def found(study: Study) -> Found:
    net, _ = study.calibrated
    costs = np.array(exit_macs(net, study.example), np.float64)
    times = Times(np.array([2.0, 4.0, 11.0]), np.array([1.5, 3.5, 10.0]), costs)
    answers, test = study.answers(net), study.data.test
    levels = tuple(
        level_of(study, number, ran(study.artifact, test, number), answers, times)
        for number in range(len(net.table))
    )
    nothing = cast(Any, None)  # bench is not run
    return Found(study, answers, nothing, times, macs(study.dense, study.example), levels)


@pytest.fixture(scope="module")
def statics(found: Found) -> Statics:
    right = found.answers.right
    prefixes = tuple(
        Static(name, found.study.dense, right[:, place], found.times.macs[place])
        for place, name in enumerate(("short", "long"))
    )
    return Statics(prefixes, (), {"short": 0.15, "long": 0.35})


def test_the_artifact_says_what_the_exits_say_in_pytorch_at_every_level(found: Found) -> None:
    assert [level.agreeing for level in found.levels] == [1] * len(found.levels)
    assert found.levels[0].shares.tolist() == [1, 0, 0]
    assert found.levels[-1].shares.tolist() == [0, 0, 1]
    assert np.array_equal(found.levels[-1].right, found.dense_right)
    assert [level.macs for level in found.levels] == sorted(level.macs for level in found.levels)


def test_levels_are_called_by_what_they_were_asked_for(found: Found) -> None:
    names = [level.name for level in found.levels]
    assert names[0].startswith("0: first exit")
    assert "dense network" in names[-1]
    assert "drop 0.3" in found.default.name


def test_a_training_is_done_once_and_found_again(study: Study) -> None:
    again = Study(replace(PLAN, title="the same"), study.folder)
    for one, other in zip(
        study.dense.state_dict().values(), again.dense.state_dict().values(), strict=True
    ):
        assert torch.equal(one, other)
    assert study.dense is study.static(PLAN.depth, PLAN.width)


def test_calibrating_a_variant_leaves_the_gates_of_the_study_alone(study: Study) -> None:
    before = study.calibrated[0].table.clone()
    study.calibrate(study.gated())
    assert torch.equal(study.calibrated[0].table, before)


@torch.no_grad()
def test_a_static_prefix_gives_what_its_gate_gives(study: Study) -> None:
    net, x = study.gated(), study.data.test.floats(slice(4))
    for number, block in enumerate((1, 3)):
        prefix = Prefix(study.dense, block, net.gates[number], PLAN.pool).eval()
        torch.testing.assert_close(prefix(x), net.heads(x)[number], rtol=0, atol=0)
        alone = exit_macs(net, study.example)[number]
        earlier = sum(features.shape[1] * 2 for features in net.features(x)[:number])
        assert macs(prefix, study.example) == alone - earlier


def test_the_thinner_network_is_the_widest_that_needs_no_more(found: Found) -> None:
    width = thinner(found)
    work = [
        macs(found.study._untrained(PLAN.depth, w), found.study.example)  # noqa: SLF001
        for w in (width, width + 1)
    ]
    assert work[0] <= found.default.macs < work[1] or width == 1


def test_the_best_prefix_is_the_most_accurate_of_those_with_no_more_work(
    found: Found, statics: Statics
) -> None:
    small, large = (
        replace(prefix, right=np.array(right), macs=work)
        for prefix, right, work in zip(
            statics.prefixes, ([True, False], [True, True]), (1.0, 3.0), strict=True
        )
    )
    both = replace(statics, prefixes=(small, large))
    picked = [best_prefix(both, replace(found.default, macs=work)) for work in (0.5, 1, 2.9, 3)]
    assert picked == [None, small, small, large]


def test_limits_are_those_of_the_default_level_alone(found: Found, statics: Statics) -> None:
    rows = list(prefix_rows(found, statics))
    limited = {row.path for row in rows if row.limit is not None}
    assert limited <= {found.default.name}
    assert {row.path for row in rows} >= {"short", "long"}


def test_times_are_weighed_by_the_shares() -> None:
    times = Times(np.array([2.0, 10.0]), np.array([1.0, 9.0]), np.array([1.0, 2.0]))
    shares = np.array([0.5, 0.5])
    assert times.saved(shares) == pytest.approx(1 - 6 / 9)
    assert times.kept(shares) == pytest.approx((9 - 6) / (9 - 5))
    assert times.kept(np.array([0.0, 1.0])) is None


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ({"gate1": 1, "gate2": -1}, 0),
        ({"gate1": 0, "gate2": 1}, 1),
        ({"gate1": 0, "gate2": 0}, 2),
    ],
    ids=["first", "second", "end"],
)
def test_a_path_ends_at_the_gate_that_fired(path: dict[str, int], place: int) -> None:
    assert exit_of(path, 2) == place


@pytest.mark.parametrize(
    ("unit", "verdicts"),
    [(dgate_units.LOST, ["", "", "over"]), (dgate_units.ABOVE, ["", "over", ""])],
    ids=["what is lost at most", "what is above at least"],
)
def test_the_bad_end_of_an_interval_has_the_limit(unit: str, verdicts: list[str]) -> None:
    found = Difference(0.015, -0.005, 0.035)
    rows = list(dgate_units.difference_rows("net", "dense", "p", found, unit, 2.0))
    assert [row.value for row in rows] == pytest.approx([1.5, -0.5, 3.5])
    assert [row.verdict for row in rows] == verdicts


def _results(*rows: Row) -> dict[str, Results]:
    return {"dgate": Results("a command", "A CPU", "2026-01-02", "a label", False, 1.0, rows)}


def test_a_grid_has_a_line_per_path_and_a_column_per_unit() -> None:
    grid = Grid(
        "score",
        "*: score",
        (
            Column("saved", ("% saved",)),
            Column("lost", ("lost", "lost, low"), "dense", "{:.1f} from {:.1f}"),
        ),
    )
    results = _results(
        Row("net: score", "dense", "margin", None, 43.21, "% saved"),
        Row("net: score", "other", "margin", None, 9.0, "lost"),
        Row("net: score", "dense", "margin", None, 1.5, "lost"),
        Row("net: score", "dense", "margin", None, 1.1, "lost, low"),
        Row("net: score", "dense", "entropy", None, None, "% saved", note="too few"),
        Row("net: pool", "dense", "1x1", None, 1.0, "% saved"),
    )
    assert grid.markdown(results) == [
        "| score | saved | lost |",
        "|---|---|---|",
        "| margin | 43.2 | 1.5 from 1.1 |",
        "| entropy | too few |  |",
    ]


def test_a_grid_without_rows_is_one_clear_line() -> None:
    with pytest.raises(InputError, match=r"no figure of .*Run all of python -m benchmarks\.dgate"):
        GRIDS["dgate-effort"].markdown(_results())


def test_pictures_are_files_of_their_own(found: Found, statics: Statics) -> None:
    drawn = dict(dgate_pictures.draw_all(found, statics))
    assert list(drawn) == ["tradeoff", "exits", "images"]
    for content in drawn.values():
        root = ET.fromstring(content)
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert root.get("width") == "860"
    assert b"data:image/png" in drawn["images"]
    assert dict(dgate_pictures.draw_all(found, statics)) == drawn


def test_a_quick_plan_keeps_its_files_apart() -> None:
    quick = HARD.quick()
    assert quick.folder != HARD.folder
    assert quick.recipe.epochs < HARD.recipe.epochs


def test_the_default_level_is_that_of_the_first_drop(found: Found) -> None:
    defaults: list[Level] = [level for level in found.levels if level.is_default]
    assert defaults == [found.default]
    assert found.default.number == int(found.study.calibrated[0].default)


def test_files_lie_in_the_folder_of_the_study(found: Found) -> None:
    names = {path.name for path in Path(found.study.folder).iterdir()}
    assert {"net.onnx", "resnet14-width4.pt"} <= names


def test_a_folder_without_cifar10_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    options = ["--cifar10", str(tmp_path / "empty"), "--output", str(tmp_path / "out"), "--quick"]
    result = CliRunner().invoke(dgate.main, options)
    assert result.exit_code == 1
    (line,) = (line for line in result.output.splitlines() if line.startswith("Error: "))
    assert str(tmp_path / "empty") in line
    assert (tmp_path / "out" / "dgate-cifar10-quick").is_dir()


def test_the_options_of_a_table_are_in_its_line_and_reach_its_groups(tmp_path: Path) -> None:
    seen: list[object] = []

    def group(bench: harness.Bench) -> Iterator[Row]:
        seen.append(bench.given["size"])
        yield Row("net", "dense", "", None, 1.0)

    table = harness.command(
        "benchmarks.some",
        {"group": group},
        about="",
        options=[click.Option(["--size"], type=int)],
    )
    file = tmp_path / "some.json"
    for options, line in ((["--size", "3"], " --size 3"), ([], "")):
        arguments = [*options, "--json", str(file), "--output", str(tmp_path)]
        assert CliRunner().invoke(table, arguments).exit_code == 0
        assert Results.read(file).command == f"python -m benchmarks.some{line}"
    assert seen == [3, None]
