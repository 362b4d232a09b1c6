"""Several widths in one step."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from dyncompile.errors import InputError
from dyncompile.methods import idp
from dyncompile.methods.idp.sandwich import Sandwich
from tests.methods.idp.networks import (
    SHORT,
    images,
    network,
    norms,
    patterns,
    share_right,
    state,
)


def converted(name: str = "plain", **options: Any) -> idp.IncompleteNet:  # noqa: ANN401
    return idp.convert(network(name), example=images(), **options)


@pytest.mark.parametrize("norm", ["shared", "switchable"])
def test_every_width_learns(norm: str) -> None:
    net, data = converted(norm=norm), patterns()
    idp.fit_sandwich(net, data, recipe=replace(SHORT, epochs=8))
    idp.recalibrate(net, data, batch_size=96)
    assert not net.training
    for level in range(4):
        assert share_right(lambda x, level=level: net(x, level), data) > 0.8  # type: ignore[misc]


def test_a_step_is_the_widest_by_labels_and_the_others_by_what_it_says() -> None:
    net = converted("perceptron", ratios=(0.3, 0.6, 1.0))
    x, labels = patterns(16).tensors
    outputs = [net(x, level) for level in range(3)]
    wanted = F.cross_entropy(outputs[2], labels)
    wanted += F.cross_entropy(outputs[0], outputs[2].softmax(1))
    torch.testing.assert_close(Sandwich(0, distil=True)(net, x, labels), wanted)
    wanted = F.cross_entropy(outputs[2], labels) + F.cross_entropy(outputs[0], labels)
    torch.testing.assert_close(Sandwich(0, distil=False)(net, x, labels), wanted)


def test_what_the_widest_says_is_not_moved_towards_the_others() -> None:
    net = converted("perceptron", ratios=(0.5, 1.0))
    x, labels = patterns(16).tensors
    head = net.backbone.get_submodule("layers.5").bias

    def gradient(loss: Tensor) -> Tensor:
        net.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        return head.grad.clone()  # type: ignore[union-attr, operator]

    narrow, wide = net(x, 0), net(x, 1).detach()
    apart = gradient(F.cross_entropy(net(x, 1), labels) + F.cross_entropy(narrow, wide.softmax(1)))
    torch.testing.assert_close(gradient(Sandwich(0, distil=True)(net, x, labels)), apart)


def widths(net: idp.IncompleteNet, middle: int, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return what each pass of ten steps was cut to, and its level."""
    seen: list[Any] = []
    cut_to = idp.IncompleteNet.cut_to

    def noting(
        net: idp.IncompleteNet, x: Tensor, counts: list[int], level: int | None = None
    ) -> Tensor:
        seen.append((counts, level))
        return cut_to(net, x, counts, level)

    monkeypatch.setattr(idp.IncompleteNet, "cut_to", noting)
    x, labels = patterns(16).tensors
    for _ in range(10):
        Sandwich(middle, distil=True)(net, x, labels)
    return seen


def test_widths_between_are_random_and_the_same_share_everywhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    net = converted("mobilenet", ratios=(0.25, 1.0))
    torch.manual_seed(0)
    seen = widths(net, 2, monkeypatch)
    assert [level for _, level in seen] == [1, 0, None, None] * 10
    last = [counts[-1] for counts, level in seen if level is None]
    assert len(set(last)) > 5
    assert min(last) >= 4
    for counts, _ in seen:
        ratios = {counts[-1] / 16, (counts[-1] + 1) / 16}
        low, high = min(ratios), max(ratios)
        for layer, count in zip(net.layers, counts, strict=True):
            assert int(low * layer.channels) <= count <= int(high * layer.channels)


def test_with_weights_of_each_level_the_widths_between_are_levels(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    net = converted("resnet", norm="switchable", ratios=(0.25, 0.4, 0.5, 0.75, 1.0))
    seen = widths(net, 2, monkeypatch)
    for step in range(10):
        wide, narrow, *between = [level for _, level in seen[4 * step : 4 * step + 4]]
        assert (wide, narrow) == (4, 0)
        assert len(set(between)) == 2
        assert set(between) <= {1, 2, 3}
    assert len({level for _, level in seen}) == 5


def test_weights_of_each_level_part() -> None:
    net = converted("resnet", norm="switchable")
    idp.fit_sandwich(net, patterns(32), recipe=SHORT)
    for norm in norms(net):
        scales = [norm.at(level).weight for level in range(4)]
        assert all(not torch.equal(a, b) for a in scales for b in scales if a is not b)


def test_one_level_is_ordinary_training() -> None:
    net = converted("perceptron", ratios=(1.0,))
    x, labels = patterns(16).tensors
    wanted = F.cross_entropy(net(x), labels)
    torch.testing.assert_close(Sandwich(2, distil=True)(net, x, labels), wanted)


def test_it_goes_on_from_a_checkpoint(tmp_path: Path) -> None:
    net, other = converted(), converted()
    idp.fit_sandwich(net, patterns(32), recipe=SHORT, checkpoint=tmp_path / "state.pt")
    idp.fit_sandwich(other, patterns(32), recipe=SHORT, checkpoint=tmp_path / "state.pt")
    wanted = state(net)
    assert all(torch.equal(value, wanted[key]) for key, value in other.state_dict().items())


@pytest.mark.parametrize("middle", [-1, 0.5, True, None], ids=str)
def test_what_is_no_number_of_widths_is_refused(middle: Any) -> None:  # noqa: ANN401
    with pytest.raises(InputError, match="is no number of widths"):
        idp.fit_sandwich(converted(), patterns(8), middle=middle)


def test_ranges_are_not_trained_together() -> None:
    with pytest.raises(InputError, match="Train it with fit, or convert without ranges"):
        idp.fit_sandwich(converted(ranges=(0.5, 1.0)), patterns(8))
