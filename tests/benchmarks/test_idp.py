"""The study of incomplete dot products on a tiny network and noise: it reports what is computed."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks import idp_pictures
from benchmarks.dgate_units import ABOVE, RIGHT
from benchmarks.harness import STATIC, Bench
from benchmarks.idp_artifact import KEPT, artifact_rows, classes_of, level_macs, time_rows
from benchmarks.idp_compact import compact
from benchmarks.idp_levels import SERIES, Found, alone_rows, found_of, level_rows, named
from benchmarks.idp_study import HARD, IDP, ORDINARY, SANDWICH, Plan, Study
from benchmarks.idp_tables import GRIDS
from benchmarks.published import macs
from benchmarks.rows import Results
from dyncompile.data import Images, Splits
from dyncompile.training import Recipe


def _images(count: int, seed: int) -> Images:
    """Make images that are dark or light, some less so."""
    random = torch.Generator().manual_seed(seed)
    labels = torch.randint(2, (count,), generator=random)
    change = (2 * labels - 1) * 60 * torch.rand(count, generator=random)
    noise = torch.randint(-40, 40, (count, 3, 32, 32), generator=random)
    pixels = (128 + change[:, None, None, None] + noise).to(torch.uint8)
    return Images(pixels, labels, ("dark", "light"))


PLAN = Plan(
    "noise",
    "noise",
    lambda: Splits(_images(96, 0), _images(2, 1), _images(40, 2)),
    Recipe(epochs=2, lr=0.05, batch_size=32),
    sandwich_epochs=1,
    width=4,
    ratios=(0.5, 1.0),
    recalibrated_on=64,
    alone=(2, 3),
)
LEVELS = pytest.mark.parametrize("level", range(2), ids=["half", "all"])
HOWS = pytest.mark.parametrize("how", [ORDINARY, IDP, SANDWICH], ids=["ordinary", "idp", "us"])


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return Study(PLAN, tmp_path_factory.mktemp("noise"))


@pytest.fixture(scope="module")
def found(study: Study) -> Found:
    return found_of(study)


@LEVELS
@HOWS
def test_the_static_network_of_a_level_gives_what_the_level_gives(
    study: Study, how: str, level: int
) -> None:
    x = study.data.test.floats(slice(4))
    for net in (study.trained(how), study.recalibrated(how)):
        with torch.no_grad():
            given, wanted = compact(net, level)(x), net(x, torch.tensor(level))
        torch.testing.assert_close(given, wanted, rtol=1e-4, atol=1e-5)


def test_the_static_network_of_a_level_has_none_of_what_the_level_leaves_out(study: Study) -> None:
    static = compact(study.recalibrated(IDP), 0)
    convs = [part for part in static.modules() if isinstance(part, nn.Conv2d)]
    shapes = [tuple(conv.weight.shape[:2]) for conv in convs]
    assert shapes[:3] == [(2, 3), (2, 2), (4, 2)]
    assert shapes[-1] == (32, 16)  # the classifier reads all channels
    linear = [part for part in static.modules() if isinstance(part, nn.Linear)]
    assert linear[0].in_features == 32


def test_the_ordinary_network_is_the_trained_one_where_nothing_is_left_out(found: Found) -> None:
    assert np.array_equal(found.series[ORDINARY][-1], found.alone[-1].right)
    assert found.macs[-1] == found.dense_macs
    assert sorted(found.macs) == list(found.macs)


def test_a_training_is_done_once_and_found_again(study: Study) -> None:
    again = Study(replace(PLAN, title="the same"), study.folder)
    for how in (ORDINARY, IDP, SANDWICH):
        states = (one.trained(how).state_dict().values() for one in (study, again))
        assert all(torch.equal(one, other) for one, other in zip(*states, strict=True))
    assert study.trained(IDP) is study.trained(IDP)


def test_recalibrating_leaves_the_trained_network_alone(study: Study) -> None:
    before = {name: value.clone() for name, value in study.trained(IDP).state_dict().items()}
    study.recalibrated(IDP)
    after = study.trained(IDP).state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_dropout_is_that_of_the_plan(study: Study) -> None:
    drops = {part.p for part in study.untrained(4).modules() if isinstance(part, nn.Dropout)}
    assert drops == {PLAN.dropout * share for share in (0.3, 0.4, 0.5)}


def test_a_target_is_set_at_half_of_the_channels_alone(found: Found) -> None:
    limited = [row for row in level_rows(found) if row.limit is not None]
    assert {row.path for row in limited} == {"0.5"}
    assert {row.unit for row in limited} == {f"{ABOVE}, low"}


def test_rows_have_every_network_at_every_level(found: Found) -> None:
    rows = list(level_rows(found))
    names = [named(how, recalibrated=recalibrated) for how, recalibrated in SERIES]
    right = {(row.against, row.path): row.value for row in rows if row.unit == RIGHT}
    assert set(right) == {(name, path) for name in names for path in ("0.5", "1")}
    for name in names:
        assert right[name, "0.5"] == 100 * found.series[name][0].mean()


def test_a_network_trained_for_itself_stands_beside_the_level_of_its_width(found: Found) -> None:
    rows = list(alone_rows(found))
    assert {row.path for row in rows} == {f"{width} channels" for width in (2, 3, 4)}
    assert {row.path for row in rows if row.unit == ABOVE} == {"2 channels", "4 channels"}


@LEVELS
def test_the_artifact_says_what_pytorch_says(study: Study, level: int) -> None:
    said = classes_of(study.artifact, study.data.test, level)
    with torch.no_grad():
        logits = study.recalibrated(IDP)(study.data.test.floats(), torch.tensor(level))
    assert np.array_equal(said, logits.argmax(-1).numpy())
    assert np.array_equal(said, study.classes_at(study.recalibrated(IDP), level))


def test_the_artifact_computes_what_the_static_network_of_the_level_computes(study: Study) -> None:
    net = study.recalibrated(IDP)
    static = [macs(compact(net, level), study.example) for level in range(2)]
    assert level_macs(study.artifact) == static


def test_each_level_is_timed_beside_its_static_network_and_both_say_the_same(study: Study) -> None:
    rows = list(time_rows(study, Bench(study.folder, 0.02, quick=True, say=lambda _: None)))
    assert {(row.path, row.against) for row in rows if row.unit == "x"} == {
        ("0.5", STATIC),
        ("1", STATIC),
    }
    (whole,) = (row for row in rows if row.unit == KEPT and row.path == "1")
    assert (whole.value, whole.note) == (None, "it saves nothing")


def test_every_column_of_the_short_tables_finds_its_figures(study: Study, found: Found) -> None:
    rows = (*level_rows(found), *alone_rows(found), *artifact_rows(study))
    results = {"idp": Results("a command", "A CPU", "2026-01-02", "a label", False, 1.0, rows)}
    for name in ("idp-levels", "idp-differences"):
        lines = GRIDS[name].markdown(results)
        assert len(lines) == 2 + 2
        assert not any("|  |" in line for line in lines)
    assert len(GRIDS["idp-alone"].markdown(results)) == 2 + 3
    assert len(GRIDS["idp-artifact"].markdown(results)) == 2 + 2


def test_pictures_are_files_of_their_own(found: Found) -> None:
    drawn = dict(idp_pictures.draw_all(found))
    for content in drawn.values():
        root = ET.fromstring(content)
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert root.get("width") == "860"
    assert dict(idp_pictures.draw_all(found)) == drawn


def test_a_quick_plan_keeps_its_files_apart() -> None:
    quick = HARD.quick()
    assert quick.folder != HARD.folder
    assert quick.recipe.epochs < HARD.recipe.epochs
