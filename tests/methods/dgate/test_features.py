"""What is read of a backbone while it runs, and what is counted until then."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from dyncompile.methods.dgate.features import Taps, exit_macs, macs_until, pooled
from tests.methods.dgate.networks import CASES, backbone, gated, images

every_case = pytest.mark.parametrize("name", CASES)


def hooks_of(net: nn.Module) -> int:
    """Return how many hooks there are on all parts."""
    return sum(len(part._forward_hooks) for part in net.modules())  # noqa: SLF001 - torch has no other way


def test_maps_are_averaged_over_the_image_or_over_the_cells_of_a_grid() -> None:
    maps = torch.arange(2 * 3 * 4 * 4, dtype=torch.float32).reshape(2, 3, 4, 4)
    assert torch.equal(pooled(maps), maps.mean((2, 3)))
    cells = [maps[..., a : a + 2, b : b + 2].mean((2, 3)) for a in (0, 2) for b in (0, 2)]
    assert torch.equal(pooled(maps, 2), torch.stack(cells, 2).flatten(1))


def test_flat_features_go_in_as_they_are() -> None:
    flat = torch.randn(2, 5)
    assert torch.equal(pooled(flat, 3), flat)


def test_features_are_those_before_a_change_in_place() -> None:
    net, x = gated("flat"), images("flat", 5)
    first = net.backbone.get_submodule("inner.0")(x)
    assert (first < 0).any()
    assert torch.equal(net.features(x)[0], first)


@every_case
def test_hooks_are_gone_after_a_run_and_after_a_failure(name: str) -> None:
    net = gated(name)
    net.heads(images(name, 1))
    assert hooks_of(net) == 0
    with pytest.raises(RuntimeError):
        net.heads(torch.zeros(1, 99, 1))
    assert hooks_of(net) == 0


def test_taps_see_each_run_of_a_module_in_order() -> None:
    half = nn.Linear(2, 2)
    twice = nn.Sequential(half, nn.ReLU(), half)
    x = torch.randn(1, 2)
    with Taps(twice, ["0", "1"], lambda y: y) as taps:
        y = twice(x)
    assert [name for name, _ in taps.seen] == ["0", "1", "0"]
    assert torch.equal(taps.seen[-1][1], y)


def test_macs_are_those_of_the_work_before_and_of_the_gates_met() -> None:
    net = gated("concatenating")
    layers = [64 * 9 * 2 * width for width in (3, 5, 7)]  # pixels, kernel, channels out and in
    gates = 2 * 4
    wanted = [sum(layers[:1]) + gates, sum(layers[:2]) + 2 * gates, sum(layers) + 3 * gates]
    assert exit_macs(net, images("concatenating", 3)) == [*wanted, wanted[-1] + 9 * 4]


def test_macs_do_not_depend_on_the_batch_and_change_nothing() -> None:
    net = gated("resnet").train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    macs = exit_macs(net, images("resnet", 4))
    assert macs == exit_macs(net, images("resnet", 1))
    assert macs == sorted(macs)
    assert all(part.training for part in net.modules())
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())


def test_macs_until_a_module_that_computes_nothing_are_those_before_it() -> None:
    net = backbone("flat")
    x: Tensor = images("flat", 1)
    assert macs_until(net, ["inner.0", "inner.1"], x) == [84, 84, 84 + 42 + 24]
