"""A network at a level, against one whose layers really read only some of their channels."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy

import numpy as np
import pytest
import torch
from torch import nn

from dyncompile.errors import InputError
from dyncompile.markers import follow
from dyncompile.methods import dgate, idp
from dyncompile.methods.idp.profiles import coefficients
from tests.methods.idp.networks import BUILDERS, cut_by_hand, images, network, norms, state


def converted(name: str = "plain", profile: str = "linear", **options: object) -> idp.IncompleteNet:
    """Convert a network; statistics differ from level to level."""
    net = idp.convert(network(name), example=images(), profile=profile, **options)  # type: ignore[arg-type]
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(1)
        for norm in norms(net):
            for level in range(len(net.ratios) - 1):
                norm.at(level).running_mean.normal_(0, 0.1)  # type: ignore[union-attr]
                norm.at(level).running_var.uniform_(0.5, 1.5)  # type: ignore[union-attr]
    return net


def ordinary(net: idp.IncompleteNet, name: str, level: int) -> nn.Module:
    """Return an ordinary network with the statistics of one level, and raw weights."""
    plain = network(name)
    for key, norm in net.backbone.named_modules():
        if key in dict(plain.named_modules()) and norm in norms(net):
            plain.get_submodule(key).load_state_dict(norm.at(level).state_dict())
    return plain


@pytest.mark.parametrize(
    ("name", "profile"),
    [
        *(pytest.param(name, "harmonic", id=name) for name in BUILDERS),
        pytest.param("plain", "all-one", id="all-one"),
    ],
)
def test_a_level_reads_the_first_channels_and_nothing_else(name: str, profile: str) -> None:
    net, x = converted(name, profile), images()

    def gammas(features: int) -> list[float]:
        # All but the flattened map of "plain" have one feature per channel.
        per = 4 if name == "plain" and features == 48 else 1
        return coefficients(profile, features // per).repeat(per).tolist()

    for level in range(4):
        counts = {layer.name: layer.counts[level] for layer in net.layers}
        wanted = cut_by_hand(ordinary(net, name, level), counts, gammas, x)
        with torch.no_grad():
            torch.testing.assert_close(net(x, torch.tensor(level)), wanted)
            torch.testing.assert_close(net.cut_to(x, net.counts(level), level), wanted)


def test_levels_differ() -> None:
    net, x = converted(), images()
    outputs = [net(x, level) for level in range(4)]
    assert all(not torch.allclose(a, b) for a in outputs for b in outputs if a is not b)


def test_a_state_goes_into_another_conversion_of_the_same_kind() -> None:
    net, x = converted(norm="switchable", ranges=(0.5, 1.0)), images()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.1)
    other = idp.convert(
        network(), example=x, profile="linear", norm="switchable", ranges=(0.5, 1.0)
    )
    assert not torch.equal(other(x, 1), net(x, 1))
    other.load_state_dict(net.state_dict())
    assert all(torch.equal(other(x, level), net(x, level)) for level in range(4))


def test_a_copy_stands_by_itself() -> None:
    net, x = converted(), images()
    other, before = deepcopy(net), net(x, 1)
    assert torch.equal(other(x, 1), before)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(1)
    assert torch.equal(net(x, 1), before)
    assert not torch.equal(other(x, 1), before)


def test_it_runs_in_other_precision() -> None:
    net, x = converted(), images()
    wanted = net(x, 1)
    found = net.double()(x.double(), torch.tensor(1))
    assert found.dtype == torch.float64
    torch.testing.assert_close(found.float(), wanted)
    assert net.bfloat16()(x.bfloat16(), 1).dtype == torch.bfloat16


def test_in_training_a_level_learns_its_own_statistics() -> None:
    net = converted().train()
    before = state(net)
    net(images(8), 1)
    after = state(net)
    moved = {key for key in after if not torch.equal(after[key], before[key])}
    assert moved == {key for key in after if ".levels.1." in key and "weight" not in key} - {
        key for key in after if key.endswith("bias")
    }


def test_between_levels_nothing_is_learned_of_statistics() -> None:
    net = converted().train()
    before = state(net)
    net.cut_to(images(8), [3, 12])
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())


def test_gradients_reach_raw_weights_by_their_profile() -> None:
    net, x = converted("perceptron"), images(8)
    net(x, 1).square().sum().backward()
    layer = net.backbone.get_submodule("layers.3")
    grad = layer.parametrizations["weight"].original.grad  # type: ignore[index, union-attr]
    assert grad[:, :5].abs().amax() > 0
    assert not grad[:, 5:].any()


def test_all_cuts_are_one_decision() -> None:
    net = converted("resnet")
    with follow() as taken:
        net(images(), 2)
    assert {name: int(option) for name, option in taken.items()} == {"level": 2}
    with follow({"level": 0}):
        assert torch.equal(net(images(), 2), net(images(), 0))


def test_nothing_is_left_hooked_when_a_call_fails() -> None:
    net = converted()
    with pytest.raises(RuntimeError):
        net(torch.zeros(1, 5, 4, 4), 0)
    assert not any(part._forward_pre_hooks for part in net.modules())  # noqa: SLF001


def test_threads_run_levels_of_their_own() -> None:
    net, x = converted(), images()
    wanted = [net(x, level) for level in range(4)]
    levels = [0, 3, 1, 2] * 10
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda level: net(x, level), levels))
    assert all(torch.equal(out, wanted[level]) for out, level in zip(found, levels, strict=True))


def test_knobs_of_the_network_go_through_and_its_exits_stay() -> None:
    torch.manual_seed(0)
    gated = dgate.convert(network("resnet"), ["blocks.0"], example=images()).eval()
    net, x = idp.convert(gated, example=images(), ratios=(0.5, 1.0)), images(1)
    assert list(net.knobs) == ["level", "effort", "threshold1"]
    for effort in range(2):
        wanted = gated(x, torch.tensor(effort))
        assert torch.equal(net(x, 1, effort=torch.tensor(effort)), wanted)
        assert not torch.equal(net(x, 0, effort=torch.tensor(effort)), wanted)
    assert torch.equal(net(x), gated(x, torch.tensor(1)))
    assert net.cut_to(x, net.counts(0)).shape == wanted.shape


@pytest.mark.parametrize("level", ["1", 1.0, True, [1]])
def test_a_level_that_is_no_index_is_refused(level: object) -> None:
    with pytest.raises(InputError, match=r"level: .* is no index of a level"):
        converted()(images(), level)


def test_a_level_of_numpy_is_an_index() -> None:
    net = converted()
    assert torch.equal(net(images(), np.int64(1)), net(images(), 1))
