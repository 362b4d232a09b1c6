from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import ConcatDataset, Subset

import dyncompile
from dyncompile.errors import InputError
from dyncompile.knobs import Levels
from dyncompile.markers import follow
from dyncompile.methods.dgate.calibrating import _named, calibrate
from dyncompile.methods.dgate.calibration import Calibration, Level
from dyncompile.methods.dgate.choosing import halves
from dyncompile.methods.dgate.gates import DecisionGates
from dyncompile.methods.dgate.scores import SCORES
from dyncompile.methods.dgate.scoring import ask
from dyncompile.methods.dgate.targets import targets_from
from dyncompile.methods.dgate.thresholds import outcome
from dyncompile.methods.paired import Difference
from dyncompile.training import in_batches, one_thread
from tests.methods.dgate.trained import SHAPE, Patterns, patterns, trained

HELD_OUT = patterns(1200, seed=2)
MEASURING = halves(len(HELD_OUT), None, 0)[1]


def calibrated(score: str = "margin", **targets: Any) -> tuple[DecisionGates, Calibration]:  # noqa: ANN401
    net = trained(score)
    return net, calibrate(net, HELD_OUT, **(targets or {"drop": (0.05, 0.02), "macs": 0.7}))


def exits(net: DecisionGates, data: Patterns, level: int) -> NDArray[np.int64]:
    """Return where the samples leave the PyTorch model, ``int64[N]``."""

    def decisions(x: Tensor) -> Tensor:
        with follow() as taken:
            net(x, torch.tensor(level))
        return torch.stack([torch.from_numpy(taken[f"gate{n}"]) for n in (1, 2)], 1)

    fires = in_batches(decisions, data)[0].numpy()
    leaves: NDArray[np.int64] = np.c_[fires, np.ones(len(fires))].argmax(1)
    return leaves


@pytest.fixture(autouse=True)
def one_core() -> Iterator[None]:
    with one_thread():
        yield


# --- what it does to the network --------------------------------------------------------------


@pytest.mark.parametrize("score", SCORES)
def test_samples_leave_the_model_where_the_calibration_says(score: str) -> None:
    net, found = calibrated(score)
    for number, level in enumerate(found.levels):
        leaves = exits(net, HELD_OUT, number)[MEASURING]
        counts = np.bincount(leaves, minlength=3)
        assert (counts / len(MEASURING)).tolist() == list(level.leaving)


@pytest.mark.parametrize("score", ["margin", "entropy"])
def test_samples_leave_the_artifact_where_they_leave_the_model(score: str, tmp_path: Path) -> None:
    net, found = calibrated(score)
    dyncompile.export(net, (torch.zeros(1, *SHAPE),), tmp_path / "net.onnx", verify=False)
    artifact = dyncompile.load(tmp_path / "net.onnx", threads=1)
    number = next(n for n, level in enumerate(found.levels) if "macs 0.7" in level.asked)
    expected = exits(net, HELD_OUT, number)
    scores = ask(net, HELD_OUT).sureness
    cuts = np.array([net.score.sureness(t) for t in found.levels[number].thresholds])
    for sample in MEASURING[:100]:
        path = artifact.trace(HELD_OUT.images[sample][None].numpy(), effort=number)[1]
        leaves_at = next((n for n in (0, 1) if path[f"gate{n + 1}"] == 1), 2)
        is_near_tie = np.abs(scores[sample] - cuts).min() < 1e-4
        assert leaves_at == expected[sample] or is_near_tie
    assert np.bincount(expected[MEASURING[:100]]).max() < 100


def test_levels_go_from_the_first_exit_to_the_dense_network() -> None:
    net, found = calibrated()
    assert net.table[0].tolist() == [-np.inf] * 2
    assert net.table[-1].tolist() == [np.inf] * 2
    assert net.table.tolist() == [list(level.thresholds) for level in found.levels]
    effort = net.knobs["effort"]
    assert isinstance(effort, Levels)
    values = [level.value for level in found.levels]
    assert list(effort.values) == values == sorted(set(values))
    assert values[-1] == 1
    assert values == pytest.approx([level.macs for level in found.levels], abs=2e-4)
    assert "first exit" in found.levels[0].asked
    assert found.levels[-1].asked == ("dense network",)


def test_the_default_is_the_first_target() -> None:
    net, found = calibrated(macs=(0.9, 0.7), drop=0.05)
    assert "drop 0.05" in found.levels[found.default].asked
    assert net.knobs["effort"].default == found.default
    _, found = calibrated(macs=(0.9, 0.7))
    assert "macs 0.9" in found.levels[found.default].asked


@pytest.mark.parametrize(("given", "level"), [(0, 0), (-1, "last")], ids=["first", "last"])
def test_another_default_may_be_named(given: int, level: int | str) -> None:
    net, found = calibrated(drop=0.05, default=given)
    expected = len(found.levels) - 1 if level == "last" else level
    assert found.default == net.knobs["effort"].default == expected


def test_what_a_level_says_of_itself_is_so() -> None:
    net, found = calibrated()
    said = ask(net, HELD_OUT)
    sure, right = said.sureness[MEASURING], said.right[MEASURING]
    assert found.dense == right[:, -1].mean()
    for level in found.levels:
        again = outcome(sure, right, said.costs, level.thresholds)
        assert level.accuracy == again.accuracy
        assert level.macs == pytest.approx(again.cost)
        assert level.leaving == again.leaving(3)
        assert level.drop.mean == pytest.approx(found.dense - again.accuracy)
        assert level.drop.low <= level.drop.mean <= level.drop.high
        assert level.drop.mean <= level.most_lost
        for target in level.asked:
            if target.startswith("drop"):
                assert level.most_lost <= float(target.split()[1])
            if target.startswith("macs"):
                assert level.macs <= float(target.split()[1])


def test_thresholds_are_in_the_units_of_the_score() -> None:
    net, found = calibrated("entropy")
    assert found.levels[0].thresholds == (np.inf, np.inf)
    inner = found.levels[found.default].thresholds
    assert all(each >= 0 or np.isinf(each) for each in inner)
    assert any(0 < each < np.log(4) for each in inner)
    assert net.table[0].tolist() == [np.inf, np.inf]


def test_targets_on_the_same_vector_share_a_level() -> None:
    _, found = calibrated(drop=(0.05, 0.0500001), macs=1.0)
    shared = [level for level in found.levels if "drop 0.05" in level.asked]
    assert len(shared) == 1
    assert len({level.leaving for level in found.levels}) == len(found.levels)


def test_the_dense_network_is_level_1_beside_one_that_hardly_saves() -> None:
    given = [0.2, 0.99996, 0.99998, 1.0]
    levels = [
        Level(share, (), (), 1.0, Difference(0, 0, 0), 0.0, 1.0, (), share) for share in given
    ]
    assert [level.value for level in _named(levels)] == [0.2, 0.9998, 0.9999, 1.0]


@pytest.mark.parametrize(
    "several", [np.array([0.05, 0.2]), iter((0.05, 0.2))], ids=["array", "iterator"]
)
def test_several_targets_come_in_anything_that_can_be_gone_through(several: Any) -> None:  # noqa: ANN401
    assert targets_from(several, (), ()) == targets_from((0.05, 0.2), (), ())


def test_a_drop_that_the_first_exit_keeps_is_level_0() -> None:
    _, found = calibrated(drop=0.95)
    assert found.levels[0].asked == ("first exit", "drop 0.95")
    assert (len(found.levels), found.default) == (2, 0)


def test_the_same_seed_finds_the_same() -> None:
    assert calibrated(drop=0.05)[1] == calibrated(drop=0.05)[1]
    assert calibrated(drop=0.05, seed=1)[1] != calibrated(drop=0.05)[1]


def test_one_class_only_is_fine() -> None:
    chosen = (HELD_OUT.labels == 2).nonzero().ravel()
    data = Patterns(HELD_OUT.images[chosen], HELD_OUT.labels[chosen])
    assert len(calibrate(trained(), data, drop=0.2).levels) >= 2


# --- groups -----------------------------------------------------------------------------------


def test_groups_are_read_from_the_data_or_given() -> None:
    groups = torch.arange(1200) // 3
    from_data = calibrate(trained(), replace(HELD_OUT, groups=groups), drop=0.1)
    given = calibrate(trained(), HELD_OUT, drop=0.1, groups=groups.tolist())
    assert from_data == given
    assert (given.groups, given.measured, given.searched) == (200, 600, 600)
    assert calibrate(trained(), HELD_OUT, drop=0.1).groups is None


def test_a_part_of_data_in_groups_is_in_groups_too() -> None:
    whole = replace(HELD_OUT, groups=torch.arange(1200) // 3)
    first, last = Subset(whole, range(300)), Subset(whole, list(range(300, 900)))
    parts: ConcatDataset[Any] = ConcatDataset([first, last])
    plain = replace(
        whole, images=whole.images[:900], labels=whole.labels[:900], groups=torch.arange(900) // 3
    )
    assert calibrate(trained(), parts, drop=0.1) == calibrate(trained(), plain, drop=0.1)
    assert calibrate(trained(), Subset(HELD_OUT, range(900)), drop=0.1).groups is None
    assert calibrate(trained(), ConcatDataset([first, HELD_OUT]), drop=0.1).groups is None


def test_groups_may_have_names_and_some_may_have_none() -> None:
    names = [None if number < 3 else f"scene {number // 3}" for number in range(1200)]
    found = calibrate(trained(), HELD_OUT, drop=0.1, groups=names)
    assert found == calibrate(trained(), HELD_OUT, drop=0.1, groups=np.array(names).astype(str))
    assert found.groups == 200


# --- text -------------------------------------------------------------------------------------


def test_the_table_has_an_aligned_line_per_level() -> None:
    _, found = calibrated()
    head, *lines = found.table().splitlines()
    assert head.split()[:3] == ["effort", "MACs", "accuracy"]
    assert len(lines) == len(found.levels)
    assert [line.split()[0] for line in lines].count(f"{found.default}*") == 1
    column = head.index("asked for")
    for line, level in zip(lines, found.levels, strict=True):
        assert line[column:] == ", ".join(level.asked)
        assert line.split()[1] == f"{100 * level.macs:.2f}"
    assert max(map(len, (head, *lines))) < 100
    assert str(found).startswith(f"Dense accuracy {100 * found.dense:.2f} % on 600 samples;")


# --- what is refused --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({}, "calibrate: nothing is asked for.", id="nothing"),
        pytest.param({"drop": 0}, "drop=0: it has to be a share", id="no-drop"),
        pytest.param({"drop": -0.1}, "drop=-0.1: it has to be a share", id="negative-drop"),
        pytest.param({"drop": [0.1, 1]}, "drop=1: it has to be a share", id="whole-drop"),
        pytest.param({"drop": True}, "drop=True: it has to be a share", id="bool"),
        pytest.param({"drop": "2 %"}, "drop='2 %': it has to be a share", id="text"),
        pytest.param({"drop": float("nan")}, "drop=nan: it has to be a share", id="nan"),
        pytest.param({"accuracy": 1.0}, "accuracy=1.0: it has to be a share", id="all-right"),
        pytest.param({"macs": 1.2}, "macs=1.2: it has to be a share", id="more-than-dense"),
        pytest.param({"macs": 0}, "macs=0: it has to be a share", id="no-macs"),
        pytest.param({"macs": 0.01}, "macs=0.01: the first exit alone", id="below-the-first"),
        pytest.param({"drop": 0.001}, "drop=0.001: 600 samples that", id="too-few"),
        pytest.param({"accuracy": 0.99}, "accuracy=0.99: the dense network", id="floor"),
        pytest.param({"drop": 0.1, "confidence": 95}, "confidence: 95 is no", id="confidence"),
        pytest.param({"drop": 0.1, "default": 9}, "default: 9 is not the index", id="default"),
        pytest.param({"drop": 0.1, "groups": [1, 2]}, "groups: they are [2]", id="groups"),
        pytest.param({"drop": 0.1, "groups": [1] * 1200}, "data: one group", id="one-group"),
    ],
)
def test_bad_requests_are_refused_on_one_line_and_change_nothing(
    options: dict[str, Any], message: str
) -> None:
    net = trained()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    run = partial(calibrate, net, HELD_OUT, **options)
    with pytest.raises(InputError) as caught:
        run()
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_a_single_sample_is_refused() -> None:
    with pytest.raises(InputError, match="data: one sample cannot be cut in two"):
        calibrate(trained(), patterns(1, seed=0), drop=0.1)
