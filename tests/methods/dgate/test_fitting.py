"""Gates trained alone on a frozen backbone, and everything at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

from dyncompile.errors import InputError
from dyncompile.knobs import Levels
from dyncompile.methods.dgate import fit
from dyncompile.methods.dgate.gates import DecisionGates
from dyncompile.methods.dgate.losses import LOSSES, crammer_singer, hinge
from dyncompile.training import Recipe
from tests.methods.dgate.networks import CLASSES, gated, images

SHORT = Recipe(epochs=20, lr=0.5, batch_size=64, optimizer="adamw", weight_decay=0.01)


class Scaled(nn.Module):
    """Features on a scale of their own, some of them constant."""

    def __init__(self, scale: float, offset: float) -> None:
        super().__init__()
        self.first = nn.Linear(12, 8)
        self.head = nn.Linear(8, CLASSES)
        with torch.no_grad():
            self.first.weight.copy_(torch.eye(8, 12) * scale)
            self.first.weight[6:] = 0
            self.first.bias.fill_(offset)

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.head(self.first(x))
        return scores


def separable(count: int = 200) -> TensorDataset:
    """Draw samples whose class is the largest of their first numbers, with some room."""
    x = images("flat", count)
    labels = x[:, :CLASSES].argmax(1)
    x[torch.arange(count), labels] += 0.5
    return TensorDataset(x, labels)


def seeing(data: TensorDataset) -> Callable[[DecisionGates], list[float]]:
    """Return a function that says how often each exit is right."""
    x, labels = data.tensors

    def shares(net: DecisionGates) -> list[float]:
        with torch.no_grad():
            heads = net.eval().heads(x)
        return [float((each.argmax(1) == labels).float().mean()) for each in heads]

    return shares


def scaled(scale: float = 1.0, offset: float = 0.0) -> DecisionGates:
    """Put one gate into a network with features of this scale."""
    from dyncompile.methods.dgate import convert

    with torch.random.fork_rng(devices=()):
        torch.manual_seed(3)
        return convert(Scaled(scale, offset), ["first"], example=images("flat", 1))


# --- losses -----------------------------------------------------------------------------------


def test_hinge_is_one_against_the_rest() -> None:
    rng = np.random.default_rng(0)
    u, labels = 2 * rng.normal(size=(30, 5)), rng.integers(0, 5, 30)
    y = np.where(np.arange(5) == labels[:, None], 1, -1)
    wanted = np.maximum(0, 1 - y * u).sum(1).mean()
    assert float(hinge(torch.tensor(u), torch.tensor(labels))) == pytest.approx(wanted)


def test_crammer_singer_is_the_class_against_the_best_other() -> None:
    rng = np.random.default_rng(0)
    u, labels = 2 * rng.normal(size=(30, 5)), rng.integers(0, 5, 30)
    rows = zip(u, labels, strict=True)
    wanted = np.mean([max(0, 1 + np.delete(row, c).max() - row[c]) for row, c in rows])
    assert float(crammer_singer(torch.tensor(u), torch.tensor(labels))) == pytest.approx(wanted)


# --- alone ------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", LOSSES)
def test_a_gate_learns_what_its_features_tell(loss: Any) -> None:  # noqa: ANN401
    net, data = scaled(), separable()
    assert seeing(data)(net)[0] < 0.6
    fit(net, data, loss=loss, recipe=SHORT)
    assert seeing(data)(net)[0] > 0.95


def test_without_a_recipe_a_gate_learns_it_too() -> None:
    net, data = scaled(), separable(60)
    fit(net, data)
    assert seeing(data)(net)[0] == 1


def test_hinge_brings_margins_to_one() -> None:
    net, data = scaled(), separable()
    fit(net, data, recipe=SHORT)
    x, labels = data.tensors
    with torch.no_grad():
        assert float(hinge(net.heads(x)[0], labels)) < 0.5


@pytest.mark.parametrize(
    ("scale", "offset"),
    [(1e-3, 0.0), (1e3, 0.0), (1.0, 50.0)],
    ids=["small", "large", "far from 0"],
)
def test_the_scale_of_the_features_changes_nothing(scale: float, offset: float) -> None:
    data, plain, other = separable(), scaled(), scaled(scale, offset)
    fit(plain, data, recipe=SHORT)
    fit(other, data, recipe=SHORT)
    x, _ = data.tensors
    torch.testing.assert_close(other.heads(x)[0], plain.heads(x)[0], rtol=0.02, atol=0.02)


def test_constant_features_get_no_weight_and_no_nan() -> None:
    net = scaled(offset=7.0)
    fit(net, separable(), recipe=SHORT)
    weight = cast("nn.Linear", net.gates[0]).weight
    assert weight.isfinite().all()
    assert weight[:, 6:].eq(0).all()
    assert not weight[:, :4].eq(0).any()


def test_no_bit_of_the_backbone_changes() -> None:
    net = gated("resnet").train()
    net.backbone.requires_grad_(requires_grad=False)
    state = {name: value.clone() for name, value in net.backbone.state_dict().items()}
    data = TensorDataset(images("resnet", 30), torch.arange(30) % CLASSES)
    fit(net, data, recipe=Recipe(2, 0.1))
    assert all(torch.equal(state[name], value) for name, value in net.backbone.state_dict().items())
    assert all(part.training for part in net.modules())
    assert not any(parameter.requires_grad for parameter in net.backbone.parameters())
    assert all(parameter.requires_grad for parameter in net.gates.parameters())


def test_the_same_training_gives_the_same_bits_and_leaves_torchs_generator_alone() -> None:
    first, second, data = scaled(), scaled(), separable()
    state = torch.get_rng_state()
    fit(first, data, recipe=SHORT)
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(3)
    fit(second, data, recipe=SHORT)
    assert torch.equal(first.gates[0].weight, second.gates[0].weight)  # type: ignore[arg-type]


def test_a_gate_learns_the_same_beside_others() -> None:
    data = TensorDataset(images("concatenating", 60), torch.arange(60) % CLASSES)
    every, one = gated("concatenating"), gated("concatenating")
    fit(every, data, recipe=Recipe(3, 0.5, optimizer="adamw"))
    one.gates, one.after = nn.ModuleList([one.gates[1]]), one.after[1:2]
    one.reset_levels()
    fit(one, data, recipe=Recipe(3, 0.5, optimizer="adamw"))
    torch.testing.assert_close(every.gates[1].weight, one.gates[0].weight)


def test_a_finished_training_is_taken_from_its_checkpoint(tmp_path: Path) -> None:
    first, second, data = scaled(), scaled(), separable()
    fit(first, data, recipe=SHORT, checkpoint=tmp_path / "gates.pt")
    steps: list[tuple[int, int]] = []
    fit(
        second,
        data,
        recipe=SHORT,
        checkpoint=tmp_path / "gates.pt",
        progress=lambda name, done, total: steps.append((done, total)) if "epoch" in name else None,
    )
    assert torch.equal(first.gates[0].weight, second.gates[0].weight)  # type: ignore[arg-type]
    assert steps == [(80, 80)]


@pytest.mark.parametrize("joint", [None, (1.0, 1.0)], ids=["alone", "joint"])
def test_levels_of_gates_that_were_others_are_forgotten(joint: tuple[float, ...] | None) -> None:
    net = scaled()
    net.set_levels([[-1.0], [0.5], [2.0]], (0.1, 0.5, 1))
    fit(net, separable(20), recipe=Recipe(1, 0.01), joint=joint)
    assert len(cast("Levels", net.knobs["effort"]).values) == 2


# --- everything at once -----------------------------------------------------------------------


def test_joint_training_changes_everything_and_every_exit_learns() -> None:
    net, data = gated("flat"), separable()
    before = {name: value.clone() for name, value in net.named_parameters()}
    shares = seeing(data)
    assert max(shares(net)) < 0.7
    fit(net, data, joint=(1, 1, 1), recipe=Recipe(20, 0.3, 64))
    assert not any(torch.equal(before[name], value) for name, value in net.named_parameters())
    assert min(shares(net)) > 0.8


def test_a_heavier_exit_learns_more() -> None:
    data, losses = separable(), []
    for weights in ((1, 0.001, 0.001), (0.001, 0.001, 1)):
        net = gated("flat")
        fit(net, data, joint=weights, recipe=Recipe(3, 0.1, 64))
        x, labels = data.tensors
        with torch.no_grad():
            heads = [float(nn.functional.cross_entropy(u, labels)) for u in net.heads(x)]
        losses.append((heads[0], heads[-1]))
    assert losses[0][0] < losses[1][0]
    assert losses[0][1] > losses[1][1]


def test_joint_training_augments() -> None:
    seen: list[int] = []

    def augment(batch: Tensor) -> Tensor:
        seen.append(len(batch))
        return batch

    fit(scaled(), separable(20), joint=(1, 1), augment=augment, recipe=Recipe(1, 0.01))
    assert 20 in seen


# --- what is refused --------------------------------------------------------------------------

X = images("flat", 6)


class Nothing(Dataset[Any]):
    def __len__(self) -> int:
        return 0

    def __getitem__(self, index: int) -> Any:  # noqa: ANN401
        raise IndexError(index)


BAD_DATA = {
    "a class too many": (TensorDataset(X, torch.arange(6)), r"^labels: there is 4, .* 4 classes"),
    "a class below 0": (TensorDataset(X, torch.arange(6) % 4 - 1), r"^labels: there is -1"),
    "labels with fractions": (TensorDataset(X, torch.rand(6)), r"^labels: a label is float32\[\]"),
    "several labels": (
        TensorDataset(X, torch.zeros(6, 2, dtype=torch.int64)),
        r"^labels: a label is int64\[2\]",
    ),
    "no data": (Nothing(), r"empty"),
    "a loader": (DataLoader(separable(8)), r"^DataLoader: this gives batches"),
}


@pytest.mark.parametrize("joint", [None, (1.0, 1.0, 1.0)], ids=["alone", "joint"])
@pytest.mark.parametrize(("data", "said"), BAD_DATA.values(), ids=BAD_DATA)
def test_data_that_does_not_fit_is_refused_in_one_line(
    data: Any,  # noqa: ANN401
    said: str,
    joint: tuple[float, ...] | None,
) -> None:
    with pytest.raises(InputError, match=said) as caught:
        fit(gated("flat"), data, joint=joint, recipe=Recipe(1, 0.01))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "joint",
    [(1, 1), (1, 1, 1, 1), (1, 0, 1), (1, -1, 1), (1, float("nan"), 1), 3, ("a", "b", "c")],
    ids=["too few", "too many", "zero", "negative", "nan", "a number", "words"],
)
def test_joint_weights_are_one_positive_number_per_exit(joint: Any) -> None:  # noqa: ANN401
    with pytest.raises(InputError, match=r"^joint: .*3 positive numbers"):
        fit(gated("flat"), separable(8), joint=joint)


def test_an_unknown_loss_is_answered_with_those_there_are() -> None:
    with pytest.raises(InputError, match=r"loss 'l2': .*hinge, crammer-singer, cross-entropy"):
        fit(gated("flat"), separable(8), loss=cast("Any", "l2"))


def test_a_loss_of_the_gates_alone_is_refused_in_joint_training() -> None:
    with pytest.raises(InputError, match=r"loss 'crammer-singer': .*cross-entropy"):
        fit(gated("flat"), separable(8), joint=(1, 1, 1), loss="crammer-singer")
    with pytest.raises(InputError, match=r"loss 'l2': there is no loss"):
        fit(gated("flat"), separable(8), joint=(1, 1, 1), loss=cast("Any", "l2"))


def test_augmentation_is_refused_where_features_are_computed_once() -> None:
    with pytest.raises(InputError, match=r"^augment: .*computed once"):
        fit(gated("flat"), separable(8), augment=lambda batch: batch)


def test_features_that_are_not_finite_are_refused() -> None:
    broken = TensorDataset(torch.full((4, 12), torch.nan), torch.arange(4))
    with pytest.raises(InputError, match=r"^data: the backbone gives features that are infinite"):
        fit(gated("flat"), broken)


@pytest.mark.parametrize("joint", [None, (1.0, 1.0, 1.0)], ids=["alone", "joint"])
@pytest.mark.parametrize("name", ["recipe", "progress", "checkpoint"])
def test_options_of_another_kind_are_refused(name: str, joint: tuple[float, ...] | None) -> None:
    options: dict[str, Any] = {"recipe": Recipe(1, 0.01), name: {}}
    with pytest.raises(InputError, match=rf"^{name}: "):
        fit(gated("flat"), separable(8), joint=joint, **options)
