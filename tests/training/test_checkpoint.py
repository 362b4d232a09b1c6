from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset, TensorDataset

from dyncompile.errors import ArtifactError, InputError
from dyncompile.training import Recipe, cross_entropy, train
from tests.training.networks import SHORT, images, network, noisy, weights

Told = list[tuple[str, int, int]]


def stop_at(step: int) -> Callable[[str, int, int], None]:
    def stop(_: str, done: int, __: int) -> None:
        if done == step:
            raise KeyboardInterrupt

    return stop


def stopped(model: nn.Module, file: Path, step: int, recipe: Recipe = SHORT) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(model, images(), recipe, augment=noisy, checkpoint=file, progress=stop_at(step))


@pytest.mark.parametrize("step", [1, 5, 6, 8], ids=lambda step: f"step-{step}")
@pytest.mark.parametrize(
    "recipe",
    [
        pytest.param(SHORT, id="sgd"),
        pytest.param(replace(SHORT, optimizer="adamw", precision="bfloat16"), id="adamw"),
    ],
)
def test_a_stopped_training_ends_with_the_bits_of_one_that_ran_through(
    tmp_path: Path, recipe: Recipe, step: int
) -> None:
    through = network()
    train(through, images(), recipe, augment=noisy)
    file, again = tmp_path / "net.pt", network()
    stopped(network(), file, step, recipe)
    train(again, images(), recipe, augment=noisy, checkpoint=file)
    assert torch.equal(weights(again), weights(through))
    assert [path.name for path in tmp_path.iterdir()] == ["net.pt"]


@pytest.mark.parametrize("step", [2, 7], ids=["first-epoch", "last-epoch"])
def test_the_same_model_can_go_on(tmp_path: Path, step: int) -> None:
    through, model = network(), network()
    train(through, images(), SHORT, augment=noisy)
    stopped(model, tmp_path / "net.pt", step)
    train(model, images(), SHORT, augment=noisy, checkpoint=tmp_path / "net.pt")
    assert torch.equal(weights(model), weights(through))


def test_only_what_is_left_is_trained(tmp_path: Path) -> None:
    told: Told = []
    stopped(network(), tmp_path / "net.pt", 8)
    train(
        network(),
        images(),
        replace(SHORT, workers=1),
        augment=noisy,
        checkpoint=tmp_path / "net.pt",
        progress=lambda *now: told.append(now),
    )
    assert told == [("epoch 2", 6, 9), ("epoch 3", 7, 9), ("epoch 3", 8, 9), ("epoch 3", 9, 9)]


def test_a_finished_training_is_loaded(tmp_path: Path) -> None:
    first, second, told = network(), network(seed=1), Told()
    train(first, images(), SHORT, checkpoint=tmp_path / "net.pt")
    content = (tmp_path / "net.pt").read_bytes()
    train(
        second,
        images(),
        SHORT,
        checkpoint=tmp_path / "net.pt",
        progress=lambda *now: told.append(now),
    )
    assert torch.equal(weights(second), weights(first))
    assert told == [("epoch 3", 9, 9)]
    assert not second.training
    assert (tmp_path / "net.pt").read_bytes() == content


def frozen(value: float) -> nn.Module:
    model = network()
    model[0].requires_grad_(requires_grad=False)
    nn.init.constant_(model.get_parameter("0.0.bias"), value)
    return model


def wider() -> nn.Module:
    model = network()
    model[2] = nn.Linear(32, 4)
    return model


def longer() -> nn.Module:
    return network().append(nn.Linear(3, 3))


@pytest.mark.parametrize(
    ("model", "data", "recipe", "words"),
    [
        pytest.param(
            network(),
            images(),
            replace(SHORT, lr=0.1),
            "recipe has lr 0.05, this one has 0.1.",
            id="lr",
        ),
        pytest.param(
            network(),
            images(),
            replace(SHORT, epochs=4),
            "has epochs 3, this one has 4.",
            id="epochs",
        ),
        pytest.param(
            network(), images(50), SHORT, "its data has size 49, this one has 50.", id="data-size"
        ),
        pytest.param(
            network(), images(seed=1), SHORT, "its data has other samples.", id="data-content"
        ),
        pytest.param(
            wider(),
            images(),
            SHORT,
            "its model has 2.weight float32[3, 32] to train, this one has float32[4, 32] to train.",
            id="model-shape",
        ),
        pytest.param(
            longer(),
            images(),
            SHORT,
            "has 3.weight nothing, this one has float32",
            id="longer-model",
        ),
        pytest.param(
            frozen(0),
            images(),
            SHORT,
            "has 0.0.weight float32[8, 1, 3, 3] to train, this one has float32[8, 1, 3, 3].",
            id="frozen-model",
        ),
    ],
)
def test_a_checkpoint_of_another_training_is_refused(
    tmp_path: Path, model: nn.Module, data: Dataset[Any], recipe: Recipe, words: str
) -> None:
    file = tmp_path / "net.pt"
    train(network(), images(), SHORT, checkpoint=file)
    refuses(file, words, model, data, recipe)


def test_frozen_weights_are_those_of_the_checkpoint(tmp_path: Path) -> None:
    file = tmp_path / "net.pt"
    train(frozen(0), images(), SHORT, checkpoint=file)
    train(frozen(0), images(), SHORT, checkpoint=file)
    refuses(file, "its frozen weights have other values.", frozen(1))


def refuses(
    file: Path,
    words: str,
    model: nn.Module | None = None,
    data: Dataset[Any] | None = None,
    recipe: Recipe = SHORT,
) -> None:
    model, content = model or network(), file.read_bytes()
    before = weights(model)
    with pytest.raises(ArtifactError) as caught:
        train(model, data or images(), recipe, checkpoint=file)
    assert str(caught.value).startswith(f"{file}: ")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "Name another file for this training, or delete this one." in str(caught.value)
    assert torch.equal(weights(model), before)
    assert file.read_bytes() == content


class Danger:
    """Runs code where pickle would load it."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return eval, ("1 / 0",)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"no checkpoint", id="text"),
        pytest.param({"weight": torch.zeros(3)}, id="weights"),
        pytest.param([1, 2], id="list"),
        pytest.param({"format": "dyncompile training 1"}, id="nothing-but-the-format"),
        pytest.param(Danger(), id="code"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: object) -> None:
    file = tmp_path / "net.pt"
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        torch.save(content, file)
    refuses(file, "this is no checkpoint of a training")


@pytest.mark.parametrize("share", [0.3, 0.9], ids=["most", "end"])
def test_a_cut_checkpoint_is_refused(tmp_path: Path, share: float) -> None:
    file = tmp_path / "net.pt"
    train(network(), images(), SHORT, checkpoint=file)
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])
    refuses(file, "or it is damaged.")


@pytest.mark.parametrize("part", ["model", "optimizer", "schedule"])
def test_a_checkpoint_without_a_part_is_refused(tmp_path: Path, part: str) -> None:
    file = tmp_path / "net.pt"
    train(network(), images(), SHORT, checkpoint=file)
    content = torch.load(file, weights_only=True)
    del content["states"][part]
    torch.save(content, file)
    with pytest.raises(ArtifactError, match="this checkpoint is damaged"):
        train(network(), images(), SHORT, checkpoint=file)


def test_a_checkpoint_that_cannot_be_written_is_refused_before_training(tmp_path: Path) -> None:
    told: Told = []
    with pytest.raises(ArtifactError, match="does not exist"):
        train(
            network(),
            images(),
            SHORT,
            checkpoint=tmp_path / "none" / "net.pt",
            progress=lambda *now: told.append(now),
        )
    with pytest.raises(ArtifactError, match="cannot be read"):
        train(network(), images(), SHORT, checkpoint=tmp_path)
    assert not told


def test_the_last_good_checkpoint_is_kept_when_the_loss_is_not_finite(tmp_path: Path) -> None:
    file = tmp_path / "net.pt"
    kept: list[bytes] = []

    def explode(model: nn.Module, batch: Tensor, labels: Tensor) -> Tensor:
        return cross_entropy(model, batch, labels) * (torch.nan if kept else 1)

    def look(_: str, done: int, __: int) -> None:
        if done == 8:
            kept.append(file.read_bytes())

    with pytest.raises(InputError, match=r"epoch 3, step 9 of 9: the loss is nan\. Lower lr"):
        train(network(), images(), SHORT, loss=explode, checkpoint=file, progress=look)
    assert [file.read_bytes()] == kept
    assert torch.load(file, weights_only=True)["epoch"] == 2


class Steep(torch.autograd.Function):
    """The number itself, with an infinite slope."""

    @staticmethod
    def forward(_: object, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(_: object, *gradients: Tensor) -> Tensor:
        return gradients[0] * torch.inf


def test_weights_that_are_not_finite_are_not_kept(tmp_path: Path) -> None:
    file = tmp_path / "net.pt"

    def steep(model: nn.Module, batch: Tensor, _: Tensor) -> Tensor:
        return Steep.apply(model(batch).square().mean())  # type: ignore[no-any-return,no-untyped-call]

    with pytest.raises(InputError, match="epoch 1, step 1 of 3: weights are no longer finite"):
        train(
            network(),
            images(16),
            SHORT,
            loss=steep,
            checkpoint=file,
        )
    assert torch.load(file, weights_only=True)["epoch"] == 0


def test_samples_that_are_rounded_otherwise_are_the_same(tmp_path: Path) -> None:
    told: Told = []
    data = images()
    for scale in (1, 1 + 1e-6):
        train(
            network(),
            TensorDataset(data.floats() * scale, data.labels),
            SHORT,
            checkpoint=tmp_path / "net.pt",
            progress=lambda *now: told.append(now),
        )
    assert len(told) == 10


class Restless(Dataset[tuple[Tensor, Tensor]]):
    """Images that are others at each look."""

    def __init__(self) -> None:
        self.drawing = torch.Generator()

    def __len__(self) -> int:
        return 20

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return torch.rand(1, 9, 9, generator=self.drawing), torch.tensor(index % 3)


def test_samples_that_change_are_known_by_their_number(tmp_path: Path) -> None:
    told: Told = []
    for _ in range(2):
        data = Restless()
        data.drawing.seed()
        train(
            network(),
            data,
            SHORT,
            checkpoint=tmp_path / "net.pt",
            progress=lambda *now: told.append(now),
        )
    assert told[-1] == ("epoch 3", 6, 6)
    assert len(told) == 7


class Varying(Dataset[tuple[Tensor, Tensor]]):
    """Images that are drawn anew at each look, from torch's generator."""

    def __len__(self) -> int:
        return 20

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return torch.rand(1, 9, 9), torch.tensor(index % 3)


@pytest.mark.parametrize("workers", [0, 2], ids=["alone", "workers"])
def test_data_that_varies_is_drawn_as_if_nothing_had_stopped(tmp_path: Path, workers: int) -> None:
    recipe, through, again = replace(SHORT, workers=workers), network(), network()
    train(through, Varying(), recipe)
    file = tmp_path / "net.pt"
    with pytest.raises(KeyboardInterrupt):
        train(network(), Varying(), recipe, checkpoint=file, progress=stop_at(3))
    train(again, Varying(), recipe, checkpoint=file)
    assert torch.equal(weights(again), weights(through))


def test_half_precision_weights_have_checkpoints_too(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2)).bfloat16()
    model[0].requires_grad_(requires_grad=False)
    data = TensorDataset(torch.zeros(6, 4).bfloat16(), torch.zeros(6, dtype=torch.int64))
    train(model, data, SHORT, checkpoint=tmp_path / "net.pt")
    assert torch.load(tmp_path / "net.pt", weights_only=True)["epoch"] == 3


def test_a_checkpoint_is_refused_where_other_parts_are_held(tmp_path: Path) -> None:
    file = tmp_path / "state.pt"
    masks = [torch.zeros(3, dtype=torch.bool), torch.ones(3, dtype=torch.bool)]
    train(network(), images(), SHORT, held={"2.bias": masks[0]}, checkpoint=file)
    train(network(), images(), SHORT, held={"2.bias": masks[0]}, checkpoint=file)
    with pytest.raises(ArtifactError, match="its frozen weights have other values"):
        train(network(), images(), SHORT, held={"2.bias": masks[1]}, checkpoint=file)
