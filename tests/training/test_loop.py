from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from dyncompile.errors import InputError
from dyncompile.training import Recipe, cross_entropy, in_batches, train
from tests.training.networks import SHORT, images, network, noisy, one_by_one, weights


def trained(recipe: Recipe = SHORT, data: Dataset[Any] | None = None) -> nn.Module:
    model = network()
    train(model, data or images(), recipe, augment=noisy)
    return model


def test_training_makes_a_network_right() -> None:
    model, test = network(), images(60, seed=1)
    before, labels = in_batches(model, test)
    train(model, images(), replace(SHORT, epochs=12))
    after, _ = in_batches(model, test)
    right = [(out.argmax(1) == labels).double().mean() for out in (before, after)]
    assert right[0] < 0.7
    assert right[1] > 0.95


@pytest.mark.parametrize(
    "recipe",
    [
        pytest.param(SHORT, id="sgd"),
        pytest.param(replace(SHORT, optimizer="adamw"), id="adamw"),
        pytest.param(replace(SHORT, precision="bfloat16"), id="bfloat16"),
    ],
)
def test_the_same_training_gives_the_same_bits(recipe: Recipe) -> None:
    first = weights(trained(recipe))
    torch.rand(1)
    assert torch.equal(first, weights(trained(recipe)))
    assert not torch.equal(first, weights(trained(replace(recipe, seed=1))))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"lr": 0.1}, id="lr"),
        pytest.param({"batch_size": 8}, id="batch-size"),
        pytest.param({"optimizer": "adamw"}, id="optimizer"),
        pytest.param({"weight_decay": 0.1}, id="weight-decay"),
        pytest.param({"precision": "bfloat16"}, id="precision"),
        pytest.param({"epochs": 4}, id="epochs"),
    ],
)
def test_every_setting_acts(change: dict[str, Any]) -> None:
    assert not torch.equal(weights(trained()), weights(trained(replace(SHORT, **change))))


def test_samples_one_by_one_or_by_workers_give_the_same_bits() -> None:
    whole = weights(trained())
    assert torch.equal(whole, weights(trained(data=one_by_one(images()))))
    assert torch.equal(whole, weights(trained(replace(SHORT, workers=1))))


class Batches(Dataset[tuple[Tensor, Tensor]]):
    """A dataset that makes its own batches, and no single samples."""

    def __len__(self) -> int:
        return len(images())

    def __getitems__(self, indices: list[int]) -> tuple[Tensor, Tensor]:
        found = images()
        return found.floats(indices), found.labels[indices]


def test_batches_that_a_dataset_made_are_taken_as_they_are() -> None:
    assert torch.equal(weights(trained()), weights(trained(data=Batches())))


def test_steps_are_told_and_a_batch_of_one_is_left_out() -> None:
    told: list[tuple[str, int, int]] = []
    sizes: list[int] = []

    def counted(model: nn.Module, batch: Tensor, labels: Tensor) -> Tensor:
        sizes.append(len(batch))
        return cross_entropy(model, batch, labels)

    for count in (33, 34):
        train(
            network(),
            images(count),
            replace(SHORT, epochs=2),
            loss=counted,
            progress=lambda *now: told.append(now),
        )
    assert told[:4] == [("epoch 1", 1, 4), ("epoch 1", 2, 4), ("epoch 2", 3, 4), ("epoch 2", 4, 4)]
    assert told[-1] == ("epoch 2", 6, 6)
    assert sizes == [2, *[16, 16] * 2, 2, *[16, 16, 2] * 2]


def test_every_sample_is_seen_once_an_epoch_in_another_order() -> None:
    seen: list[float] = []

    def noted(model: nn.Module, batch: Tensor, labels: Tensor) -> Tensor:
        seen.extend(batch[:, 0].tolist())
        return cross_entropy(model, batch, labels)

    data = TensorDataset(torch.arange(40.0)[:, None], torch.zeros(40, dtype=torch.int64))
    train(nn.Linear(1, 2), data, replace(SHORT, epochs=2, lr=1e-4), loss=noted)
    first, second = seen[:40], seen[40:]
    assert sorted(first) == sorted(second) == list(range(40))
    assert first != second
    assert first != sorted(first)


def test_frozen_parts_stay_as_they_are() -> None:
    model = network()
    frozen, head = model[0], model[2]
    assert isinstance(frozen, nn.Sequential)
    frozen.requires_grad_(requires_grad=False)
    before = weights(frozen), weights(head)
    modes: list[bool] = []
    frozen[1].register_forward_hook(lambda part, *_: modes.append(part.training))
    train(model, images(), SHORT)
    assert torch.equal(weights(frozen), before[0])
    assert not torch.equal(weights(head), before[1])
    assert modes
    assert not any(modes)
    assert all(each.grad is None for each in frozen.parameters())


def test_the_model_trains_in_training_mode_and_is_left_in_evaluation_mode() -> None:
    model, modes = network(), []

    def noted(model: nn.Module, batch: Tensor, labels: Tensor) -> Tensor:
        modes.append([part.training for part in model.modules()])
        return cross_entropy(model, batch, labels)

    train(model, one_by_one(images()), SHORT, loss=noted)
    assert all(all(each) for each in modes[1:])
    assert not any(part.training for part in model.modules())


class Surroundings:
    """What a training must not change."""

    def __init__(self) -> None:
        self.drawn = random.getstate(), torch.random.get_rng_state().tolist()
        self.numpy = np.random.get_state()[1].tolist()  # type: ignore[index]  # noqa: NPY002
        self.flags = (
            torch.are_deterministic_algorithms_enabled(),
            torch.backends.cudnn.benchmark,
            torch.get_num_threads(),
            torch.is_grad_enabled(),
            logging.getLogger().level,
        )


def interrupt(_: str, done: int, __: int) -> None:
    if done == 5:
        raise KeyboardInterrupt


def test_nothing_else_is_changed_and_nothing_is_said(capfd: pytest.CaptureFixture[str]) -> None:
    before = vars(Surroundings())
    train(network(), images(), SHORT, augment=noisy)
    assert vars(Surroundings()) == before
    model = network()
    with pytest.raises(KeyboardInterrupt):
        train(model, images(), SHORT, progress=interrupt)
    assert vars(Surroundings()) == before
    assert not any(part.training for part in model.modules())
    assert capfd.readouterr() == ("", "")


class Viewing(nn.Module):
    """Takes images only where their numbers lie in order."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(2 * 81, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Classify ``float[N, 2, 9, 9]``."""
        return self.head(x.view(len(x), -1))  # type: ignore[no-any-return]


def test_a_network_that_views_its_images_as_rows_is_trained_too() -> None:
    data, model = images(), Viewing()
    two = TensorDataset(data.floats().expand(-1, 2, -1, -1), data.labels)
    train(model, two, replace(SHORT, epochs=12))
    outputs, labels = in_batches(model, two)
    assert (outputs.argmax(1) == labels).double().mean() > 0.9


def test_convolutions_get_their_images_with_the_channels_last() -> None:
    last: list[bool] = []

    class Noting(nn.Sequential):
        def forward(self, x: Tensor) -> Tensor:
            last.append(x.is_contiguous(memory_format=torch.channels_last))
            return super().forward(x)  # type: ignore[no-any-return,no-untyped-call]

    convolution = nn.Conv2d(2, 3, 9)
    data = images()
    two = TensorDataset(data.floats().expand(-1, 2, -1, -1), data.labels)
    train(Noting(convolution, nn.Flatten()), two, SHORT)
    assert all(last)
    assert convolution.weight.is_contiguous()


class Endless(IterableDataset[tuple[Tensor, Tensor]]):
    """Has no length."""

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return iter(())


class Lists(Dataset[object]):
    """Elements that are no samples."""

    def __init__(self, *elements: object) -> None:
        self.elements = elements

    def __len__(self) -> int:
        return len(self.elements)

    def __getitem__(self, index: int) -> object:
        return self.elements[index]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        pytest.param(images(0), "Images: this dataset is empty.", id="empty"),
        pytest.param(DataLoader(images()), "DataLoader: this gives batches", id="loader"),
        pytest.param(Endless(), "Endless: this dataset has no length.", id="no-length"),
        pytest.param(Lists(torch.zeros(1, 9, 9)), "not a sample and its label", id="no-labels"),
        pytest.param(Lists(("a", 0)), "but (tuple, Tensor)", id="no-tensor"),
        pytest.param(Lists((object(), 0)), "cannot be put together", id="no-batch"),
        pytest.param(Lists((torch.zeros(1, 9, 9), 3)), "Give labels from 0", id="label-too-large"),
    ],
)
def test_data_that_does_not_fit_is_refused(data: Any, words: str) -> None:  # noqa: ANN401
    with pytest.raises(InputError) as caught:
        train(network(), data, SHORT)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_data_that_does_not_fit_is_named_in_one_line_by_workers_too() -> None:
    data = Lists(*((torch.zeros(1, 9, 9 + (k == 7)), 0) for k in range(8)))
    said = []
    for workers in (0, 1):
        with pytest.raises(InputError, match="data: elements of the dataset cannot be put") as bad:
            train(network(), data, replace(SHORT, workers=workers))
        said.append(str(bad.value).partition(": stack")[0])
    assert said[0] == said[1]
    assert "\n" not in str(bad.value)
    assert str(bad.value).endswith("all tensors of one shape.")


def test_a_model_without_anything_to_train_is_refused() -> None:
    model = network().requires_grad_(requires_grad=False)
    with pytest.raises(InputError, match=r"Sequential: there is nothing to train\. Let some"):
        train(model, images(), SHORT)


def test_a_loss_that_is_not_finite_stops_the_training() -> None:
    data = images()
    broken = TensorDataset(data.floats().index_fill(0, torch.tensor([7]), torch.nan), data.labels)
    model = nn.Sequential(nn.Flatten(), nn.Linear(81, 3))
    with pytest.raises(InputError) as caught:
        train(model, broken, SHORT)
    assert "epoch 1, step" in str(caught.value)
    assert "of 9: the loss is nan. Lower lr, which is 0.05;" in str(caught.value)
    assert weights(model).isfinite().all()
    assert not model.training


@pytest.mark.parametrize(
    "recipe",
    [pytest.param(SHORT, id="sgd"), pytest.param(replace(SHORT, optimizer="adamw"), id="adamw")],
)
def test_what_is_held_stays_to_the_bit_in_all_steps(recipe: Recipe) -> None:
    model, free = network(), network()
    mask = torch.zeros(3, 32, dtype=torch.bool)
    mask[:, ::2] = True
    before = model.get_parameter("2.weight").detach().clone()
    train(model, images(), recipe, held={"2.weight": mask})
    after = model.get_parameter("2.weight")
    assert torch.equal(after[mask], before[mask])
    assert (after != before)[~mask].all()
    train(free, images(), recipe)
    assert (free.get_parameter("2.weight") != before).all()


@pytest.mark.parametrize(
    ("augment", "said"),
    [
        pytest.param(lambda x: x[:-1], "returns [15, 1, 9, 9] for", id="fewer-samples"),
        pytest.param(lambda x: x.numpy(), "returns ndarray for", id="an-array"),
        pytest.param(lambda _: None, "returns NoneType for", id="nothing"),
    ],
)
def test_an_augmentation_returns_as_many_samples(
    augment: Callable[[Tensor], Tensor], said: str
) -> None:
    model = network()
    before = weights(model)
    with pytest.raises(InputError, match=r"^augment: .*\[16, 1, 9, 9\]\. Return") as caught:
        train(model, images(), SHORT, augment=augment)
    assert said in str(caught.value)
    assert torch.equal(weights(model), before)
