"""Training with a fixed profile and layers cut at random; range by range too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from dyncompile.errors import InputError
from dyncompile.methods import idp
from dyncompile.methods.idp.ranging import held_in_range
from dyncompile.methods.idp.truncating import Truncated, draw_ratio, straight_gradients
from dyncompile.training import one_thread
from tests.methods.idp.networks import (
    CLASSES,
    SHORT,
    images,
    network,
    norms,
    patterns,
    share_right,
    state,
)


def converted(name: str = "plain", **options: Any) -> idp.IncompleteNet:  # noqa: ANN401
    return idp.convert(network(name), example=images(), **{"profile": "linear", **options})


# --- one profile ------------------------------------------------------------------------------


def test_a_network_learns_at_full_width() -> None:
    net, data = converted(), patterns()
    idp.fit(net, data, recipe=replace(SHORT, epochs=8))
    assert not net.training
    assert share_right(net, data) > 0.9


@pytest.mark.parametrize(
    ("truncation", "above", "below"),
    [
        pytest.param(0.1, 0.89, 0.91, id="mean 0.1"),
        pytest.param(1.0, 0.55, 0.61, id="mean 1, drawn again above 1"),
    ],
)
def test_what_is_left_is_1_less_a_draw(truncation: float, above: float, below: float) -> None:
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        drawn = np.array([draw_ratio(truncation) for _ in range(4000)])
    assert drawn.min() >= 0
    assert drawn.max() <= 1
    assert above < drawn.mean() < below
    assert draw_ratio(None) == 1


def test_each_layer_is_cut_by_itself_and_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[int]] = []
    net = converted("mobilenet")
    cut_to = idp.IncompleteNet.cut_to

    def noting(net: idp.IncompleteNet, x: Tensor, counts: list[int], level: int) -> Tensor:
        seen.append(counts)
        return cut_to(net, x, counts, level)

    monkeypatch.setattr(idp.IncompleteNet, "cut_to", noting)
    idp.fit(net, patterns(64), recipe=replace(SHORT, epochs=1), truncation=0.5)
    drawn = np.array(seen) / [layer.channels for layer in net.layers]
    assert (drawn.std(0) > 0).all()
    assert (drawn.std(1) > 0).all()
    assert drawn.min() > 0
    seen.clear()
    idp.fit(net, patterns(64), recipe=replace(SHORT, epochs=1), truncation=None)
    assert all(counts == [layer.channels for layer in net.layers] for counts in seen)


def test_profiles_stay_and_all_levels_share_what_normalisations_learned() -> None:
    net = converted()
    before = state(net)
    idp.fit(net, patterns(32), recipe=SHORT)
    after = state(net)
    stayed = {key for key in after if torch.equal(after[key], before[key])}
    assert stayed == {key for key in after if key.endswith(".coefficients")}
    for norm in norms(net):
        first, *others = [norm.at(level).running_var for level in range(4)]
        assert all(torch.equal(first, other) for other in others)  # type: ignore[arg-type]


def test_the_same_training_gives_the_same_bits_also_when_it_was_stopped(tmp_path: Path) -> None:
    with one_thread():
        whole, parts = converted(), converted()
        idp.fit(whole, patterns(32), recipe=SHORT)

        def stop(part: str, done: int, total: int) -> None:
            del total
            if part == "epoch 2" and done == 3:
                raise KeyboardInterrupt

        file = tmp_path / "state.pt"
        with pytest.raises(KeyboardInterrupt):
            idp.fit(parts, patterns(32), recipe=SHORT, checkpoint=file, progress=stop)
        parts = converted()
        idp.fit(parts, patterns(32), recipe=SHORT, checkpoint=file)
    wanted = state(whole)
    assert all(torch.equal(value, wanted[key]) for key, value in parts.state_dict().items())


# --- gradients --------------------------------------------------------------------------------


@pytest.mark.parametrize("profile", ["all-one", "harmonic"])
def test_released_gradients_are_those_of_a_complete_layer(profile: str) -> None:
    torch.manual_seed(0)
    net, x = converted("perceptron", profile=profile), images(8)
    labels = torch.arange(8) % CLASSES
    names = set(net.state_dict())
    taken: dict[str, Tensor] = {}

    def keep(module: nn.Module, args: tuple[Tensor], output: Tensor) -> None:
        del module
        taken["x"] = args[0].detach()
        output.register_hook(lambda grad: taken.update(grad=grad))  # type: ignore[no-untyped-call]

    layer = net.backbone.get_submodule("layers.3")
    hook = layer.register_forward_hook(keep)
    with straight_gradients(net):
        Truncated(0.5, 3, straight=True)(net, x, labels).backward()  # type: ignore[no-untyped-call]
        used = layer.weight.detach().clone()  # type: ignore[operator]
        grads = [each.grad for each in layer.parameters() if each.ndim == 2]
    hook.remove()
    torch.testing.assert_close(grads[0], taken["grad"].T @ taken["x"])
    kept = (used != 0).any(0)
    assert 0 < kept.sum() < 10
    assert kept[: int(kept.sum())].all()
    assert set(net.state_dict()) == names
    assert not torch.equal(layer.weight, used)  # type: ignore[arg-type]


def test_released_training_is_another_training_and_computes_the_same_at_first() -> None:
    plain, straight = converted(), converted()
    x, labels = patterns(16).tensors
    for net in (plain, straight):
        net.eval()
    torch.manual_seed(3)
    wanted = Truncated(0.5, 3, straight=False)(plain, x, labels)
    torch.manual_seed(3)
    with straight_gradients(straight):
        torch.testing.assert_close(Truncated(0.5, 3, straight=True)(straight, x, labels), wanted)
    idp.fit(plain, patterns(32), recipe=SHORT)
    idp.fit(straight, patterns(32), recipe=SHORT, gradient="released")
    assert plain.state_dict().keys() == straight.state_dict().keys()
    assert not torch.equal(plain(images()), straight(images()))


# --- ranges -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "across"),
    [
        pytest.param("plain", False, id="plain"),
        pytest.param("plain", True, id="plain-across"),
        pytest.param("perceptron", True, id="perceptron-across"),
        pytest.param("resnet", True, id="resnet-across"),
        pytest.param("mobilenet", False, id="mobilenet"),
    ],
)
def test_a_range_leaves_those_before_it_as_they_are_to_the_bit(name: str, across: bool) -> None:
    net, x = converted(name, ranges=(0.5, 0.75, 1.0)), images()
    outputs: list[list[Tensor]] = []

    def note(part: str, done: int, total: int) -> None:
        if "epoch 2" in part and done == total:
            statistics = [state(norm) for norm in norms(net)]
            net.eval()
            with torch.no_grad():
                outputs.append([net(x, level) for level in range(4)])
            net.train()
            for norm, values in zip(norms(net), statistics, strict=True):
                norm.load_state_dict(values)

    for norm in norms(net):
        norm.learn_from = lambda *_: None  # type: ignore[method-assign]
    idp.fit(net, patterns(32), recipe=SHORT, across=across, progress=note)
    first, second, third = outputs
    assert not torch.equal(first[1], converted(name, ranges=(0.5, 0.75, 1.0))(x, 1))
    assert torch.equal(first[1], second[1])
    assert torch.equal(first[1], third[1])
    assert not torch.equal(first[2], second[2])
    assert torch.equal(second[2], third[2])
    assert not torch.equal(second[3], third[3])


@pytest.mark.parametrize(
    ("across", "wanted"),
    [
        pytest.param(False, ["aa..", "aa..", "..bb", "..bb"], id="own blocks"),
        pytest.param(True, ["aabb", "aabb", "bbbb", "bbbb"], id="across"),
    ],
)
def test_a_range_trains_from_its_channels_to_its_channels(across: bool, wanted: list[str]) -> None:
    backbone = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2))
    net = idp.convert(backbone, example=torch.ones(1, 4), ratios=(0.5, 1), ranges=(0.5, 1))
    trained = np.full((4, 4), ".")
    for number, letter in enumerate("ab"):
        held = held_in_range(net, number, across=across)
        trained[~held["backbone.1.weight"].numpy()] = letter
        assert held["backbone.0.copies.0.weight"].all() == (number != 0)
        assert held["backbone.2.copies.1.weight"].all() == (number != 1)
        assert held["backbone.1.bias"].tolist() == [number == 1] * 2 + [number == 0] * 2
    assert ["".join(row) for row in trained] == wanted


def test_each_range_has_its_own_first_and_last_layer() -> None:
    net = converted("perceptron", ranges=(0.5, 1.0))
    before = [net(images(), level) for level in range(4)]
    with torch.no_grad():
        for name in ("layers.1", "layers.5"):
            net.backbone.get_submodule(name).copies[0].bias.add_(1)  # type: ignore[index, union-attr]
    after = [net(images(), level) for level in range(4)]
    same = [torch.equal(*pair) for pair in zip(before, after, strict=True)]
    assert same == [False, False, True, True]


def test_each_range_has_its_own_checkpoint(tmp_path: Path) -> None:
    net = converted(ranges=(0.5, 1.0))
    idp.fit(net, patterns(32), recipe=SHORT, checkpoint=tmp_path / "state.pt")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["state.0.pt", "state.1.pt"]
    other = converted(ranges=(0.5, 1.0))
    steps: list[str] = []
    idp.fit(
        other,
        patterns(32),
        recipe=SHORT,
        checkpoint=tmp_path / "state.pt",
        progress=lambda part, *_: steps.append(part),
    )
    assert steps == ["range 1, epoch 2", "range 2, epoch 2"]
    wanted = state(net)
    assert all(torch.equal(value, wanted[key]) for key, value in other.state_dict().items())


class Joined(nn.Module):
    """The last layer reads all of one layer's channels before any of the next."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(4, 4) for _ in range(3))
        self.head = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layers[1](self.layers[0](x))
        scores: Tensor = self.head(torch.cat([x, self.layers[2](x)], 1))
        return scores


def chain(*middle: nn.Module) -> nn.Module:
    """Return linear layers in a row, and others behind the second."""
    first, second, last = (nn.Linear(4, 4) for _ in range(3))
    return nn.Sequential(first, second, *middle, last)


@pytest.mark.parametrize(
    ("net", "options"),
    [
        pytest.param(Joined(), {}, id="concatenation"),
        pytest.param(chain(nn.Linear(4, 4)), {"complete": "2"}, id="complete layer"),
        pytest.param(chain(nn.LayerNorm(4)), {}, id="norm over all channels"),
    ],
)
def test_ranges_that_would_disturb_each_other_are_refused(
    net: nn.Module, options: dict[str, Any]
) -> None:
    with pytest.raises(InputError, match="would change what the ranges before it compute"):
        idp.convert(net, example=torch.zeros(2, 4), ranges=(0.5, 1.0), **options)


# --- what does not fit ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        pytest.param({"truncation": "linear"}, "truncation: 'linear' is no way", id="truncation"),
        pytest.param({"truncation": 0}, "truncation: 0 is no way", id="zero"),
        pytest.param({"truncation": True}, "truncation: True is no way", id="bool"),
        pytest.param({"gradient": "mine"}, "gradient 'mine': there is no", id="gradient"),
        pytest.param({"across": True}, "across: there is one range", id="across"),
    ],
)
def test_options_that_are_none_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        idp.fit(converted(), patterns(8), recipe=SHORT, **options)


def test_weights_of_each_level_are_not_for_layers_cut_by_themselves() -> None:
    with pytest.raises(InputError, match="Train it with fit_sandwich"):
        idp.fit(converted(norm="switchable"), patterns(8))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        pytest.param(
            TensorDataset(torch.ones(8, 5, 4, 4), torch.ones(8).long()), "fails on a", id="shape"
        ),
        pytest.param(TensorDataset(images(8)), "not a sample and its label", id="no label"),
        pytest.param(TensorDataset(images(0), torch.ones(0)), "is empty", id="empty"),
        pytest.param(DataLoader(patterns(8)), "Give its dataset", id="a loader"),
    ],
)
@pytest.mark.parametrize(
    "fit",
    [
        pytest.param(idp.fit, id="fit"),
        pytest.param(idp.fit_sandwich, id="fit_sandwich"),
        pytest.param(idp.recalibrate, id="recalibrate"),
    ],
)
def test_data_that_does_not_fit_is_refused_in_a_line(
    fit: Callable[..., None], data: TensorDataset | DataLoader[Any], said: str
) -> None:
    net = converted()
    before = state(net)
    with pytest.raises(InputError, match=said) as error:
        fit(net, data)
    assert "\n" not in str(error.value)
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())


@pytest.mark.parametrize("fit", [idp.fit, idp.fit_sandwich, idp.recalibrate])
def test_a_network_that_is_not_converted_is_refused(fit: Callable[..., None]) -> None:
    with pytest.raises(InputError, match=r"net: this is Plain, .* Pass what idp\.convert returns"):
        fit(network(), patterns(8))


@pytest.mark.parametrize(
    "fit",
    [pytest.param(idp.fit, id="fit"), pytest.param(idp.fit_sandwich, id="fit_sandwich")],
)
def test_labels_that_are_no_classes_are_refused_in_a_line(fit: Callable[..., None]) -> None:
    data = TensorDataset(images(8), torch.full((8,), 7))
    with pytest.raises(InputError, match="labels do not fit what the model gives") as error:
        fit(converted(), data, recipe=SHORT)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "fit",
    [pytest.param(idp.fit, id="fit"), pytest.param(idp.fit_sandwich, id="fit_sandwich")],
)
@pytest.mark.parametrize(
    ("options", "said"),
    [
        pytest.param({"recipe": {}}, r"^recipe: this is dict", id="recipe"),
        pytest.param({"augment": 3}, r"^augment: this is int", id="augment"),
        pytest.param({"progress": 3}, r"^progress: this is int", id="progress"),
        pytest.param({"checkpoint": 3}, r"^checkpoint: 3 names no file", id="checkpoint"),
    ],
)
def test_options_of_another_kind_are_refused_in_a_line(
    fit: Callable[..., None], options: dict[str, Any], said: str
) -> None:
    net = converted()
    before = state(net)
    with pytest.raises(InputError, match=said):
        fit(net, patterns(8), **{"recipe": SHORT, **options})
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())


def test_checkpoints_of_ranges_may_be_named_by_a_string(tmp_path: Path) -> None:
    net = converted(ranges=(0.5, 1.0))
    idp.fit(net, patterns(8), recipe=replace(SHORT, epochs=1), checkpoint=str(tmp_path / "a.pt"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.0.pt", "a.1.pt"]
