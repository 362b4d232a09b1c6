"""A network with gates does what one that really stops does, and keeps its levels."""

from __future__ import annotations

import copy
import io
import math
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from dyncompile import follow
from dyncompile.errors import InputError, KnobError
from dyncompile.knobs import Levels, Threshold
from dyncompile.loading import load_weights
from dyncompile.methods.dgate.gates import DecisionGates
from dyncompile.methods.dgate.scores import SCORES
from tests.methods.dgate.networks import CASES, Stopping, gated, images, thresholds_inside

every_case = pytest.mark.parametrize("name", CASES)
every_score = pytest.mark.parametrize("score", SCORES)

X = images("concatenating", 12)


def at(level: int) -> Tensor:
    """Return a level as forward takes it."""
    return torch.tensor(level)


def with_levels(net: DecisionGates, between: list[float]) -> DecisionGates:
    """Give a network three levels: the first exit, thresholds of its own, the dense network."""
    gates = len(net.gates)
    net.set_levels(
        [[net.score.always] * gates, between, [net.score.never] * gates], (0.25, 0.5, 1.0)
    )
    return net


def assert_stops(net: DecisionGates, x: Tensor, thresholds: list[float], got: Tensor) -> set[int]:
    """Compare with the network that stops, and return the exits that samples took."""
    stopping = Stopping(net, thresholds)
    exits = set()
    for row, sample in zip(got, x, strict=True):
        number, wanted = stopping(sample)
        torch.testing.assert_close(row.detach(), torch.from_numpy(wanted), rtol=1e-4, atol=1e-5)
        exits.add(number)
    return exits


@every_case
def test_samples_leave_where_a_network_that_stops_leaves(name: str) -> None:
    net, x = gated(name), images(name, 12)
    between = thresholds_inside(net, x)
    with_levels(net, between)
    exits = assert_stops(net, x, between, net(x, at(1)))
    assert len(exits) > 1, "some leave early and some do not"
    ends = [[each] * len(net.gates) for each in (-math.inf, math.inf)]
    assert assert_stops(net, x, ends[0], net(x, at(0))) == {0}
    assert assert_stops(net, x, ends[1], net(x, at(2))) == {len(net.gates)}


@every_score
def test_each_score_decides_as_its_definition_says(score: str) -> None:
    net, x = gated("flat", score), images("flat", 20)
    between = [1.0, 1.0] if score == "patience" else thresholds_inside(net, x)
    with_levels(net, between)
    exits = assert_stops(net, x, between, net(x, at(1)))
    assert len(exits) > 1


def test_the_reference_really_stops() -> None:
    net = gated("concatenating")
    stopping = Stopping(net, [math.inf, -math.inf, -math.inf])
    assert stopping(X[0])[0] == 1
    assert stopping.ran == ["layers.0", "layers.1"]


def test_the_dense_level_gives_the_bits_of_the_backbone() -> None:
    net = gated("resnet")
    x = images("resnet", 3)
    assert torch.equal(net(x, at(1)), net.backbone(x))


# --- knobs ------------------------------------------------------------------------------------


@every_score
def test_untrained_gates_have_two_levels_and_are_dense_by_default(score: str) -> None:
    net = gated("concatenating", score)
    effort = net.knobs["effort"]
    assert isinstance(effort, Levels)
    assert (effort.default, len(effort.values), effort.values[-1]) == (1, 2, 1)
    assert 0 < cast("float", effort.values[0]) < 0.5
    assert list(net.knobs) == ["effort", "threshold1", "threshold2", "threshold3"]
    own = net.knobs["threshold2"]
    assert isinstance(own, Threshold)
    assert own.default == SCORES[score].always
    assert (own.low, own.high) == (SCORES[score].low, SCORES[score].high)


@every_score
def test_own_thresholds_at_their_default_change_nothing(score: str) -> None:
    net = gated("concatenating", score)
    with_levels(net, thresholds_inside(net, X))
    own = {f"threshold{n}": torch.tensor(net.score.always) for n in (1, 2, 3)}
    for level in range(3):
        assert torch.equal(net(X, at(level), **own), net(X, at(level)))


@every_score
def test_an_own_threshold_closes_its_gate_and_no_other(score: str) -> None:
    net = gated("concatenating", score)
    never = torch.tensor(net.score.never)
    heads = net.heads(X)
    assert torch.equal(net(X, at(0), threshold1=never), heads[1])
    assert torch.equal(net(X, at(0), threshold2=never), heads[0])
    assert torch.equal(net(X, at(0), threshold1=never, threshold2=never), heads[2])
    assert torch.equal(
        net(X, at(0), threshold1=never, threshold2=never, threshold3=never), heads[3]
    )


def test_a_gate_fires_only_where_both_thresholds_are_passed() -> None:
    net = gated("flat")
    x = images("flat", 40)
    scores = net.scores(net.heads(x))[0].detach()
    level, own = float(scores.quantile(0.3)), float(scores.quantile(0.7))
    for one, other in ((level, own), (own, level)):
        with_levels(net, [one, math.inf])
        with follow() as taken:
            net(x, at(1), threshold1=torch.tensor(other))
        assert taken["gate1"].tolist() == (scores >= own).long().tolist()


def test_the_least_effort_with_own_thresholds_is_free_choice() -> None:
    net = gated("concatenating")
    chosen = thresholds_inside(net, X)
    own = {f"threshold{n}": torch.tensor(t) for n, t in enumerate(chosen, 1)}
    assert len(assert_stops(net, X, chosen, net(X, at(0), **own))) > 1


def test_a_level_beyond_the_last_is_the_last() -> None:
    net = gated("flat")
    x = images("flat", 2)
    assert torch.equal(net(x, at(9)), net(x, at(1)))
    assert torch.equal(net(x, at(-3)), net(x, at(0)))


def test_a_threshold_of_no_gate_is_refused() -> None:
    with pytest.raises(KnobError, match=r"knob 'threshold3': .*there are 2.*threshold1, thresh"):
        gated("flat")(images("flat", 1), at(0), threshold3=torch.tensor(0.0))


def test_decisions_have_the_names_of_their_gates_and_can_be_forced() -> None:
    net = gated("concatenating")
    heads = net.heads(X)
    for exit_, path in enumerate(
        ({"gate1": 1}, {"gate1": 0, "gate2": 1}, {"gate1": 0, "gate2": 0})
    ):
        with follow({**path, "gate3": 1}) as taken:
            got = net(X, at(1))
        assert list(taken) == ["gate3", "gate2", "gate1"]
        assert torch.equal(got, heads[exit_])


def test_nan_goes_on_to_the_end_at_every_level() -> None:
    net = gated("concatenating")
    broken = X[:1].clone()
    broken[0, 0, 0, 0] = torch.nan
    with follow() as taken:
        net(broken, at(0))
    assert [taken[f"gate{n}"].tolist() for n in (1, 2, 3)] == [[0], [0], [0]]


def test_threads_that_run_it_at_once_do_not_read_from_each_other() -> None:
    net = gated("flat")
    both = threading.Barrier(2, timeout=60)

    def meet(module: nn.Module, inputs: object) -> None:
        del module, inputs
        both.wait()

    for name in ("inner", "head"):  # before and behind both gates
        net.backbone.get_submodule(name).register_forward_pre_hook(meet)
    inputs = [images("flat", 3, seed) for seed in range(2)]
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(net.features, inputs))
    plain = gated("flat")
    for x, features in zip(inputs, together, strict=True):
        for got, wanted in zip(features, plain.features(x), strict=True):
            assert torch.equal(got, wanted)


# --- training ---------------------------------------------------------------------------------


@every_case
def test_gradients_of_all_exits_reach_everything(name: str) -> None:
    net = gated(name).train()
    heads = net.heads(images(name, 4))
    torch.autograd.backward([each.square().sum() for each in heads])
    without = [n for n, parameter in net.named_parameters() if parameter.grad is None]
    assert without == []


def test_running_changes_nothing_of_the_backbone() -> None:
    net = gated("resnet")
    before = {name: value.clone() for name, value in net.state_dict().items()}
    net(images("resnet", 4), at(1))
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())


# --- kept and copied --------------------------------------------------------------------------


def calibrated(levels: int = 5) -> DecisionGates:
    """Return a network with seeded levels."""
    net = gated("flat")
    rows = [[level / 7, -level / 3] for level in range(levels)]
    net.set_levels(rows, [round(0.1234 + level / 9, 4) for level in range(levels)], 2)
    return net


def assert_same(one: DecisionGates, other: DecisionGates) -> None:
    """Check that two networks have the same knobs and do the same."""
    x = images("flat", 9)
    assert one.knobs == other.knobs
    for level in range(len(one.table)):
        assert torch.equal(one(x, at(level)), other(x, at(level)))


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_saved_levels_are_loaded_into_a_network_with_fewer(tmp_path: Path, suffix: str) -> None:
    net, path = calibrated(), tmp_path / f"net{suffix}"
    if suffix == ".pt":
        torch.save(net.state_dict(), path)
    else:
        safetensors.torch.save_file(net.state_dict(), path)
    fresh = gated("flat")
    for gate in fresh.gates:
        nn.init.zeros_(cast("Tensor", gate.weight))
    load_weights(fresh, path)
    assert_same(fresh, net)
    effort = fresh.knobs["effort"]
    assert isinstance(effort, Levels)
    assert effort.values[0] == 0.1234
    assert effort.default == 2


def test_saved_levels_are_loaded_inside_of_another_module_and_into_more() -> None:
    outer, other = nn.ModuleList([calibrated(3)]), nn.ModuleList([calibrated(6)])
    other.load_state_dict(outer.state_dict())
    assert_same(cast("DecisionGates", other[0]), cast("DecisionGates", outer[0]))


def test_levels_of_another_number_of_gates_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    saved = calibrated().state_dict() | {"table": torch.zeros(5, 3)}
    safetensors.torch.save_file(saved, path)
    with pytest.raises(InputError, match=r"'table' has shape \[5, 3\] in the file and \[2, 2\]"):
        load_weights(gated("flat"), path)


def test_a_copy_and_a_pickled_one_are_the_same_and_their_own() -> None:
    net = calibrated()
    stream = io.BytesIO()
    torch.save(net, stream)
    stream.seek(0)
    for other in (copy.deepcopy(net), torch.load(stream, weights_only=False)):
        assert_same(other, net)
        other.reset_levels()
        assert len(net.table) == 5


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64], ids=["half", "double"])
def test_levels_stay_in_single_precision_whatever_the_network_is_in(dtype: torch.dtype) -> None:
    net, knobs = calibrated(), calibrated().knobs
    net.set_levels(table := [[1 / 3, 1e6], [2 / 3, 1e7]], [0.1237, 1.0])
    net.to(dtype)
    assert torch.equal(net.table, torch.tensor(table))
    assert net.shares.dtype == torch.float32
    levels = net.knobs["effort"]
    assert isinstance(levels, Levels)
    assert levels.values == (0.1237, 1)
    assert net(images("flat", 2).to(dtype), at(0)).dtype == dtype
    assert {name: each for name, each in net.knobs.items() if name != "effort"} == {
        name: each for name, each in knobs.items() if name != "effort"
    }


def test_levels_are_where_the_gates_are() -> None:
    net = DecisionGates(nn.Identity(), ["part"], [nn.Linear(2, 3, device="meta")])
    assert {each.device.type for each in net.buffers()} == {"meta"}


def test_forgotten_levels_leave_the_first_exit_and_the_dense_network() -> None:
    net = calibrated()
    net.reset_levels()
    effort = net.knobs["effort"]
    assert isinstance(effort, Levels)
    assert effort.values == (0.1234, round(0.1234 + 4 / 9, 4))
    assert net.table.tolist() == [[-math.inf] * 2, [math.inf] * 2]
